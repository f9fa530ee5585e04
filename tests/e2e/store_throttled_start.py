#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cold store over a bucket that answers a limited number of requests a second and tells
who asks more to slow down: it is ready in little more than the time that this many
requests need, asks for each object once, and shows how far it is, in metrics and in few
lines of the log.

usage: store_throttled_start.py <blockhouse-store> [--long]
  --long  3 000 blocks and 100 requests a second, as long as two minutes, instead of fewer
          of both
"""
import argparse
import os
import pathlib
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, is_sanitized  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402
from tiny_blocks import OBJECTS, TinyBlocks  # noqa: E402

FEW, MANY = (600, 60), (3000, 100)  # blocks, requests a second
TIMES = 4                           # of what the rate allows: 120 s for the many
SANITIZED_TIMES = 2
REFUSED_PART = 0.2                  # of all requests
LISTED, UNREAD = "blockhouse_store_listed_blocks", "blockhouse_store_unread_metas"


class Watched(Daemon):
    """Notes how many blocks are known whenever it is asked whether it is ready."""

    def __enter__(self):
        self.known = []
        return super().__enter__()

    def is_ready(self):
        if super().is_ready():
            return True
        try:
            self.known.append(int(self.metric(LISTED) - self.metric(UNREAD)))
        except OSError:
            pass
        time.sleep(0.1)
        return False


def lines_of(store, message):
    return [line for line in store.log_text().splitlines() if message in line]


def check(program, directory, blocks, rate):
    bucket = directory / "bucket"
    bucket.mkdir()
    tiny = TinyBlocks(str(bucket))
    for _ in range(blocks):
        tiny.add()
    with PlainS3(bucket) as s3:
        s3.rate = rate
        limit_s = blocks / rate * TIMES * (SANITIZED_TIMES if is_sanitized(program) else 1)
        Watched.ready_s = limit_s
        begin = time.monotonic()
        with Watched(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                     f"--objstore.config={s3.config()}", "--http-unready-delay=0s",
                     "--sync-block-duration=1h") as store:
            took_s = time.monotonic() - begin
            counts = s3.take()
            print(f"  {blocks} blocks, {rate} requests a second: ready after {took_s:.1f} s, "
                  f"{dict(counts)}")
            check_requests(counts, blocks)
            check_progress(store, blocks, took_s)


def check_requests(counts, blocks):
    assert counts["meta"] == blocks, counts
    assert counts["list"] <= blocks * OBJECTS // 1000 + 2, counts
    assert 0 < counts["refused"] <= REFUSED_PART * blocks, counts


def check_progress(store, blocks, took_s):
    known = sorted(set(store.known))
    between = [count for count in known if 0 < count < blocks]
    print(f"  known meanwhile: {between}")
    assert store.known == sorted(store.known), store.known
    assert len(between) >= 2, known
    assert store.metric(LISTED) == blocks and store.metric(UNREAD) == 0
    told = lines_of(store, 'msg="reading metas"')
    print(f"  {len(told)} lines tell of it, of {len(store.log_text().splitlines())}")
    assert 1 <= len(told) <= took_s / 4 + 1, told
    assert not lines_of(store, 'msg="block failed"')
    assert len(store.log_text().splitlines()) <= 30 + 2 * len(told), store.log_text()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        check(arguments.program, pathlib.Path(directory), *(MANY if arguments.long else FEW))


if __name__ == "__main__":
    main()
