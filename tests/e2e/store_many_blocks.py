#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many blocks in a bucket whose requests are counted: what a start and a look at the
bucket cost, cold and warm, and what the files of the data directory are good for.

usage: store_many_blocks.py <blockhouse-store>
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, wait_until  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402
from tiny_blocks import TinyBlocks  # noqa: E402

BLOCKS, OBJECTS, NEW = 450, 3, 5
CLIENTS = 6
RATE = 40  # requests a second
ONE = [("__name__", "=", "bits")]


class World:
    """A bucket of blocks in clusters of their own, so that each has its series."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.bucket, self.data = self.folder / "bucket", self.folder / "data"
        self.bucket.mkdir()
        self.blocks = TinyBlocks(str(self.bucket))
        self.span = self.blocks.meta["minTime"], self.blocks.meta["maxTime"]
        self.add(BLOCKS)
        self.s3 = None

    def add(self, count):
        for _ in range(count):
            self.blocks.add()
            path = self.bucket / self.blocks.ulids[-1] / "meta.json"
            meta = json.loads(path.read_text())
            labels = {"cluster": f"c{len(self.blocks.ulids)}"}
            path.write_text(json.dumps({**meta, "thanos": {"labels": labels}}))

    def store(self, *flags):
        return Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={self.data}",
                      "--objstore.config=" + self.s3.config(), "--http-unready-delay=0s",
                      "--sync-block-duration=1h", *flags)

    def most_lists(self):
        return len(self.blocks.ulids) * OBJECTS // 1000 + 2

    def ask(self, store):
        return rr.read_streamed(store, [rr.query(ONE, *self.span)])


def has_headers(store):
    return store.metric("blockhouse_store_unseen_headers") == 0 and \
        store.metric("thanos_bucket_store_block_loads_total") > 0


def synced(store):
    return store.metric("thanos_blocks_meta_sync_duration_seconds_count")


def sync(store, wanted=202):
    before = synced(store)
    answer = store.request("POST", "/-/sync")
    assert answer.status == wanted, (answer.status, answer.text)
    wait_until("a look at the bucket", lambda: synced(store) > before)


def check_cold_start(world):
    with world.store() as store:
        counts = world.s3.take()
        assert counts["list"] <= world.most_lists(), counts
        assert counts["meta"] == BLOCKS and counts["mark"] == 0, counts
        assert store.metric("thanos_bucket_store_blocks_loaded") == BLOCKS
        wait_until("all headers", lambda: has_headers(store))
        assert counts["index"] + world.s3.take()["index"] == BLOCKS
        answer = world.ask(store)
        assert len(answer) >= BLOCKS, len(answer)
    return answer


def check_looks(world):
    """What nothing new costs, and what some new blocks do."""
    with world.store() as store:
        wait_until("a look at the bucket", lambda: synced(store) == 1)
        wait_until("all headers", lambda: has_headers(store))
        world.s3.take()
        sync(store)
        counts = world.s3.take()
        assert sum(counts.values()) <= world.most_lists(), counts
        world.add(NEW)
        sync(store)
        wait_until("all headers", lambda: has_headers(store))
        counts = world.s3.take()
        assert sum(counts.values()) <= world.most_lists() + 2 * NEW, counts
        assert counts["meta"] == NEW, counts
        assert store.metric("thanos_bucket_store_blocks_loaded") == BLOCKS + NEW


def check_warm_start(world):
    """From a snapshot, whose bucket is down."""
    count = len(world.blocks.ulids)
    world.s3.is_down = True
    with world.store() as store:
        assert store.metric("thanos_bucket_store_blocks_loaded") == count
        assert store.metric("blockhouse_store_serves_snapshot") == 1
        assert "serves a snapshot of blocks" in store.log_text()
        world.s3.is_down = False
        sync(store)
        assert store.metric("blockhouse_store_serves_snapshot") == 0
        assert world.s3.take()["meta"] == 0


def check_damaged_snapshot(world):
    """It is named and made anew."""
    path = world.data / "blocks.snapshot"
    whole = path.read_bytes()
    for damage in (whole[:-1], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(damage)
        world.s3.take()
        with world.store() as store:
            assert store.metric("thanos_bucket_store_blocks_loaded") == len(world.blocks.ulids)
            assert "snapshot of blocks not used" in store.log_text()
        counts = world.s3.take()
        assert counts["meta"] == len(world.blocks.ulids), counts
        assert path.stat().st_size > 1000
    path.unlink()
    path.mkdir()  # it can be neither read nor replaced
    with world.store() as store:
        assert store.metric("thanos_bucket_store_blocks_loaded") == len(world.blocks.ulids)
        assert "snapshot of blocks not saved" in store.log_text()
    path.rmdir()


def check_emptied_directory(world):
    """Its files vanish beneath a running store, and then it itself."""
    with world.store() as store:
        wait_until("all headers", lambda: has_headers(store))
        before = world.ask(store)
        for path in world.data.iterdir():
            path.unlink()
        assert world.ask(store) == before
        sync(store)
        assert (world.data / "blocks.snapshot").exists()
        shutil.rmtree(world.data)
        assert world.ask(store) == before
        sync(store)
        assert (world.data / "blocks.snapshot").exists()
        assert store.metric("thanos_bucket_store_blocks_loaded") == len(world.blocks.ulids)


def check_cold_headers(world):
    """Queries that come before the headers wait for one build of each."""
    shutil.rmtree(world.data)
    world.s3.delay_s = 0.02
    world.s3.take()
    with world.store() as store, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: world.ask(store), range(CLIENTS)))
        assert len(answers[0]) >= len(world.blocks.ulids), len(answers[0])
        assert all(answer == answers[0] for answer in answers)
        wait_until("all headers", lambda: has_headers(store))
        built = store.metric("thanos_bucket_store_block_load_duration_seconds_count")
        assert built == len(world.blocks.ulids), built
    world.s3.delay_s = 0


def check_throttled_start(world):
    """Killed in the middle, and what was read until then is not read again."""
    shutil.rmtree(world.data)
    world.s3.rate = RATE
    world.s3.take()
    store = world.store()
    store.is_ready = lambda: (world.data / "blocks.snapshot").exists()
    with store:
        store.process.send_signal(signal.SIGKILL)
        store.process.wait()
        store.stop = lambda: 0
    first = world.s3.take()["meta"]
    world.s3.rate = 0
    with world.store() as store:
        wait_until("a look at the bucket", lambda: synced(store) == 1)
        second = world.s3.take()["meta"]
    count = len(world.blocks.ulids)
    print(f"  {first} metas until the kill, {second} after it, of {count}")
    assert 0 < second < count, second


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(sys.argv[1], folder)
        with PlainS3(world.bucket) as world.s3:
            for check in (check_cold_start, check_looks, check_warm_start, check_damaged_snapshot,
                          check_emptied_directory, check_cold_headers, check_throttled_start):
                print(check.__name__)
                check(world)


if __name__ == "__main__":
    main()
