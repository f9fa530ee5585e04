#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the store keeps on its disk: one store a directory, and files that nobody else may
read.

usage: store_data_dir.py <blockhouse-store>
"""
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


class World:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.bucket, self.data = os.path.join(folder, "bucket"), os.path.join(folder, "data")
        os.makedirs(self.bucket)
        blocks = TinyBlocks(self.bucket)
        blocks.add()
        self.span = blocks.meta["minTime"], blocks.meta["maxTime"]

    def store(self):
        return Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={self.data}",
                      f"--objstore.config={dir_bucket(self.bucket)}", "--http-unready-delay=0s")

    def ask(self, store):
        return rr.read_streamed(store, [rr.query(ONE, *self.span)])


def check_second_store(world):
    """It ends and disturbs nothing; and takes the place of one that was killed."""
    with world.store() as store:
        before = world.ask(store)
        wait_until("a header", lambda: any(name.endswith(".bhx") for name in os.listdir(world.data)))
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


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(sys.argv[1], folder)
        for check in (check_second_store, check_modes):
            print(check.__name__)
            check(world)


if __name__ == "__main__":
    main()
