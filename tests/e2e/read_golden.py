#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each golden block, alone in a directory bucket, is read through the store; every byte
of the answers is compared with what the block's writer said that it holds.

usage: read_golden.py <blockhouse-store> [<folder of golden blocks>]

What should be answered is computed here, naively: external labels are put over the
labels of each series, equal series become one, and every matcher is evaluated against
the result with Python's regular expressions.
"""
import contextlib
import glob
import gzip
import itertools
import json
import os
import random
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
import slow_chunks as sc  # noqa: E402
from daemon import Daemon, dir_bucket  # noqa: E402

ALL = ("__name__", "!=", "no such metric")
STALE = f"{sc.STALE:016x}"

# Who knows which encodings, the newest of them being told; the others are encoded anew.
ALL_PLAIN, ALL_STORED = sc.FLOATHISTOGRAM, sc.FLOATHISTOGRAM_ST
CLIENTS = {"Prometheus/2.42.0": ALL_PLAIN, "Prometheus/3.9.1": ALL_PLAIN,
           "Prometheus/3.11.0": sc.XOR2, "Prometheus/3.14.0-rc.1": ALL_STORED}
OTHER_CLIENTS = ("Prometheus/", "Thanos/0.42.5", None)

# Every type of matcher on stored, external, overridden and absent labels. Patterns mean
# the same in RE2 and in Python.
MATCHERS = [(name, kind, value) for kind in ("=", "!=") for name, value in (
    ("__name__", "p"), ("__name__", "nh"), ("__name__", ""), ("__name__", "zz"),
    ("__name__", "http.requests/total"), ("k8s.pod.name", "x"), ("job", "a"), ("a", "1"),
    ("a", ""), ("a", "no name"), ("b", "2"), ("kind", "stale"), ("zz", ""),
    ("ünï", 'köln\n"x"\\'), ("cluster", "eu1"), ("cluster", "mine"), ("cluster", "zz"),
    ("cluster", ""), ("replica", "a"), ("replica", "b"), ("nowhere", ""),
    ("nowhere", "x"))]
MATCHERS += [(name, kind, value) for kind in ("=~", "!~") for name, value in (
    ("__name__", ".*"), ("__name__", ".+"), ("__name__", ""), ("__name__", "p"),
    ("__name__", "p|nh"), ("__name__", "(?:bits|odd|const|absent)"), ("__name__", "g.*"),
    ("__name__", ".*s"), ("__name__", "count_.+"), ("__name__", "[a-g].*|two"),
    ("__name__", "p|"), ("__name__", "(?i)NH"), ("__name__", "http[.]requests/.*"),
    ("__name__", "n"), ("kind", "gauge.*"), ("kind", ".*float"), ("kind", "int|nhcb|x"),
    ("kind", "(gauge|float)+"), ("kind", "[^f].*"), ("a", ".*"), ("a", ".+"), ("a", ""),
    ("a", "1|no name"), ("a", "\\d"), ("ünï", "köln.*"), ("ünï", '(?i)KÖLN\n"x"\\\\'),
    ("cluster", "eu1"), ("cluster", "eu.*"), ("cluster", "mine|zz"), ("cluster", ".+"),
    ("cluster", ""), ("replica", "a|b"), ("replica", "[b-z]"), ("nowhere", ".*"),
    ("nowhere", ".+"), ("nowhere", ""), ("nowhere", "x|"))]


class Golden:
    """One block and the series that a store must answer for it."""

    def __init__(self, folder):
        self.name = os.path.basename(folder)
        [self.block] = glob.glob(os.path.join(folder, "0*"))
        with open(os.path.join(self.block, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        self.begin, self.end = meta["minTime"], meta["maxTime"] - 1
        self.external = meta["thanos"]["labels"]
        self.series = self.final_series(os.path.join(folder, "expected.jsonl.gz"))

    def final_series(self, path):
        """{labels: {(min, max, type, data): [(ms, value)]}}, ascending. A value is the
        bits of a float, or all fields of a histogram."""
        final = {}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                stored = json.loads(line)
                labels = self.final_labels(stored["L"])
                chunks = final.setdefault(labels, {})
                for chunk in stored["C"]:
                    key = (chunk["Min"], chunk["Max"], chunk["Enc"],
                           bytes.fromhex(chunk["Hex"]))
                    chunks[key] = [(sample["T"], expected_value(chunk["Enc"], sample))
                                   for sample in chunk["S"]]
        return {labels: dict(sorted(final[labels].items())) for labels in
                sorted(final, key=label_order)}

    def final_labels(self, stored):
        merged = {**dict(map(tuple, stored)), **self.external}
        return tuple(sorted(merged.items(), key=lambda pair: pair[0].encode()))

    def selected(self, matchers, begin, end):
        """[(labels, [chunk keys])], series without a chunk in the range left out."""
        for labels, chunks in self.series.items():
            if not all(holds(matcher, dict(labels)) for matcher in matchers):
                continue
            inside = [key for key in chunks if key[0] <= end and key[1] >= begin]
            if inside:
                yield labels, inside


def label_order(labels):
    return [(name.encode(), value.encode()) for name, value in labels]


def holds(matcher, labels):
    name, kind, value = matcher
    actual = labels.get(name, "")
    if kind in ("=", "!="):
        return (actual == value) == (kind == "=")
    return bool(re.fullmatch(value, actual, re.DOTALL)) == (kind == "=~")


def hex_of(bits):
    return f"{bits:016x}"


def bits_of(number):
    return hex_of(sc.bits_of(number))


def expected_value(encoding, sample):
    if "V" in sample:
        return sample["V"]
    h = sample["H"]
    is_float = encoding in (3, 6)
    spans = [[(span["Offset"], span["Length"]) for span in h[side] or ()]
             for side in ("neg_spans", "pos_spans")]
    buckets = [list(h.get(side) or ()) for side in
               (("neg", "pos") if is_float else ("neg_delta", "pos_delta"))]
    return (is_float, h["hint"], h["count"], h["zero_count"], h["sum"], h["schema"],
            h["zero_threshold"], *spans, *buckets, list(h.get("custom") or ()))


def value_of(h):
    """The same of a Histogram message."""
    is_float = h.WhichOneof("count") == "count_float"
    assert h.WhichOneof("count") == f"count_{'float' if is_float else 'int'}"
    assert h.WhichOneof("zero_count") == f"zero_count_{'float' if is_float else 'int'}"
    spans = [[(span.offset, span.length) for span in side]
             for side in (h.negative_spans, h.positive_spans)]
    if is_float:
        counts = h.count_float, h.zero_count_float
        buckets = [list(map(bits_of, side)) for side in (h.negative_counts, h.positive_counts)]
        assert not h.negative_deltas and not h.positive_deltas
    else:  # what is expected has these two as floats
        counts = float(h.count_int), float(h.zero_count_int)
        buckets = [list(side) for side in (h.negative_deltas, h.positive_deltas)]
        assert not h.negative_counts and not h.positive_counts
    return (is_float, h.reset_hint, *map(bits_of, counts), bits_of(h.sum), h.schema,
            bits_of(h.zero_threshold), *spans, *buckets, list(map(bits_of, h.custom_values)))


def decoded_value(value):
    """The same of a value of slow_chunks."""
    if isinstance(value, int):
        return hex_of(value)
    counts, buckets = (value.count, value.zero_count), (value.negative, value.positive)
    if value.is_float:
        counts, buckets = map(hex_of, counts), [list(map(hex_of, side)) for side in buckets]
    else:
        counts, buckets = map(bits_of, map(float, counts)), map(list, buckets)
    return (value.is_float, value.hint, *counts, hex_of(value.sum), value.schema,
            hex_of(value.zero_threshold), list(value.negative_spans),
            list(value.positive_spans), *buckets, list(map(hex_of, value.bounds)))


def check_streamed(store, golden, *queries):
    """queries: (matchers, begin, end)."""
    expected = [(index, labels, [(enc, low, high, data) for low, high, enc, data in keys])
                for index, (matchers, begin, end) in enumerate(queries)
                for labels, keys in golden.selected(matchers, begin, end)]
    actual = rr.read_streamed(store, [rr.query(*one) for one in queries])
    if actual == expected:
        return len(expected)
    print(f"{golden.name}: {queries}")
    for wanted, got in itertools.zip_longest(expected, actual):
        if wanted != got:
            print(f"  wanted {str(wanted)[:400]}\n  got    {str(got)[:400]}")
            break
    raise AssertionError(f"{len(actual)} series instead of {len(expected)}, or different")


def matches_one_by_one(store, golden):
    for matcher in MATCHERS:
        check_streamed(store, golden, ([matcher], golden.begin, golden.end))
    print(f"  {len(MATCHERS)} matchers")


def matches_combined(store, golden):
    choose = random.Random(golden.name)
    series = 0
    for _ in range(200):
        matchers = choose.sample(MATCHERS, choose.choice((2, 2, 3, 4)))
        series += check_streamed(store, golden, (matchers, golden.begin, golden.end))
    print(f"  200 combinations of matchers, {series} series")


def cuts_ranges(store, golden):
    """Ranges whose ends lie on, beside and between the borders of chunks."""
    borders = {golden.begin, golden.end}
    for keys in golden.series.values():
        for key in list(keys)[:6]:
            borders.update(key[:2])
    choose = random.Random(golden.name)
    points = sorted({border + by for border in borders for by in (-1, 0, 1)})
    ranges = [choose.sample(points, 2) for _ in range(150)]
    ranges = [sorted(one) for one in ranges] + [[point] * 2 for point in points[::9]]
    ranges += [[-(1 << 63), (1 << 63) - 1], [0, golden.begin - 1], [0, golden.begin],
               [golden.end, 1 << 62], [golden.end + 1, 1 << 62]]
    for begin, end in ranges:
        check_streamed(store, golden, ([ALL], begin, end))
    print(f"  {len(ranges)} time ranges")


def answers_several_queries(store, golden):
    middle = (golden.begin + golden.end) // 2
    nothing = [("nowhere", "=", "x")]
    check_streamed(store, golden, ([("__name__", "=", "p")], golden.begin, golden.end),
                   (nothing, golden.begin, golden.end), ([ALL], middle, golden.end),
                   ([("kind", "=~", ".+")], golden.begin, middle))
    assert rr.read_streamed(store, []) == []
    assert rr.read_streamed(store, [rr.query([], golden.begin, golden.end)]) == [], \
        "no matchers at all select nothing"


def check_chunk(chunk, key, samples, newest):
    """A chunk of an answer to a client that knows the encodings up to newest; key and
    samples are those of the stored chunk."""
    encoding, low, high, data = chunk
    assert (low, high) == key[:2]
    if key[2] <= newest:
        assert (encoding, data) == key[2:], f"chunk at {low} is not as stored"
        return
    assert encoding == key[2] - 3  # the one without start timestamps
    decoded = sc.decode(encoding, data)
    assert [(one.ms, decoded_value(one.value)) for one in decoded] == samples
    header = () if encoding in sc.OF_FLOATS else (sc.header_of(key[2], key[3]),)
    assert sc.encode(encoding, decoded, *header) == data, "as another encoder writes it"


def check_client(store, golden, agent, newest):
    middle = (golden.begin + golden.end) // 2
    for begin, end in (golden.begin, golden.end), (middle, middle):
        answer = rr.read_streamed(store, [rr.query([ALL], begin, end)], agent=agent)
        expected = list(golden.selected([ALL], begin, end))
        assert [labels for _, labels, _ in answer] == [labels for labels, _ in expected]
        for (_, labels, chunks), (_, keys) in zip(answer, expected):
            assert len(chunks) == len(keys)
            for chunk, key in zip(chunks, keys):
                check_chunk(chunk, key, golden.series[labels][key], newest)


def knows_its_clients(store, golden):
    for agent, newest in CLIENTS.items():
        check_client(store, golden, agent, newest)
    for agent in OTHER_CLIENTS:
        check_client(store, golden, agent, ALL_PLAIN)
    print(f"  chunks for {len(CLIENTS) + len(OTHER_CLIENTS)} clients")


def expected_samples(golden, matchers, begin, end):
    for labels, keys in golden.selected(matchers, begin, end):
        samples = [(ms, value) for key in keys
                   for ms, value in golden.series[labels][key] if begin <= ms <= end]
        if samples:
            yield labels, samples


def samples_of(series):
    """By time, floats and histograms together; each in order already."""
    floats = [(s.timestamp, bits_of(s.value)) for s in series.samples]
    histograms = [(h.timestamp, value_of(h)) for h in series.histograms]
    for times in ([ms for ms, _ in floats], [ms for ms, _ in histograms]):
        assert times == sorted(times)
    return sorted(floats + histograms, key=lambda sample: sample[0])


def check_sampled(store, golden, matchers, begin, end):
    [answer] = rr.read_time_series(store, [rr.query(matchers, begin, end)])
    actual = [(rr.labels_of(series), samples_of(series)) for series in answer]
    expected = list(expected_samples(golden, matchers, begin, end))
    assert [labels for labels, _ in actual] == [labels for labels, _ in expected]
    for (labels, got), (_, wanted) in zip(actual, expected):
        assert len(got) == len(wanted), f"{labels}: {len(got)} samples, not {len(wanted)}"
        for one, other in zip(got, wanted):
            assert one == other, f"{labels}:\n  got    {one}\n  wanted {other}"
    return [sample for _, samples in actual for sample in samples]


def check_samples(store, golden):
    """Samples of all encodings arrive bit for bit within the range."""
    third = (golden.end - golden.begin) // 3
    for begin, end in ((golden.begin + third, golden.end - third),
                       (golden.end + 1, golden.end + 9), (golden.begin, golden.begin),
                       (golden.begin, golden.end)):
        samples = check_sampled(store, golden, [ALL], begin, end)
    values = [value for _, value in samples]
    histograms = [value for value in values if not isinstance(value, str)]
    # Of each kind there is something to compare.
    assert {is_float for is_float, *_ in histograms} == {False, True}
    assert any(custom for *_, custom in histograms) and STALE in values
    assert {hint for _, hint, *_ in histograms} == {0, 2, 3}
    assert STALE in [value[4] for value in histograms]
    matchers = [("kind", "=~", ".+"), ("kind", "!=", "stale")]
    check_sampled(store, golden, matchers, golden.begin, golden.end)
    assert rr.read_sampled(store, [rr.query([("a", "=", "?")], golden.begin,
                                            golden.end)] * 2) == [[], []]
    print(f"  {len(values)} samples, {len(histograms)} of them histograms, bit for bit")
    return len(values)


def refuses_one_sample_more(store, golden):
    """A histogram counts as a sample."""
    answer = rr.post(store, rr.encode([rr.query([ALL], golden.begin, golden.end)], []))
    assert 400 <= answer.status < 500 and "--store.read-max-samples" in answer.text, \
        (answer.status, answer.text)


@contextlib.contextmanager
def store_over(program, golden, *flags):
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        shutil.copytree(golden.block, os.path.join(bucket, os.path.basename(golden.block)),
                        ignore=shutil.ignore_patterns("tombstones"))
        with Daemon(program, "--http-address=127.0.0.1:{port}",
                    f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}", *flags) as store:
            yield store


def check(program, golden):
    print(f"{golden.name}: {len(golden.series)} series")
    with store_over(program, golden) as store:
        check_streamed(store, golden, ([ALL], golden.begin, golden.end))
        matches_one_by_one(store, golden)
        matches_combined(store, golden)
        cuts_ranges(store, golden)
        answers_several_queries(store, golden)
        knows_its_clients(store, golden)
        count = check_samples(store, golden)
    with store_over(program, golden, f"--store.read-max-samples={count}") as store:
        check_sampled(store, golden, [ALL], golden.begin, golden.end)
    with store_over(program, golden, f"--store.read-max-samples={count - 1}") as store:
        refuses_one_sample_more(store, golden)
    with store_over(program, golden, "--store.read-encodings=stored") as store:
        for agent in OTHER_CLIENTS:
            check_client(store, golden, agent, ALL_STORED)
        check_client(store, golden, "Prometheus/3.9.1", ALL_PLAIN)


def main():
    program = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "golden")
    folders = sorted(os.path.dirname(path) for path in
                     glob.glob(os.path.join(folder, "*", "expected.jsonl.gz")))
    assert folders, f"no golden blocks below {folder}"
    for one in folders:
        check(program, Golden(one))


if __name__ == "__main__":
    main()
