# SPDX-License-Identifier: Apache-2.0
"""Buckets of many blocks that are made in seconds, and a MinIO that is counted."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

from daemon import Daemon, free_port
from fault_control import FaultControl
from minio import Minio

PROXY = pathlib.Path(__file__).resolve().parents[1] / "support" / "fault_proxy.py"
SERIES, STEP_S, BLOCK_HOURS, MODELS = 500, 600, 2, 250
UPLOADS = 8  # at once


class Models:
    """Consecutive blocks. All others have the same files, in other clusters."""

    def __init__(self, make_data, folder):
        subprocess.run([make_data, "--series", str(SERIES), "--hours", str(MODELS * BLOCK_HOURS),
                        "--block-hours", str(BLOCK_HOURS), "--step", str(STEP_S), folder],
                       check=True)
        self.blocks = sorted(folder.iterdir())
        self.metas = [json.loads((block / "meta.json").read_text()) for block in self.blocks]

    def clusters(self, count):
        return -(-count // len(self.blocks))

    @staticmethod
    def samples(count):
        """Of one series of each block."""
        return count * BLOCK_HOURS * 3600 // STEP_S

    def make_bucket(self, count, folder):
        for number in range(count):
            self.make_block(number, folder)
        return folder

    def make_block(self, number, folder):
        cluster, model = divmod(number, len(self.blocks))
        source, meta = self.blocks[model], self.metas[model]
        name = f"{source.name[:16]}{cluster:010d}"  # digits are those of a ULID, too
        (folder / name / "chunks").mkdir(parents=True)
        for file in "index", "chunks/000001":
            os.link(source / file, folder / name / file)
        thanos = {**meta["thanos"], "labels": {"cluster": f"c{cluster:04d}", "replica": "a"}}
        text = json.dumps({**meta, "ulid": name, "thanos": thanos,
                           "compaction": {"level": 1, "sources": [name]}})
        (folder / name / "meta.json").write_text(text)


class CountedMinio(Minio):
    """With a proxy before it that counts."""

    def __enter__(self):
        super().__enter__()
        control = f"127.0.0.1:{free_port()}"
        self.proxy = Daemon(sys.executable, str(PROXY), "127.0.0.1:{port}", self.address, control)
        self.proxy.is_ready = lambda: is_open(control)
        self.proxy.__enter__()
        self.control = FaultControl(control)
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        super().__exit__()

    def requests(self):
        return self.control.stats().get("requests", 0)

    def config(self, more="", prefix="", endpoint=None):
        return super().config(more, prefix, endpoint or f"127.0.0.1:{self.proxy.port}")

    def upload(self, folder):
        keys = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(lambda part: self.put_all(folder, part),
                          [keys[i::UPLOADS] for i in range(UPLOADS)]))

    def put_all(self, folder, keys):
        connection = http.client.HTTPConnection(self.address)
        for key in keys:
            url = urllib.parse.urlsplit(self.presigned("PUT", key))
            connection.request("PUT", f"{url.path}?{url.query}", (folder / key).read_bytes())
            reply = connection.getresponse()
            reply.read()
            if reply.status != 200:
                raise AssertionError(f"PUT {key}: {reply.status}")


def is_open(address):
    try:
        FaultControl(address)
        return True
    except OSError:
        return False
