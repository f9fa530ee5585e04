#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A streamed answer takes the same memory however long it is: one client reads it as fast
as it can, a second one slowly meanwhile, and the store keeps within 64 MiB of what it has
resident when idle.

usage: store_big_stream.py BUILD [--long]
  --long  an answer of 10 GB (1 GB of disk) instead of 0.3
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, is_sanitized, wait_until  # noqa: E402
from resident import Peak, resident  # noqa: E402

ROOM_MIB = 64
STEP_S = 15
SLOW_PAUSE_S, SLOW_BYTES = 0.1, 64 << 10
READ_HEAD = ("POST /api/v1/read HTTP/1.1\r\nHost: h\r\nContent-Encoding: snappy\r\n"
             "Content-Type: application/x-protobuf\r\n"
             "X-Prometheus-Remote-Read-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n")
# copies: of each block, whose series differ from each other in an external label.
Size = collections.namedtuple("Size", "series hours block_hours copies least_bytes")
QUICK = Size(10000, 8, 2, 3, 280e6)
LONG = Size(22000, 40, 10, 10, 10e9)


def link_block(bucket, ulid, number):
    """The block ulid once more: the same files, but series of another replica."""
    copy = ulid[:-2] + f"{number:02}"
    assert copy != ulid
    os.makedirs(os.path.join(bucket, copy, "chunks"))
    files = [os.path.join("chunks", name)
             for name in os.listdir(os.path.join(bucket, ulid, "chunks"))]
    for name in files + ["index"]:
        os.link(os.path.join(bucket, ulid, name), os.path.join(bucket, copy, name))
    with open(os.path.join(bucket, ulid, "meta.json"), encoding="utf-8") as file:
        meta = json.load(file)
    meta["ulid"] = copy
    meta["compaction"]["sources"] = [copy]
    meta["thanos"]["labels"]["replica"] = f"copy-{number}"
    with open(os.path.join(bucket, copy, "meta.json"), "w", encoding="utf-8") as file:
        json.dump(meta, file)


def make_bucket(make_data, bucket, size):
    subprocess.run([make_data, "--series", str(size.series), "--hours", str(size.hours),
                    "--step", str(STEP_S), "--block-hours", str(size.block_hours), bucket],
                   check=True)
    for ulid in os.listdir(bucket):
        for number in range(1, size.copies):
            link_block(bucket, ulid, number)


class SlowReader(threading.Thread):
    """Asks for everything, and takes its time over it until it is told to leave."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.leaves = threading.Event()
        self.bytes, self.is_at_end = 0, False
        self.connection = store.connect()

    def run(self):
        body = rr.encode([rr.query([("__name__", "!=", "")], 0, 1 << 60)],
                         [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS])
        with self.connection:
            self.connection.sendall(READ_HEAD.format(len(body)).encode() + body)
            while not self.leaves.wait(SLOW_PAUSE_S):
                piece = self.connection.recv(SLOW_BYTES)
                self.bytes += len(piece)
                self.is_at_end = self.is_at_end or not piece or piece.endswith(b"\r\n0\r\n\r\n")


def read_fast(client, store, size):
    """Seconds to the last byte and bytes of an answer that is right."""
    url = f"http://127.0.0.1:{store.port}/api/v1/read"
    text = subprocess.run([client, "--verify", url, "__name__!="], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()
    seconds, count = float(text[0]), int(text[2])
    series = size.series * size.copies
    assert [int(text[3]), int(text[4])] == [series, series * size.hours * 3600 // STEP_S], text
    assert count >= size.least_bytes, f"only {count} bytes"
    return seconds, count


def check(client, store, size):
    idle = resident(store.process.pid)
    slow = SlowReader(store)
    with Peak(store.process.pid) as peak:
        slow.start()
        wait_until("the slow reader's first bytes", lambda: slow.bytes > 0)
        seconds, count = read_fast(client, store, size)
        slow_bytes = slow.bytes
    slow.leaves.set()
    slow.join()
    whole = peak.whole - idle["VmRSS"] / 1024
    anonymous = peak.anonymous - idle["RssAnon"] / 1024
    print(f"{count / 1e6:.0f} MB in {seconds:.1f} s, beside {slow_bytes / 1e6:.1f} MB of a slow "
          f"reader; MiB resident: idle {idle['VmRSS'] / 1024:.0f}, peak {whole:.0f} more, "
          f"of no file {anonymous:.0f} more")
    assert slow_bytes > 0 and not slow.is_at_end, "the slow reader was not slow"
    assert is_sanitized(store.command[0]) or max(whole, anonymous) <= ROOM_MIB
    wait_until("the slow reader's slot", lambda: store.metric(
        "thanos_bucket_store_series_gate_queries_in_flight") == 0)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--long", action="store_true")
    o = parser.parse_args()
    size = LONG if o.long else QUICK
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        make_bucket(os.path.join(o.build, "tests/bench/bench_make_data"), bucket, size)
        with Daemon(os.path.join(o.build, "blockhouse-store"),
                    "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s",
                    "--store.query-timeout=1h") as store:
            check(os.path.join(o.build, "tests/bench/bench_read_client"), store, size)


if __name__ == "__main__":
    main()
