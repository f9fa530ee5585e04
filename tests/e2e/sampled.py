#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sampled answers that are too large to be held: right to the bit, in little memory, and
never a clean end when the second reading of the blocks goes wrong.

usage: sampled.py <blockhouse-store> <bench_make_data>
"""
import contextlib
import glob
import http.client
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
import slow_chunks as sc  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402

SERIES, HOURS, STEP_MS = 2000, 8, 15000
SAMPLES = SERIES * HOURS * 3600000 // STEP_MS
FIRST_MS = 1785542400000  # of make_data.c
LAST_MS = FIRST_MS + HOURS * 3600000
ALL = ("__name__", "!=", "no such metric")
SMALL = ("__name__", "=", "api_load_ratio")
RESIDENT_MIB = 32  # all that is read has 18 MB, the answer 45 MB and 69 MB uncompressed
SKIPPED = "Blockhouse-Skipped-Blocks"


def make_bucket(make_data, directory):
    bucket = os.path.join(directory, "bucket")
    subprocess.run([make_data, "--series", str(SERIES), "--hours", str(HOURS), bucket],
                   check=True, stdout=subprocess.DEVNULL)
    return bucket


@contextlib.contextmanager
def store_over(program, bucket, *flags):
    with tempfile.TemporaryDirectory() as data, \
            Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={data}",
                   f"--objstore.config={dir_bucket(bucket)}", "--store.lookahead=1MiB",
                   "--index-cache-size=0", "--http-unready-delay=0s", *flags) as store:
        yield store


def request(*queries):
    """queries: (matcher, begin, end)."""
    return rr.encode([rr.query([matcher], begin, end) for matcher, begin, end in queries],
                     [rr.pb.ReadRequest.SAMPLES])


def ask(store, *queries):
    return rr.post(store, request(*queries), timeout=120)


def results_of(answer):
    assert answer.status == 200, (answer.status, answer.text)
    return rr.pb.ReadResponse.FromString(rr.snappy.decompress(answer.body)).results


def bits_of(sample):
    return sample.timestamp, sc.bits_of(sample.value)


def check_series(store, result, matcher, begin, end):
    """Every 50th series against the chunks of a streamed answer, of the rest what they
    are and how many samples they have."""
    streamed = rr.read_streamed(store, [rr.query([matcher], begin, end)])
    assert [rr.labels_of(one) for one in result.timeseries] == \
        [labels for _, labels, _ in streamed]
    for number, (_, _, chunks) in enumerate(streamed):
        got = result.timeseries[number].samples
        if number % 50:
            assert len(got) > 0
            continue
        wanted = [(sample.ms, sample.value) for chunk in chunks
                  for sample in sc.decode(chunk[0], chunk[3]) if begin <= sample.ms <= end]
        assert [bits_of(sample) for sample in got] == wanted, f"series {number} differs"


def is_right(program, bucket):
    middle = (FIRST_MS + LAST_MS) // 2 + 7
    with store_over(program, bucket) as store:
        answer = ask(store, (ALL, FIRST_MS, LAST_MS))
        assert answer.headers["Content-Length"] is None, "it was held as a whole"
        store.check_resident(RESIDENT_MIB, "a large sampled answer")
        [everything] = results_of(answer)
        assert sum(len(one.samples) for one in everything.timeseries) == SAMPLES
        check_series(store, everything, ALL, FIRST_MS, LAST_MS)
        answer = ask(store, (SMALL, FIRST_MS, LAST_MS))
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        [small] = results_of(answer)
        check_series(store, small, SMALL, FIRST_MS, LAST_MS)
        nothing = ("__name__", "=", "no such metric")
        ranges = [(SMALL, middle, LAST_MS), (nothing, FIRST_MS, LAST_MS),
                  (ALL, FIRST_MS, middle), (SMALL, LAST_MS + 1, LAST_MS + 2),
                  (ALL, middle, middle + 3600000)]
        results = results_of(ask(store, *ranges))
        assert len(results) == len(ranges)
        for result, one in zip(results, ranges):
            check_series(store, result, *one)
    print(f"  {len(ranges) + 2} results, of which {SAMPLES} samples in one")


def reads_little_once(program, bucket):
    """What is small is not read again, and of what is large nothing is counted twice."""
    with store_over(program, bucket) as store:
        fetches = []
        for accepted in ([rr.pb.ReadRequest.STREAMED_XOR_CHUNKS], [rr.pb.ReadRequest.SAMPLES]):
            before = store.metric("blockhouse_store_fetches_total")
            body = rr.encode([rr.query([SMALL], FIRST_MS, LAST_MS)], accepted)
            assert rr.post(store, body).status == 200
            wait_until("the query to be counted", lambda: store.metric(
                "blockhouse_store_fetches_total") > before)
            fetches.append(store.metric("blockhouse_store_fetches_total") - before)
        assert fetches[0] == fetches[1], fetches
    entries = SERIES * HOURS // 2  # a block has two hours
    with store_over(program, bucket, f"--store.limits.request-series={entries}",
                    f"--store.limits.request-samples={SAMPLES + 120 * SERIES}",
                    f"--store.read-max-samples={SAMPLES}") as store:
        assert ask(store, (ALL, FIRST_MS, LAST_MS)).status == 200
    with store_over(program, bucket, f"--store.read-max-samples={SAMPLES - 1}") as store:
        answer = ask(store, (ALL, FIRST_MS, LAST_MS))
        assert 400 <= answer.status < 500 and "--store.read-max-samples" in answer.text, \
            (answer.status, answer.text)


class Damage:
    """Flips a bit near the end of each segment file, until it is over."""

    def __init__(self, bucket):
        self.paths = sorted(glob.glob(os.path.join(bucket, "*", "chunks", "*")))

    def flip(self, share):
        for path in self.paths:
            with open(path, "r+b") as file:
                file.seek(int(os.path.getsize(path) * share))
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 0x10]))

    def __enter__(self):
        self.flip(0.9)
        return self

    def __exit__(self, *_):
        self.flip(0.9)


def begin(store):
    """A large answer of which only the beginning was taken: samples are counted, and the
    store waits for its reader."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
    connection.request("POST", "/api/v1/read", body=request((ALL, FIRST_MS, LAST_MS)))
    reply = connection.getresponse()
    assert reply.status == 200
    assert len(reply.read(1 << 16)) == 1 << 16
    return connection, reply


