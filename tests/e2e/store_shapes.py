#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks of extreme shapes: very many series, values of a label, bytes of symbols or
segments, and hardly anything, at either end of the time that people use. Each is answered
right, and building its index header takes little memory, whatever its size.

usage: store_shapes.py BUILD [--long]
  --long  10 000 000 series, 5 000 000 values and 500 MB of symbols (15 GB of disk) instead
          of a fiftieth of that; 1 000 segments it always is
"""
import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import remote_read as rr  # noqa: E402
import slow_block as sb  # noqa: E402
import slow_chunks as sc  # noqa: E402
from daemon import Daemon, dir_bucket, is_sanitized, wait_until  # noqa: E402
from resident import resident  # noqa: E402
from store_wide_block import CODES, LIMIT, PER_METRIC, Asker, Tools, Values  # noqa: E402

PART = 50
SERIES, VALUES, LONG, LONG_BYTES, SEGMENTS = 10_000_000, 5_000_000, 500_000, 1000, 1000
# Above an idle store: buffers of the two streams, the pages that are being written, and
# what of the header's pages the cache keeps.
BUILD_MIB = 8
BUILT_S = 1200
EPOCH_MS, YEAR_2100_MS = 0, 4_102_444_800_000
LOADED, UNSEEN = "thanos_bucket_store_block_load_duration_seconds_count", \
    "blockhouse_store_unseen_headers"


def long_id(digits):
    return digits + "x" * (LONG_BYTES - len(digits))


def reads_of_series(count):
    metrics = count // PER_METRIC
    yield ["__name__=metric_0003", "code=2", "pod=pod-0100"], 1
    yield [f"__name__=metric_{metrics - 1:04}"], PER_METRIC
    yield ["pod=pod-0100"], metrics * CODES
    yield ["code=9"], 0


def reads_of_values(count):
    ids = Values(count).ids
    yield [f"id={ids[count // 2]}"], 1
    yield ["__name__=wide", f"id=~{ids[7]}|{ids[-1]}|nothing"], 2
    yield ["id=~00[0-9]+"], len(Values(count).matching("00[0-9]+"))


def reads_of_long(count):
    ids = Values(count).ids
    yield [f"id={long_id(ids[count // 2])}"], 1
    yield [f"id={ids[0]}"], 0
    yield [f"id=~{ids[7]}x+|{ids[-1]}x+"], 2


def reads_of_segments(count):
    yield from reads_of_values(count)
    yield ["__name__=wide"], count


def store_over(tools, directory, bucket):
    return Daemon(tools.store, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/d",
                  f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s", LIMIT,
                  "--store.query-timeout=10m")


def peak_mib(store):
    return resident(store.process.pid)["VmHWM"] / 1024


def idle_mib(tools):
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        os.mkdir(bucket)
        with store_over(tools, directory, bucket) as store:
            return peak_mib(store)


def size_mb(*paths):
    return sum(path.stat().st_size for path in paths) / 1e6


def check_wide(tools, idle, kind, count, reads):
    """Problems of a block that make_wide_block writes."""
    with tempfile.TemporaryDirectory() as directory:
        bucket = pathlib.Path(directory, "bucket")
        subprocess.run([tools.make, kind, str(count), bucket], check=True)
        begin = time.monotonic()
        with store_over(tools, directory, bucket) as store:
            wait_until("the header", lambda: store.metric(LOADED) == 1
                       and store.metric(UNSEEN) == 0, BUILT_S)
            built_s, extra = time.monotonic() - begin, peak_mib(store) - idle
            print(f"{count} {kind}: index of {size_mb(*bucket.glob('*/index')):.1f} MB, header "
                  f"of {size_mb(*pathlib.Path(directory, 'd').glob('*.bhx')):.1f} MB built in "
                  f"{built_s:.1f} s with {extra:.1f} MiB more than the {idle:.0f} of an idle "
                  "store")
            asker = Asker(tools.client, store)
            for selectors, wanted in reads(count):
                what = "read " + ", ".join(one[:30] for one in selectors)
                asker.ask(what, asker.read, selectors, wanted)
            if extra > BUILD_MIB and not is_sanitized(tools.store):
                asker.problems.append(f"{kind}: the header took {extra:.1f} MiB")
            if asker.outcomes["refused"]:
                asker.problems.append(f"{kind}: {asker.outcomes['refused']} were refused")
            return asker.problems


def tiny_blocks():
    """(name, series as slow_block has them, or None of an empty block)"""
    def series(name, first, count):
        samples = [sc.Sample(first + 15000 * at, sc.bits_of(at)) for at in range(count)]
        return {(("__name__", name),): [sb.chunk_of(sc.XOR, samples)]}
    yield "empty", {}
    yield "one", series("one", 1_750_000_000_000, 1)
    yield "epoch", series("epoch", EPOCH_MS, 100)
    yield "far", series("far", YEAR_2100_MS, 100)


def check_tiny(tools):
    """In one bucket."""
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        blocks = list(tiny_blocks())
        for number, (_, series) in enumerate(blocks):
            sb.write_block(bucket, sb.ulid_of(1_750_000_000_000, number), series, {"c": "1"},
                           span=None if series else (0, 7_200_000))
        with store_over(tools, directory, bucket) as store:
            assert store.metric("thanos_bucket_store_blocks_loaded") == len(blocks)
            for name, series in blocks:
                wanted = [(0, (("__name__", name), ("c", "1")), [
                    (one.encoding, one.first, one.last, one.data) for one in chunks])
                    for chunks in series.values()]
                got = rr.read_streamed(store, [rr.query([("__name__", "=", name)],
                                                        -(1 << 62), 1 << 62)])
                assert got == wanted, f"{name}: {str(got)[:300]}"
                for _, _, [(_, low, high, _)] in wanted:
                    at_ends = [rr.query([("__name__", "!=", "")], ms, ms) for ms in (low, high)]
                    found = rr.read_streamed(store, at_ends)
                    assert [labels for _, labels, _ in found] == [wanted[0][1]] * 2, found
        print(f"  {', '.join(name for name, _ in blocks)}: right")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", help="one kind")
    o = parser.parse_args()
    part = 1 if o.long else PART
    tools, problems = Tools(o.build), []
    idle = idle_mib(tools)
    for kind, count, reads in (("series", SERIES // part, reads_of_series),
                               ("values", VALUES // part, reads_of_values),
                               ("long", LONG // part, reads_of_long),
                               ("segments", SEGMENTS, reads_of_segments)):
        if o.only in (None, kind):
            problems += check_wide(tools, idle, kind, count, reads)
    check_tiny(tools)
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
