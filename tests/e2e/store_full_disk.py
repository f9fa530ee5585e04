#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disk of the store is full: what it has it serves on; queries that need more say what is
missing, or get it once something old has made room; when there is space again all is well,
without a restart. As root, with mounts of its own.

usage: store_full_disk.py <blockhouse-store>
"""
import errno
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, wait_until  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402
from tiny_blocks import TinyBlocks  # noqa: E402

BLOCKS, SIZE_MIB, SKIPPED = 12, 12, 77
OFF = "blockhouse_store_disk_cache_off"
LAZY = "--store.index-header-lazy-download-strategy=lazy"


class World:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.bucket, self.data = self.folder / "bucket", self.folder / "data"
        self.bucket.mkdir()
        self.data.mkdir()
        self.blocks = TinyBlocks(str(self.bucket))
        self.span = self.blocks.meta["minTime"], self.blocks.meta["maxTime"]
        for number in range(BLOCKS):
            self.blocks.add()
            path = self.bucket / self.blocks.ulids[-1] / "meta.json"
            meta = json.loads(path.read_text())
            path.write_text(json.dumps({**meta, "thanos": {"labels": {"block": str(number)}}}))
        self.s3 = None

    def store(self, *flags):
        return Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={self.data}",
                      "--objstore.config=" + self.s3.config(), "--http-unready-delay=0s",
                      "--sync-block-duration=1h", "--index-cache-size=0", *flags)

    def post(self, store, block, name="bits"):
        matchers = [("__name__", "=", name), ("block", "=", str(block))]
        return rr.post_streamed(store, [rr.query(matchers, *self.span)])

    def ask(self, store, block, name="bits"):
        return rr.series_of(self.post(store, block, name))

    def fill(self):
        """Leave not a byte free."""
        with open(self.data / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError as why:
                    if why.errno != errno.ENOSPC:
                        raise

    def empty(self):
        (self.data / "filler").unlink()

    def headers(self):
        return list(self.data.glob("*.bhx"))


def check_full_from_the_start(world, wanted):
    world.fill()
    with world.store() as store:
        refused = world.post(store, 0)
        assert refused.status == 500, (refused.status, refused.text)
        for word in (str(world.data), "No space left", "--store.disk-limit", "free some"):
            assert word in refused.text, (word, refused.text)
        print("  " + refused.text.strip())
        assert store.metric("thanos_bucket_store_blocks_loaded") == BLOCKS
        world.empty()
        wait_until("answers", lambda: world.post(store, 0).status == 200)
        for block in range(BLOCKS):
            assert world.ask(store, block) == wanted[block]


def check_full_later(world, wanted):
    """Headers that are there are enough; others take the place of old ones."""
    for path in world.headers() + list(world.data.glob("ranges.*")):
        path.unlink()
    with world.store(LAZY) as store:
        for block in range(4):
            assert world.ask(store, block) == wanted[block]
        world.fill()
        for block in range(4):
            assert world.ask(store, block, "const")
        refused = world.post(store, 7)
        assert refused.status == 500 and "No space left" in refused.text, refused.text
        assert world.ask(store, 0) == wanted[0]
        wait_until("room for another header", lambda: world.post(store, 7).status == 200, 40)
        assert world.ask(store, 7) == wanted[7]
        assert store.metric("blockhouse_store_disk_header_evictions_total") > 0
        world.empty()
        wait_until("answers", lambda: all(
            world.post(store, block).status == 200 for block in range(BLOCKS)))
        for block in range(BLOCKS):
            assert world.ask(store, block) == wanted[block]


def check_cache(world, wanted):
    """Is off while nothing can be written, gives way to others, and comes back."""
    names = itertools.cycle(["const", "gaps", "gauge_f", "odd", "bits"])

    def is_off(store, wanted_off):
        world.ask(store, 5, next(names))
        return store.metric(OFF) == wanted_off

    for path in world.data.glob("ranges.*"):
        path.unlink()
    with world.store("--store.disk-limit=10MiB") as store:
        for block in range(BLOCKS):
            assert world.ask(store, block) == wanted[block]
        hits = store.metric("blockhouse_store_disk_cache_hits_total")
        assert world.ask(store, 3) == wanted[3]
        assert store.metric("blockhouse_store_disk_cache_hits_total") > hits
        used = 'blockhouse_store_disk_used_bytes{kind="cache"}'
        wait_until("something to be cached", lambda: store.metric(used) > 100000)
        world.fill()
        wait_until("it to give way", lambda: store.metric(used) == 0, 30)
        for block in range(BLOCKS):
            assert world.ask(store, block) == wanted[block]
        world.empty()
        wait_until("it to come back", lambda: is_off(store, 0) and store.metric(used) > 0, 60)
        before = store.metric("blockhouse_store_disk_cache_hits_total")
        wait_until("a hit", lambda: world.ask(store, 3) == wanted[3] and store.metric(
            "blockhouse_store_disk_cache_hits_total") > before, 30)


def inside(program):
    with tempfile.TemporaryDirectory() as folder:
        world = World(program, folder)
        with PlainS3(world.bucket) as world.s3:
            with world.store() as store:
                wanted = [world.ask(store, block) for block in range(BLOCKS)]
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs",
                            world.data], check=True)
            try:
                for check in (check_full_from_the_start, check_full_later, check_cache):
                    print(check.__name__)
                    check(world, wanted)
            finally:
                subprocess.run(["umount", world.data], check=False)


def main():
    if len(sys.argv) > 2:
        return inside(sys.argv[1])
    mounts = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0 or subprocess.run([*mounts, "true"], capture_output=True,
                                           check=False).returncode != 0:
        print("SKIP: not root, or mounts are not allowed here")
        sys.exit(SKIPPED)
    done = subprocess.run([*mounts, sys.executable, "-B", __file__, sys.argv[1], "inside"],
                          check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
