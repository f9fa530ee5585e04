#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cache on disk: a store that was stopped or killed answers the same dashboard with a
tenth of the requests, counted at the server; whatever happens to its files, answers stay
right and it heals; and it keeps below its limit.

usage: store_disk_cache.py <blockhouse-store>
"""
import itertools
import json
import os
import pathlib
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, wait_until  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402
from tiny_blocks import TinyBlocks  # noqa: E402

BLOCKS = 24
NAMES = ["bits", "const", "gaps", "gauge_f", "odd"]
LIMIT = 8 << 20  # 8MiB, for everything; the blocks of the bucket have less than 5 MiB
RANGES = "blockhouse_store_disk_cache_ranges"


class World:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.bucket, self.data = self.folder / "bucket", self.folder / "data"
        self.bucket.mkdir()
        self.blocks = TinyBlocks(str(self.bucket))
        self.span = self.blocks.meta["minTime"], self.blocks.meta["maxTime"]
        for number in range(BLOCKS):
            self.blocks.add()
            path = self.bucket / self.blocks.ulids[-1] / "meta.json"
            meta = json.loads(path.read_text())
            labels = {"cluster": f"c{number % 6}", "block": str(number)}
            path.write_text(json.dumps({**meta, "thanos": {"labels": labels}}))
        self.s3 = None

    def store(self, *flags):
        return Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={self.data}",
                      "--objstore.config=" + self.s3.config(), "--http-unready-delay=0s",
                      "--sync-block-duration=1h", *flags)

    def ask(self, store, *matchers):
        return rr.read_streamed(store, [rr.query(matchers, *self.span)])

    def dashboard(self, store):
        return [self.ask(store, ("__name__", "=", name), ("cluster", "=", f"c{number}"))
                for name, number in itertools.product(NAMES, range(6))]

    def requests(self):
        """For data, since they were last asked for."""
        counts = self.s3.take()
        return counts["index"] + counts["chunks"]

    def files(self):
        return sorted(self.data.glob("ranges.*"))

    def cached_bytes(self):
        return sum(path.stat().st_size for path in self.files())


def has_headers(store):
    return store.metric("blockhouse_store_unseen_headers") == 0 and \
        store.metric("thanos_bucket_store_block_loads_total") > 0


def kill(store):
    store.process.send_signal(signal.SIGKILL)
    store.process.wait()
    store.stop = lambda: 0


def check_restart(world):
    """Stopped, then killed."""
    with world.store() as store:
        wait_until("all headers", lambda: has_headers(store))
        world.requests()
        wanted = world.dashboard(store)
        assert all(wanted), "nothing is answered"
        cold = world.requests()
        assert world.dashboard(store) == wanted
        assert world.requests() == 0, "memory keeps nothing"
    for end in (lambda store: None, kill, lambda store: None):
        with world.store() as store:
            assert world.dashboard(store) == wanted
            warm = world.requests()
            print(f"  {cold} requests cold, {warm} after a restart")
            assert cold >= 100 and warm * 10 <= cold, (cold, warm)
            assert store.metric("blockhouse_store_disk_cache_hits_total") >= cold * 9 // 10
            assert store.metric("blockhouse_store_read_requests_sum") == warm
            end(store)
    return wanted


def check_killed_at_once(world, wanted):
    """In the middle of its first answers, again and again: nothing wrong is kept."""
    for path in world.files():
        path.unlink()
    for _ in range(5):
        with world.store() as store:
            wait_until("all headers", lambda store=store: has_headers(store))
            for number in range(3):
                world.ask(store, ("__name__", "=", NAMES[number]))
            kill(store)
    with world.store() as store:
        assert world.dashboard(store) == wanted
        assert store.metric("blockhouse_store_disk_cache_damages_total") == 0


def flip(path):
    data = bytearray(path.read_bytes())
    for at in range(20, len(data), 500):
        data[at] ^= 0x10
    path.write_bytes(data)


DAMAGES = {"flipped": flip,
           "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
           "emptied": lambda path: os.truncate(path, 0),
           "deleted": lambda path: path.unlink()}


def check_damage(world, wanted):
    """Below a running store, whose memory keeps nothing, and below one that stands."""
    for (name, damage), is_running in itertools.product(DAMAGES.items(), (True, False)):
        with world.store("--index-cache-size=0") as store:
            assert world.dashboard(store) == wanted
            wait_until("ranges on disk", lambda store=store: store.metric(RANGES) > 50)
            if is_running:
                for path in world.files():
                    damage(path)
                assert world.dashboard(store) == wanted, name
                assert store.metric("blockhouse_store_disk_cache_damages_total") > 0
                told = store.log_text().count("disk cache missing or damaged")
                assert 1 <= told <= len(world.files()) + 1, (name, told)
        if not is_running:
            for path in world.files():
                damage(path)
        with world.store("--index-cache-size=0") as store:
            assert world.dashboard(store) == wanted, name
            assert world.dashboard(store) == wanted, name
            wait_until("ranges on disk", lambda store=store: store.metric(RANGES) > 50)
            world.requests()
            assert world.dashboard(store) == wanted, name
            assert world.requests() <= 10, "it has not healed"
        print(f"  {name}, {'running' if is_running else 'standing'}")


def check_limit(world):
    """Everything is asked for in between, which does not push the dashboard out."""
    for path in world.files():
        path.unlink()
    flags = f"--store.disk-limit=8MiB", "--index-cache-size=0"
    with world.store(*flags) as store:
        wait_until("all headers", lambda: has_headers(store))
        assert store.metric("blockhouse_store_disk_limit_bytes") == LIMIT
        wanted = world.dashboard(store)
        for _ in range(2):
            assert world.dashboard(store) == wanted
        before = store.metric("blockhouse_store_disk_cache_written_bytes_total")
        fetched = store.metric("blockhouse_store_fetched_bytes_total")
        everything = world.ask(store, ("__name__", "!=", ""))
        assert len(everything) > len(wanted[0])
        written = store.metric("blockhouse_store_disk_cache_written_bytes_total") - before
        read = store.metric("blockhouse_store_fetched_bytes_total") - fetched
        print(f"  a query over everything wrote {written:.0f} bytes of {read:.0f}")
        assert written <= LIMIT // 128 + (300 << 10) < read, (written, read)
        world.requests()
        assert world.dashboard(store) == wanted
        assert world.requests() == 0
        assert world.cached_bytes() <= LIMIT
        assert store.metric('blockhouse_store_disk_used_bytes{kind="cache"}') \
            == world.cached_bytes()
    with world.store("--store.disk-limit=1MiB", "--index-cache-size=0") as store:
        assert world.dashboard(store) == wanted
        assert not world.files(), "there is no room for a cache"


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(sys.argv[1], folder)
        with PlainS3(world.bucket) as world.s3:
            print("check_restart")
            wanted = check_restart(world)
            for check in (check_killed_at_once, check_damage):
                print(check.__name__)
                check(world, wanted)
            print("check_limit")
            check_limit(world)


if __name__ == "__main__":
    main()
