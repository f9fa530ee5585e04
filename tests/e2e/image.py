#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The image is the same bytes each time, small, sound by its own digests, and has the
licence of all that is in it; unpacked, read-only and as its user, it ships a block to a
directory bucket and answers remote read. In a mount namespace of its own.

usage: image.py <directory of the programs>
"""
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, is_sanitized, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from read_golden import ALL, Golden  # noqa: E402
from tiny_blocks import GOLDEN, TinyBlocks  # noqa: E402

BUILD = os.path.join(HERE, "..", "..", "deploy", "image", "build.sh")
LIMIT_BYTES = 30 * 10**6
VOLUMES = "prometheus", "bucket", "var/lib/blockhouse"
LICENCES = ("usr/share/common-licenses/GPL-3", "usr/share/doc/blockhouse/LICENSE",
            "usr/share/doc/blockhouse/copyright")
PROGRAMS = "blockhouse", "blockhouse-bucket", "blockhouse-sidecar", "blockhouse-store"


def build(programs, directory, name):
    """The archive, made in a folder of that name."""
    archive = os.path.join(directory, name + ".tar")
    subprocess.run([BUILD, "--programs", programs, os.path.join(directory, name), archive],
                   check=True, stdout=subprocess.DEVNULL)
    with open(archive, "rb") as file:
        return file.read()


class Archive:
    """What a container engine would make of it: each blob is what its digest says."""

    def __init__(self, content):
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            self.files = {one.name: tar.extractfile(one).read() for one in tar}
        listed, = json.loads(self.files["index.json"])["manifests"]
        manifest = json.loads(self.blob(listed))
        self.config = json.loads(self.blob(manifest["config"]))
        descriptor, = manifest["layers"]
        self.layer = self.blob(descriptor)
        assert self.config["rootfs"]["diff_ids"] == [descriptor["digest"]]
        docker, = json.loads(self.files["manifest.json"])
        assert self.files[docker["Layers"][0]] == self.layer
        assert json.loads(self.files[docker["Config"]]) == self.config
        assert docker["RepoTags"] == ["blockhouse:" + self.label("version")]

    def blob(self, descriptor):
        name = descriptor["digest"].removeprefix("sha256:")
        data = self.files[f"blobs/sha256/{name}"]
        assert hashlib.sha256(data).hexdigest() == name and len(data) == descriptor["size"]
        return data

    def label(self, name):
        return self.config["config"]["Labels"][f"org.opencontainers.image.{name}"]

    def unpack(self, root):
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            members = {one.name: one for one in tar}
            tar.extractall(root, numeric_owner=True)
        return members


def check_members(members):
    size = sum(one.size for one in members.values())
    print(f"  {len(members)} files, {size / 1e6:.1f} MB")
    assert size <= LIMIT_BYTES
    owned = {name: (one.uid, one.gid) for name, one in members.items() if one.uid or one.gid}
    assert owned == {"var/lib/blockhouse": (65532, 65532)}, owned
    assert not [name for name, one in members.items() if one.mode & 0o6000]
    missing = [name for name in LICENCES if name not in members]
    assert not missing, missing
    described = {name.rpartition("/")[2] for name in members if "/status.d/" in name}
    assert {"libc6", "libcurl4", "ca-certificates"} <= described, described
    unlicensed = [name for name in described if f"usr/share/doc/{name}/copyright" not in members]
    assert not unlicensed, unlicensed


@contextlib.contextmanager
def mounted(*arguments):
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", arguments[-1]], check=True)


@contextlib.contextmanager
def contained(root):
    """root is as a container engine gives it: read-only but for volumes."""
    for name in VOLUMES:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mounted("--bind", root, root))
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        stack.enter_context(mounted("-t", "proc", "proc", os.path.join(root, "proc")))
        for name in VOLUMES:
            volume = os.path.join(root, name)
            stack.enter_context(mounted("-t", "tmpfs", "-o", "mode=0700,uid=65532,gid=65532",
                                        "tmpfs", volume))
        yield


class Image:
    def __init__(self, root, config):
        self.command = ["/usr/sbin/chroot", f"--userspec={config['User']}", "--groups=", root]
        self.entry = config["Entrypoint"]

    def run(self, *command):
        return subprocess.run([*self.command, *command], capture_output=True, text=True,
                              timeout=30, check=True, env={}).stdout

    def daemon(self, *arguments):
        return Daemon(*self.command, *self.entry, *arguments,
                      "--http-address=127.0.0.1:{port}")


def ship_and_read(image, root):
    blocks = TinyBlocks(os.path.join(root, "prometheus"))
    blocks.add()
    subprocess.run(["chown", "-R", "65532:65532", blocks.data], check=True)
    prometheus = FakePrometheus({"cluster": "eu1"})
    bucket = f"--objstore.config={dir_bucket('/bucket')}"
    with image.daemon("sidecar", "--tsdb.path=/prometheus", bucket,
                      f"--prometheus.url={prometheus.url}") as sidecar:
        wait_until("a block in the bucket",
                   lambda: sidecar.metric("thanos_shipper_uploads_total") == 1)
    golden = Golden(GOLDEN)
    with image.daemon("store", "--data-dir=/var/lib/blockhouse", bucket,
                      "--http-unready-delay=0s") as store:
        query = rr.query([ALL], golden.begin, golden.end)
        series = [dict(labels) for _, labels, _ in rr.read_streamed(store, [query])]
    print(f"  {len(series)} series answered")
    assert series and {one["cluster"] for one in series} == {"eu1"}
    assert blocks.ulids[0] in image.run("/usr/bin/blockhouse", "bucket", "ls", bucket)


def main():
    programs, = sys.argv[1:]
    if is_sanitized(os.path.join(programs, PROGRAMS[-1])):
        print("SKIP: programs with a sanitizer are not what an image has")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        content = build(programs, directory, "once")
        assert content == build(programs, directory, "again"), "not the same bytes"
        archive = Archive(content)
        root = os.path.join(directory, "unpacked")
        check_members(archive.unpack(root))
        with contained(root):
            image = Image(root, archive.config["config"])
            for name in PROGRAMS:
                version = image.run(f"/usr/bin/{name}", "--version")
                assert archive.label("version") in version, version
            ship_and_read(image, root)


if __name__ == "__main__":
    main()
