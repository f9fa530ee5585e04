#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the store keeps on its disk: one store a directory, files that nobody else may read,
index headers when they are wanted and no more of them than --store.disk-limit allows.

usage: store_data_dir.py <blockhouse-store>
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from tiny_blocks import TinyBlocks  # noqa: E402

ONE = [("__name__", "=", "bits")]
BLOCKS, LIMIT_KIB = 24, 200  # headers have a page of 16 KiB each
GONE = "blockhouse_store_disk_header_evictions_total"
USED = 'blockhouse_store_disk_used_bytes{kind="headers"}'


class World:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.bucket, self.data = os.path.join(folder, "bucket"), os.path.join(folder, "data")
        os.makedirs(self.bucket)
        blocks = TinyBlocks(self.bucket)
        self.span = blocks.meta["minTime"], blocks.meta["maxTime"]
        for number in range(BLOCKS):
            blocks.add()
            path = os.path.join(self.bucket, blocks.ulids[-1], "meta.json")
            with open(path, encoding="utf-8") as file:
                meta = json.load(file)
            meta["thanos"] = {"labels": {"block": str(number)}}
            with open(path, "w", encoding="utf-8") as file:
                json.dump(meta, file)

    def store(self, *flags):
        return Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={self.data}",
                      f"--objstore.config={dir_bucket(self.bucket)}", "--http-unready-delay=0s",
                      *flags)

    def ask(self, store, *more):
        return rr.read_streamed(store, [rr.query([*ONE, *more], *self.span)])

    def headers(self):
        return [name for name in os.listdir(self.data) if name.endswith(".bhx")]

    def header_bytes(self):
        """Some may go meanwhile."""
        total = 0
        for name in self.headers():
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(self.data, name))
        return total


def check_second_store(world):
    """It ends and disturbs nothing; and takes the place of one that was killed."""
    with world.store() as store:
        before = world.ask(store)
        wait_until("a header", world.headers)
        done = subprocess.run(world.store().command, capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.returncode == 1, (done.returncode, done.stderr)
        for word in (world.data, "store.lock", f"pid {store.process.pid} on ", "another store"):
            assert word in done.stderr, (word, done.stderr)
        print("  " + done.stderr.strip().splitlines()[-1])
        assert world.ask(store) == before
        store.process.send_signal(signal.SIGKILL)
        store.process.wait()
        store.stop = lambda: 0
    with world.store() as store:
        assert world.ask(store) == before


def check_modes(world):
    names = set(os.listdir(world.data))
    assert "blocks.snapshot" in names and any(name.endswith(".bhx") for name in names), names
    for name in names:
        mode = os.stat(os.path.join(world.data, name)).st_mode & 0o777
        assert mode == 0o600, (name, oct(mode))


def check_lazy(world):
    """Nothing is built ahead, and what is asked for is."""
    with world.store("--store.index-header-lazy-download-strategy=lazy") as store:
        everything = world.ask(store)
        assert len(everything) >= BLOCKS
    for name in world.headers():
        os.unlink(os.path.join(world.data, name))
    with world.store("--store.index-header-lazy-download-strategy=lazy") as store:
        wait_until("all to be left", lambda: store.metric("blockhouse_store_unseen_headers")
                   == BLOCKS)
        assert not world.headers()
        one = world.ask(store, ("block", "=", "3"))
        assert one and all(series in [labels for _, labels, _ in everything]
                           for series in [labels for _, labels, _ in one])
        assert len(world.headers()) == 1, world.headers()
        assert world.ask(store) == everything
        assert len(world.headers()) == BLOCKS
        assert store.metric("thanos_bucket_store_block_load_duration_seconds_count") == BLOCKS


def check_header_limit(world):
    """Ahead are built as many as fit; of those that queries have built the ones go that
    were not used for long, and come back."""
    limit = LIMIT_KIB << 10
    with world.store() as store:
        everything = world.ask(store)
    for name in world.headers():
        os.unlink(os.path.join(world.data, name))
    for _ in range(2):
        with world.store(f"--store.disk-limit={LIMIT_KIB}KiB") as store:
            wait_until("some headers", lambda: world.header_bytes() > limit // 2)
            assert store.metric("blockhouse_store_disk_limit_bytes") == limit
            assert world.ask(store) == everything
            wait_until("some to go", lambda store=store: store.metric(GONE) > 5, 60)
            wait_until("the limit", lambda: world.header_bytes() <= limit, 60)
            assert world.ask(store) == everything
            told = [line for line in store.log_text().splitlines() if "--store.disk-limit" in line]
            assert len(told) == 1 and f"limit_bytes={limit}" in told[0], told
            wait_until("the metric", lambda store=store: store.metric(USED) == world.header_bytes())
        assert os.path.exists(os.path.join(world.data, "blocks.snapshot"))
    print("  " + told[0])


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(sys.argv[1], folder)
        for check in (check_second_store, check_modes, check_lazy, check_header_limit):
            print(check.__name__)
            check(world)


if __name__ == "__main__":
    main()