def ends_badly(reply):
    try:
        reply.read()
    except (http.client.IncompleteRead, ConnectionError):
        return True
    return False


def breaks_off(program, bucket):
    for policy, words in (("fail", "chunk at"), ("skip", "second time")):
        with store_over(program, bucket, f"--store.bad-block={policy}") as store:
            connection, reply = begin(store)
            with contextlib.closing(connection), Damage(bucket):
                assert ends_badly(reply), f"{policy}: a clean end"
            wait_until("the error in the log", lambda: words in store.log_text())
            assert ask(store, (ALL, FIRST_MS, LAST_MS)).status == 200
    print("  damage that appears breaks the answer off")
    with store_over(program, bucket, "--store.bad-block=skip") as store, Damage(bucket) as damage:
        answer = ask(store, (ALL, FIRST_MS, LAST_MS))
        [result] = results_of(answer)
        assert 0 < SAMPLES - sum(len(one.samples) for one in result.timeseries) <= \
            120 * len(damage.paths)
        assert answer.headers[SKIPPED].count(",") == len(damage.paths) - 1, answer.headers
        for name in ("damages_total", "damages_skipped_total"):
            assert store.metric(f"blockhouse_store_block_{name}") == len(damage.paths), name
    print("  damage that stays is left out, and counted once")


def lets_go(program, bucket):
    """The reader leaves."""
    with store_over(program, bucket) as store:
        connection, reply = begin(store)
        reply.close()
        connection.close()
        wait_until("the query to end", lambda: store.metric(
            "thanos_bucket_store_series_gate_queries_in_flight") == 0)
        assert ask(store, (ALL, FIRST_MS, LAST_MS)).status == 200


def main():
    program, make_data = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as directory:
        bucket = make_bucket(make_data, directory)
        is_right(program, bucket)
        reads_little_once(program, bucket)
        breaks_off(program, bucket)
        lets_go(program, bucket)


if __name__ == "__main__":
    main()
