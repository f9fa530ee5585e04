#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A dashboard of 30 selectors over 7 days, asked again: what the store reads of its bucket,
counted there. Its cache is smaller than what it serves.

usage: dashboard_cache.py <blockhouse-store> <bench_make_data>
"""
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402

FIRST_MS = 1785542400000  # of make_data.c
SERIES, DAYS, STEP_S, BLOCK_HOURS = 1000, 7, 120, 24
END_MS = FIRST_MS + DAYS * 24 * 3600 * 1000
COMPONENTS = ("api", "auth", "cache", "db", "edge", "index")
MEASURES = 5  # of each component
STREAMED = [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS]
CACHE_MB = 16


def make_bucket(make_data, directory):
    bucket = os.path.join(directory, "bucket")
    subprocess.run([make_data, "--series", str(SERIES), "--hours", str(DAYS * 24), "--step",
                    str(STEP_S), "--block-hours", str(BLOCK_HOURS), bucket],
                   check=True, stdout=subprocess.DEVNULL)
    return bucket


def ask(store, matchers):
    body = rr.encode([rr.query(matchers, FIRST_MS, END_MS)], STREAMED)
    reply = rr.post(store, body)
    assert reply.status == 200, reply.text
    return reply.body


def names_of(store):
    series = rr.read_streamed(store, [rr.query([("__name__", "=~", ".+")], FIRST_MS,
                                               FIRST_MS + 3600 * 1000)])
    return sorted({dict(labels)["__name__"] for _, labels, _ in series})


def selectors(names):
    """Five panels for each of six components; every other one of a few jobs only."""
    picked = [name for component in COMPONENTS for name in
              [n for n in names if n.startswith(component + "_")][:MEASURES]]
    assert len(picked) == 30, picked
    return [[("__name__", "=", name)] + ([("job", "=~", "service-[01]")] if i % 2 else [])
            for i, name in enumerate(picked)]


def dashboard(store, s3, panels):
    """(answers, reads, bytes)"""
    s3.take_reads()
    answers = [ask(store, panel) for panel in panels]
    return answers, *s3.take_reads()


def everything(store, s3):
    s3.take_reads()
    size = len(ask(store, [("__name__", "=~", ".+")]))
    reads, read_bytes = s3.take_reads()
    return size, reads, read_bytes


def expect_less(what, first, again, share):
    print(f"  {what}: {again[1]} reads of {again[2]} bytes, at first {first[1]} of {first[2]}")
    assert again[0] == first[0], "the answers differ"
    assert again[1] <= share * first[1], what
    assert again[2] <= share * first[2], what


def with_store(program, bucket, s3, check):
    with tempfile.TemporaryDirectory() as data, \
            Daemon(program, "--http-address=127.0.0.1:{port}", "--http-unready-delay=0s",
                   f"--data-dir={data}", f"--index-cache-size={CACHE_MB}MB",
                   f"--objstore.config={s3.config()}") as store:
        ask(store, [("__name__", "=", "no such metric")])  # index headers are there
        check(store, s3)


def asked_again(store, s3, panels):
    first = dashboard(store, s3, panels)
    assert first[1] > 30 * DAYS, first[1]
    expect_less("again", first, dashboard(store, s3, panels), 0.05)
    size, reads, read_bytes = everything(store, s3)
    print(f"  everything: {reads} reads of {read_bytes} bytes, for {size}")
    assert read_bytes > CACHE_MB << 20, "everything fits into the cache"
    expect_less("after everything", first, dashboard(store, s3, panels), 0.2)


def asked_once_before_everything(store, s3, panels):
    first = dashboard(store, s3, panels)
    everything(store, s3)
    expect_less("once, everything, again", first, dashboard(store, s3, panels), 0.2)
    assert store.metric("blockhouse_store_range_cache_misses_total") > 0


def many_at_once(store, s3, panels):
    """Twelve open the same dashboard at the same time."""
    answers = [None] * 12

    def open_it(i):
        answers[i] = [ask(store, panel) for panel in panels]

    s3.take_reads()
    threads = [threading.Thread(target=open_it, args=(i,)) for i in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reads, _ = s3.take_reads()
    assert all(answer == answers[0] for answer in answers)
    again = dashboard(store, s3, panels)
    assert again[0] == answers[0]
    print(f"  twelve at once: {reads} reads, shared "
          f"{store.metric('blockhouse_store_shared_fetches_total'):.0f}")
    return reads


def main():
    program, make_data = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as directory:
        bucket = make_bucket(make_data, directory)
        with PlainS3(bucket) as s3:
            panels, counts = [], {}

            def find_panels(store, _):
                panels.extend(selectors(names_of(store)))

            with_store(program, bucket, s3, find_panels)
            with_store(program, bucket, s3, lambda *a: asked_again(*a, panels))
            with_store(program, bucket, s3,
                       lambda *a: asked_once_before_everything(*a, panels))

            def one(store, s3):
                counts["one"] = dashboard(store, s3, panels)[1]

            def many(store, s3):
                counts["many"] = many_at_once(store, s3, panels)

            with_store(program, bucket, s3, one)
            with_store(program, bucket, s3, many)
            assert counts["many"] <= 1.1 * counts["one"], counts


if __name__ == "__main__":
    main()
