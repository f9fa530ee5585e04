#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pack a root file system as an image in one file, without a container engine: an OCI
image layout that has docker's manifest.json beside it, so that `docker load`, `podman
load`, `skopeo` and `ctr import` take it. The same tree makes the same bytes.

usage: pack.py <root> <archive> <architecture> <version> <seconds since 1970>
"""
import datetime
import hashlib
import io
import json
import os
import sys
import tarfile

USER = 65532
OWNED = "var/lib/blockhouse"  # of that user: everything else is root's
OCI = "application/vnd.oci.image"


def paths(root):
    """Of all there is, relative, parents first, in the same order everywhere."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted(names + links):
            yield os.path.relpath(os.path.join(folder, name), root)
        for name in folders:
            if name not in links:
                yield os.path.relpath(os.path.join(folder, name), root)


def layer_of(root):
    """A layer: owners by number, times in seconds, and nothing of file systems."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(paths(root)):
            entry = tar.gettarinfo(os.path.join(root, path), path)
            entry.uid = entry.gid = USER if path == OWNED else 0
            entry.uname = entry.gname = ""
            entry.mtime = int(entry.mtime)
            with open(os.path.join(root, path), "rb") if entry.isreg() else io.BytesIO() as file:
                tar.addfile(entry, file)
    return packed.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def to_json(value):
    return json.dumps(value, indent=1, sort_keys=True).encode()


def descriptor(kind, data, **more):
    return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest(data)}",
            "size": len(data), **more}


def config_of(layer, architecture, version, epoch):
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).isoformat()
    return {
        "created": created, "architecture": architecture, "os": "linux",
        "config": {
            "User": f"{USER}:{USER}", "Entrypoint": ["/usr/bin/blockhouse"],
            "WorkingDir": f"/{OWNED}", "ExposedPorts": {"10902/tcp": {}},
            "Env": ["PATH=/usr/bin"],
            "Labels": {"org.opencontainers.image.title": "blockhouse",
                       "org.opencontainers.image.version": version}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
        "history": [{"created": created, "created_by": "deploy/image/build.sh"}]}


def files_of(layer, architecture, version, epoch):
    """{path in the archive: content}"""
    config = to_json(config_of(layer, architecture, version, epoch))
    manifest = to_json({"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json",
                        "config": descriptor("config.v1+json", config),
                        "layers": [descriptor("layer.v1.tar", layer)]})
    name = f"blockhouse:{version}"
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [
        descriptor("manifest.v1+json", manifest, annotations={
            "io.containerd.image.name": f"docker.io/library/{name}",
            "org.opencontainers.image.ref.name": version},
            platform={"architecture": architecture, "os": "linux"})]}
    blobs = {f"blobs/sha256/{digest(data)}": data for data in (config, layer, manifest)}
    config_at, layer_at, _ = blobs
    docker = [{"Config": config_at, "RepoTags": [name], "Layers": [layer_at]}]
    return {**blobs, "index.json": to_json(index), "manifest.json": to_json(docker),
            "oci-layout": to_json({"imageLayoutVersion": "1.0.0"})}


def main():
    root, archive, architecture, version, epoch = sys.argv[1:]
    files = files_of(layer_of(root), architecture, version, int(epoch))
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, int(epoch)
            tar.addfile(entry, io.BytesIO(data))
    with open(archive, "rb") as file:
        print(f"{digest(file.read())}  {archive}")


if __name__ == "__main__":
    main()
