#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random selectors over a bucket of blocks of every sort are answered exactly as a naive
reading of the blocks says, streamed and sampled: series, their order, times, the bits of
values, every field of histograms. Of streamed answers also: which chunks. Some selectors
are asked without replica labels.

usage: random_selectors.py <blockhouse-store> [--long] [--seed=<number>]
  --long  ten times as many
"""
import argparse
import collections
import contextlib
import functools
import os
import random
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
import slow_chunks as sc  # noqa: E402
from block_model import Bucket, decoded, values_of, without_hint  # noqa: E402
from daemon import Daemon, dir_bucket  # noqa: E402
from mixed_blocks import FIRST_MS, WINDOW_MS, WINDOWS, MixedBlocks, continues  # noqa: E402
from slow_chunks import Histogram  # noqa: E402

# Who asks, and the encodings it is known to know.
NEWEST = "Prometheus/3.16.0"
PLAIN = frozenset((sc.XOR, sc.HISTOGRAM, sc.FLOATHISTOGRAM))
AGENTS = {NEWEST: PLAIN | {sc.XOR2, sc.HISTOGRAM_ST, sc.FLOATHISTOGRAM_ST},
          "Prometheus/3.12.1": PLAIN | {sc.XOR2}, "Prometheus/2.55.0": PLAIN,
          "thanos/0.42.5": PLAIN, "": PLAIN}
WITHOUT_START = {sc.XOR2: sc.XOR, sc.HISTOGRAM_ST: sc.HISTOGRAM,
                 sc.FLOATHISTOGRAM_ST: sc.FLOATHISTOGRAM}
# How many selectors, and which replica labels are dropped.
RUNS = (1000,), (200, "replica"), (100, "replica", "a")
LEAST, MOST = -(1 << 63), (1 << 63) - 1


def check_mixture(bucket):
    """Whether everything is there that is to be answered."""
    kinds = collections.Counter()
    for series in bucket.series.values():
        for chunk in series.chunks:
            kinds[f"encoding {chunk.encoding}"] += 1
        for values in series.stored.values():
            if len(values) > 1:
                kinds[" and ".join(sorted({kind_of(value) for value in values}))] += 1
    print("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for kind in (*(f"encoding {number}" for number in range(1, 7)), "float", "histogram",
                 "float and histogram", "float and stale", "histogram and stale"):
        assert kinds[kind] > 5, f"too few of {kind}"


def kind_of(value):
    if isinstance(value, Histogram):
        return "stale" if value.sum == sc.STALE else "histogram"
    return "stale" if value == sc.STALE else "float"


class Selectors:
    """Random ones. Patterns mean the same in RE2 and in Python."""

    def __init__(self, rng, bucket):
        self.rng = rng
        self.values = {"nowhere": ["", "x"]}
        for labels in bucket.series:
            for name, value in labels:
                self.values.setdefault(name, []).append(value)
        self.names = sorted(self.values)
        for name in self.names:
            self.values[name] = sorted({*self.values[name], "", "other"})
        edges = {chunk.first for series in bucket.series.values() for chunk in series.chunks}
        edges |= {chunk.last for series in bucket.series.values() for chunk in series.chunks}
        edges |= {block.meta[name] for block in bucket.blocks for name in ("minTime", "maxTime")}
        self.edges = sorted(edges)

    def matcher(self, name=None):
        rng = self.rng
        name = name or rng.choice(self.names)
        value, kind = rng.choice(self.values[name]), rng.choice(("=", "!=", "=~", "!~"))
        return name, kind, self.pattern(name, value) if "~" in kind else value

    def pattern(self, name, value):
        rng = self.rng
        words = [word for word in self.values[name] if word.isascii() and word.isalnum()]
        word = rng.choice(words)
        return rng.choice((
            ".*", ".+", "", word, word + "|", f"{word}|{rng.choice(words)}", word[:1] + ".*",
            ".*" + word[-1:], f"(?i){word.upper()}", f"({word}|{rng.choice(words)})+",
            "[a-l].*", "[^a-l].*", ".*[0-9]", value[:2].replace('"', ".") + ".*",
            ".{" + str(len(value)) + "}", "|".join(words)))

    def matchers(self):
        rng = self.rng
        chance = rng.random()
        if chance < 0.02:
            return []
        some = [self.matcher() for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        if chance < 0.6 or not some:
            name = rng.choice(self.values["__name__"])
            some.append(("__name__", rng.choice(("=", "=", "=~")), name))
        if chance > 0.8:
            some.append(self.matcher(rng.choice(("cluster", "replica", "job", "zone"))))
        rng.shuffle(some)
        return some

    def range(self):
        rng = self.rng
        chance = rng.random()
        if chance < 0.1:
            return rng.choice(((LEAST, MOST), (0, MOST), (LEAST, -1), (LEAST, LEAST),
                               (MOST, MOST), (FIRST_MS, FIRST_MS + WINDOWS * WINDOW_MS)))
        begin = rng.choice(self.edges) + rng.choice((-1, 0, 0, 1))
        if chance < 0.2:
            return begin, begin
        if chance < 0.3:
            return begin, rng.choice(self.edges)  # which may be before
        if chance < 0.6:
            return begin, begin + rng.randrange(WINDOW_MS // 4)
        begin = FIRST_MS + rng.randrange(-WINDOW_MS, WINDOWS * WINDOW_MS)
        return begin, begin + rng.choice((0, 1000, WINDOW_MS // 8, WINDOW_MS, 3 * WINDOW_MS))

    def next(self):
        return (self.matchers(), *self.range())


def check_hints(samples):
    """Who says that a counter goes on must be right; who comes first cannot be asked."""
    for before, sample in zip(samples, samples[1:]):
        if isinstance(sample.value, Histogram) and sample.value.hint == sc.NOT_RESET:
            check_continues(before, sample)


def check_continues(before, sample):
    assert isinstance(before.value, Histogram) and continues(before.value, sample.value), \
        f"{before}\nis not continued by\n{sample}"


def check_chunks(expected, chunks, begin, end, known):
    """Of one series of a streamed answer. The number of its samples."""
    answered, last, before = [], None, None
    stored = {sent(one, known) for series in expected.stored for one in series.chunks}
    for chunk in chunks:
        encoding, first_ms, last_ms, data = chunk
        assert encoding in known, f"encoding {encoding}"
        values = values_of(encoding, data)
        times = [ms for ms, _ in values]
        assert times and times == sorted(set(times)), "times of a chunk"
        assert (times[0], times[-1]) == (first_ms, last_ms), "range of a chunk"
        assert last is None or first_ms > last, f"chunks overlap or are out of order at {first_ms}"
        samples = decoded(encoding, data)
        if chunk not in stored:
            check_hints(samples)
            if before and encoding not in sc.OF_FLOATS and \
                    sc.header_of(encoding, data) == sc.NOT_RESET_HEADER:
                check_continues(before, samples[0])
        last, before = last_ms, samples[-1]
        for ms, value in values:
            if begin <= ms <= end:
                answered.append((ms, value))
            else:
                assert any(value in series.stored.get(ms, ()) for series in expected.stored), \
                    f"at {ms}, outside: {value}"
    compare(expected.samples, answered)
    for chunk in expected.untouched:
        assert sent(chunk, known) in chunks, f"{chunk} was touched"
    return len(answered)


@functools.lru_cache(None)
def sent(chunk, known):
    """A chunk that needs no change, as those get it who know these encodings: as it is, or
    as it is but for start timestamps."""
    encoding, data = chunk.encoding, chunk.data
    if encoding not in known:
        header = 0 if encoding in sc.OF_FLOATS else sc.header_of(encoding, data)
        encoding = WITHOUT_START[encoding]
        data = sc.encode(encoding, decoded(chunk.encoding, data), header)
    return encoding, chunk.first, chunk.last, data


def compare(expected, actual):
    if expected == actual:
        return
    missing = [one for one in expected if one not in actual]
    wrong = [one for one in actual if one not in expected]
    raise AssertionError(f"{len(actual)} samples instead of {len(expected)}, or others:\n"
                         f"  missing {missing[:2]}\n  wrong   {wrong[:2]}")


def check_series(expected, labels):
    """Those that have no sample in the range may be missing."""
    assert labels == sorted(set(labels)), f"order of {labels}"
    assert set(labels) <= set(expected), f"more series: {sorted(set(labels) - set(expected))}"
    for one in expected:
        assert one in labels or not expected[one].samples, f"no {one}"


def check_streamed(expected, series, ranges, known):
    """expected: per query; series: as of read_streamed. Numbers of series and samples."""
    indices = [index for index, _, _ in series]
    assert indices == sorted(indices) and set(indices) <= set(range(len(expected)))
    samples = 0
    for number, (begin, end) in enumerate(ranges):
        got = [(labels, chunks) for index, labels, chunks in series if index == number]
        check_series(expected[number], [labels for labels, _ in got])
        for labels, chunks in got:
            with named(labels):
                samples += check_chunks(expected[number][labels], chunks, begin, end, known)
    return len(series), samples


@contextlib.contextmanager
def named(labels):
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{labels}: {error}") from error


def histogram_of(message):
    is_float = message.WhichOneof("count") == "count_float"
    assert message.WhichOneof("zero_count") == \
        ("zero_count_float" if is_float else "zero_count_int")

    def spans(side):
        return tuple((span.offset, span.length) for span in side)

    def bits(doubles):
        return tuple(map(bits_of, doubles))
    if is_float:
        assert not message.positive_deltas and not message.negative_deltas
        counts = {"count": bits_of(message.count_float),
                  "zero_count": bits_of(message.zero_count_float),
                  "positive": bits(message.positive_counts),
                  "negative": bits(message.negative_counts)}
    else:
        assert not message.positive_counts and not message.negative_counts
        counts = {"count": message.count_int, "zero_count": message.zero_count_int,
                  "positive": tuple(message.positive_deltas),
                  "negative": tuple(message.negative_deltas)}
    return Histogram(
        is_float=is_float, sum=bits_of(message.sum), schema=message.schema,
        zero_threshold=bits_of(message.zero_threshold),
        positive_spans=spans(message.positive_spans),
        negative_spans=spans(message.negative_spans), bounds=bits(message.custom_values),
        hint=message.reset_hint, **counts)


def bits_of(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def check_sampled(expected, results):
    """results: as of read_time_series. Numbers of series and samples."""
    series = samples = 0
    for one, result in zip(expected, results, strict=True):
        labels = [rr.labels_of(message) for message in result]
        check_series(one, labels)
        for name, message in zip(labels, result):
            with named(name):
                samples += check_samples(one[name].samples, message)
        series += len(result)
    return series, samples


def check_samples(expected, message):
    floats = [sc.Sample(one.timestamp, bits_of(one.value)) for one in message.samples]
    histograms = [sc.Sample(one.timestamp, histogram_of(one)) for one in message.histograms]
    assert floats or histograms, "a series without samples"
    compare([one for one in expected if not isinstance(one[1], Histogram)],
            [one[:2] for one in floats])
    compare([one for one in expected if isinstance(one[1], Histogram)],
            [(one.ms, without_hint(one.value)) for one in histograms])
    samples = sorted(floats + histograms, key=lambda one: one.ms)
    check_hints(samples)
    return len(samples)


class Asker:
    """Of a store that drops these labels."""

    def __init__(self, store, bucket, dropped=()):
        self.store, self.bucket, self.dropped = store, bucket, dropped

    def ask(self, selectors, agent, func=""):
        """agent: None for a sampled answer."""
        queries = [rr.query(*one) for one in selectors]
        for query in queries:
            query.hints.func = func
        expected = [self.bucket.expected(*one, self.dropped, func == "rate")
                    for one in selectors]
        if agent is None:
            return check_sampled(expected, rr.read_time_series(self.store, queries))
        answer = rr.post(self.store, rr.encode(
            queries, [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS]), agent)
        return check_streamed(expected, rr.series_of(answer), [one[1:] for one in selectors],
                              AGENTS[agent])


def ask_many(asker, rng, count):
    """That many selectors, half of them streamed."""
    source, asked, series, samples = Selectors(rng, asker.bucket), 0, 0, 0
    while asked < count:
        selectors = [source.next() for _ in range(1 if rng.random() < 0.9 else 3)]
        agent = rng.choice([NEWEST, *AGENTS]) if rng.random() < 0.5 else None
        func = rng.choice(("", "rate", "max_over_time"))
        try:
            counts = asker.ask(selectors, agent, func)
        except AssertionError:
            print(f"--- selector {asked}, {'sampled' if agent is None else agent!r}, "
                  f"{func!r}: {selectors}")
            raise
        asked += len(selectors)
        series, samples = series + counts[0], samples + counts[1]
    print(f"  {asked} selectors without {asker.dropped}: {series} series, {samples} samples")
    assert series > asked and samples > 10 * asked, "too little is selected to mean something"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"seed {given.seed}")
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as directory:
        blocks = os.path.join(directory, "bucket")
        MixedBlocks(rng, blocks).write()
        bucket = Bucket(blocks)
        print(f"  {len(bucket.blocks)} blocks, {len(bucket.served)} of them served, with "
              f"{sum(len(one.times) for one in bucket.series.values())} samples of "
              f"{len(bucket.series)} series")
        check_mixture(bucket)
        for share, *dropped in RUNS:
            with Daemon(given.store, "--http-address=127.0.0.1:{port}",
                        f"--data-dir={directory}/data",
                        f"--objstore.config={dir_bucket(blocks)}",
                        *(f"--store.replica-label={name}" for name in dropped)) as store:
                ask_many(Asker(store, bucket, dropped), rng,
                         share * (10 if given.long else 1))


if __name__ == "__main__":
    main()
