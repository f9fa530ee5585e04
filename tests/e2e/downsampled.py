#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Downsampled blocks, alone and beside raw ones: every function gets its aggregate, of
the resolution that it can use, holes are filled, and what is left falls back; bit for
bit, streamed and sampled.

usage: downsampled.py <blockhouse-store>

What should be answered is computed here, naively, from what the blocks' writer said
that they hold. Raw blocks are made by promtool; without it, status 77.
"""
import copy
import glob
import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket  # noqa: E402
import slow_chunks as sc  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "golden", "downsampled")
MINUTE, HOUR, DAY = 60000, 3600000, 86400000
RAW, R5M, R1H = 0, 5 * MINUTE, HOUR
ALL = ("__name__", "!=", "no such metric")
FUNCTIONS = {
    "min": ("min", "min_over_time"), "max": ("max", "max_over_time"),
    "count": ("count", "count_over_time", "count_values"), "sum": ("sum_over_time",),
    "counter": ("rate", "irate", "increase", "resets", "xrate", "xincrease"),
    "average": ("", "sum", "avg", "avg_over_time", "delta", "last_over_time", "quantile")}
RESETS_EVERY = 700  # raw samples


class Golden:
    """A block as its expected.jsonl.gz tells."""

    def __init__(self, resolution):
        self.resolution = resolution
        folder = os.path.join(GOLDEN, str(resolution))
        [self.path] = glob.glob(os.path.join(folder, "0*"))
        with open(os.path.join(self.path, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        self.external = meta["thanos"]["labels"]
        self.begin, self.end = meta["minTime"], meta["maxTime"]
        self.series = {}
        with gzip.open(os.path.join(folder, "expected.jsonl.gz"), "rt") as file:
            for line in file:
                stored = json.loads(line)
                labels = {**dict(map(tuple, stored["L"])), **self.external}
                self.series[tuple(sorted(labels.items()))] = [
                    {kind: [(ms, int(bits, 16)) for ms, bits in chunk.get(kind) or ()]
                     for kind in ("count", "sum", "min", "max", "counter")}
                    for chunk in stored["C"]]


    def between(self, begin, end):
        """Of it, the chunks with a window in a range."""
        part = copy.copy(self)
        part.series = {labels: [chunk for chunk in chunks if chunk["count"][0][0] <= end and
                                chunk["count"][-1][0] >= begin]
                       for labels, chunks in self.series.items()}
        return part


class Raw:
    """Raw samples, in blocks of promtool: counters that fall now and then."""

    def __init__(self, directory, series, begin, end):
        self.begin, self.end = begin, end
        self.series = {}
        lines = ["# TYPE metric unknown"]
        for number, labels in enumerate(series):
            samples, value = [], 100.0 * number
            for index, ms in enumerate(range(begin + 7, end, MINUTE)):
                value = 3.0 if index % RESETS_EVERY == 99 else value + (index * 7) % 11
                samples.append((ms, bits_of(value)))
            self.series[labels] = samples
            lines += self.lines(labels, samples)
        os.makedirs(directory)
        text = os.path.join(directory, "raw.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n# EOF\n")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q",
                        text, os.path.join(directory, "blocks")], check=True,
                       stdout=subprocess.DEVNULL)
        self.paths = glob.glob(os.path.join(directory, "blocks", "0*"))

    @staticmethod
    def lines(labels, samples):
        own = {name: value for name, value in labels if name not in ("cluster", "replica")}
        text = ",".join(f'{name}="{value}"' for name, value in own.items()
                        if name != "__name__")
        return [f"{own['__name__']}{{{text}}} {value_of(bits)!r} {ms // 1000}.{ms % 1000:03}"
                for ms, bits in samples]


def bits_of(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def value_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


class Counter:
    """The series that counter aggregates and raw chunks make, as the format says."""

    def __init__(self):
        self.samples, self.last_ms, self.last, self.total = [], None, None, None
        self.is_cut = False

    def add(self, ms, bits):
        value = value_of(bits)
        if value != value or (self.last_ms is not None and ms < self.last_ms):
            return
        if ms != self.last_ms:
            if self.last is None:
                self.total = value
            elif not self.is_cut:
                self.total += value - self.last if value >= self.last else value
            self.is_cut = False
            self.last_ms = ms
            self.samples.append((ms, bits_of(self.total)))
        self.last = value

    def cut(self):
        self.is_cut = self.last is not None


def keeps(parts, ms):
    return any(low <= ms <= high for low, high in parts)


def expected_of(sources, kind):
    """{labels: samples}. sources: (block, parts), those of no overlap in time order."""
    labels = {one for block, _ in sources for one in block.series}
    return {one: samples for one in sorted(labels) if
            (samples := expected_series(one, sources, kind))}


def expected_series(labels, sources, kind):
    pieces = []  # (first ms, is aggregated, samples of a chunk, parts)
    for block, parts in sources:
        found = block.series.get(labels, [])
        if isinstance(block, Raw):
            pieces += [(ms, False, [(ms, bits)], parts) for ms, bits in found]
        else:
            pieces += [(max(chunk["count"][0][0], part[0]), True,
                        aggregate(chunk, kind), [part]) for chunk in found for part in parts]
    pieces.sort(key=lambda piece: piece[0])
    if kind != "counter" or not any(piece[1] for piece in pieces):
        return sorted(sample for _, _, samples, parts in pieces for sample in samples
                      if keeps(parts, sample[0]))
    counter = Counter()
    for _, is_aggregated, samples, parts in pieces:
        kept = [sample for sample in samples if keeps(parts, sample[0])]
        has_resets = is_aggregated and samples[-1][1] != samples[-2][1]
        if kept and kept[0] != samples[0] and has_resets:
            counter.cut()
        for sample in kept:
            counter.add(*sample)
        if kept and kept[-1] != samples[-1] and has_resets:
            counter.cut()
    return counter.samples


def aggregate(chunk, kind):
    if kind != "average":
        return chunk[kind]
    assert [ms for ms, _ in chunk["sum"]] == [ms for ms, _ in chunk["count"]]
    return [(ms, bits_of(value_of(total) / value_of(count))) for (ms, total), (_, count)
            in zip(chunk["sum"], chunk["count"])]


def query(matchers, begin, end, func=None, step=0, window=0):
    one = rr.query(matchers, begin, end)
    if func is not None:
        one.hints.CopyFrom(rr.pb.ReadHints(func=func, step_ms=step, range_ms=window,
                                           start_ms=begin, end_ms=end))
    return one


def streamed(store, one):
    found = {}
    for index, labels, chunks in rr.read_streamed(store, [one]):
        assert index == 0 and labels not in found
        samples = found[labels] = []
        for encoding, low, high, data in chunks:
            inside = [(sample.ms, sample.value) for sample in sc.decode_xor(data)]
            assert encoding == 1 and inside, "not a chunk of floats"
            assert (low, high) == (inside[0][0], inside[-1][0]), "times are not exact"
            assert not samples or samples[-1][0] < low, "chunks overlap"
            samples += inside
        assert all(a[0] < b[0] for a, b in zip(samples, samples[1:])), "no order"
    return found


def cut(series, begin, end):
    """Series whose last samples went are gone, too."""
    inside = {labels: [sample for sample in samples if begin <= sample[0] <= end]
              for labels, samples in series.items()}
    return {labels: samples for labels, samples in inside.items() if samples}


def compare(actual, expected, what):
    assert list(actual) == list(expected), f"{what}: {len(actual)} series, not {len(expected)}"
    for labels, samples in expected.items():
        if actual[labels] != samples:
            wrong = [pair for pair in zip(actual[labels], samples) if pair[0] != pair[1]]
            raise AssertionError(f"{what}: {labels}: {len(actual[labels])} samples, not "
                                 f"{len(samples)}; first other ones {wrong[:2]}")


def check(store, one, expected, what):
    begin, end = one.start_timestamp_ms, one.end_timestamp_ms
    expected = cut(expected, begin, end)
    compare(cut(streamed(store, one), begin, end), expected, f"{what}, streamed")
    [answer] = rr.read_sampled(store, [one])
    sampled = {labels: [(ms, bits_of(value)) for ms, value in samples]
               for labels, samples in answer}
    compare(sampled, expected, f"{what}, sampled")


def check_functions(store, begin, end, step, sources, what, kinds=tuple(FUNCTIONS)):
    count = 0
    for kind in kinds:
        names = FUNCTIONS[kind]
        expected = expected_of(sources, kind)
        check(store, query([ALL], begin, end, names[0], step, step), expected,
              f"{what}: {kind}")
        bodies = {rr.post_streamed(store, [query([ALL], begin, end, name, step, step)]).body
                  for name in names}
        assert len(bodies) == 1, f"{what}: one of {names} is answered otherwise"
        count += sum(map(len, expected.values()))
    print(f"  {what}: {count} samples of {len(kinds)} kinds of functions")


def put(bucket, path, external=None):
    name = os.path.basename(path)
    target = os.path.join(bucket, name)
    shutil.copytree(path, target, ignore=shutil.ignore_patterns("tombstones"))
    if external is None:
        return
    with open(os.path.join(target, "meta.json"), encoding="utf-8") as file:
        meta = json.load(file)
    meta["thanos"] = {"version": 1, "labels": external, "downsample": {"resolution": 0},
                      "source": "sidecar"}
    with open(os.path.join(target, "meta.json"), "w", encoding="utf-8") as file:
        json.dump(meta, file)


def serve(program, directory, *flags):
    bucket = os.path.join(directory, "bucket")
    data = tempfile.mkdtemp(dir=directory)
    return Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={data}",
                  f"--objstore.config={dir_bucket(bucket)}", *flags)


ALWAYS = [(-1 << 63, (1 << 63) - 1)]


def answers_from_one_block(program, directory, golden):
    put(os.path.join(directory, "bucket"), golden.path)
    alone = [(golden, ALWAYS)]
    begin, end = golden.begin, golden.end - 1
    with serve(program, directory) as store:
        check_functions(store, begin, end, 5 * golden.resolution, alone,
                        f"{golden.resolution} alone")
        average = expected_of(alone, "average")
        check(store, query([ALL], begin, end), average, "without hints")
        check(store, query([ALL], begin, end, "", 1000, 0), average, "fine steps")
        choose = random.Random(golden.resolution)
        for _ in range(6):
            low, high = sorted(choose.sample(range(begin, end), 2))
            check(store, query([ALL], low, high), average, "a range")
            # A counter begins with the first chunk that is read.
            check(store, query([ALL], low, high, "rate", DAY, DAY),
                  expected_of([(golden.between(low, high), ALWAYS)], "counter"), "a range")
    for limit in ("0s", f"{golden.resolution - 1}ms"):
        with serve(program, directory, f"--store.max-resolution={limit}") as store:
            assert rr.read_streamed(store, [query([ALL], begin, end)]) == []
            assert store.metric('thanos_blocks_meta_synced{state="downsampled"}') == 1
    with serve(program, directory, f"--store.max-resolution={golden.resolution}ms") as store:
        check(store, query([ALL], begin, end), average, "exactly the limit")


def chooses_between_two(program, directory, fine, coarse):
    begin, end = fine.begin, fine.end - 1
    with serve(program, directory) as store:
        for block, step in ((fine, HOUR), (coarse, 5 * HOUR)):
            check_functions(store, begin, end, step, [(block, ALWAYS)],
                            f"{block.resolution} of both", ("min", "counter"))
        for kind, step, window, block in (
                ("average", 100 * HOUR, 0, fine), ("average", 0, 0, fine),
                ("average", 0, 5 * HOUR, coarse), ("average", 5 * HOUR - 1, DAY, fine),
                ("average", DAY, 5 * HOUR - 1, fine), ("average", DAY, 5 * HOUR, coarse)):
            check(store, query([ALL], begin, end, "", step, window),
                  expected_of([(block, ALWAYS)], kind), f"step {step}, range {window}")
        for resolution, count in (("raw", 0), ("5m", 1), ("1h", 1)):
            name = f'blockhouse_store_blocks_served{{resolution="{resolution}"}}'
            assert store.metric(name) == count, name
    with serve(program, directory, "--store.max-resolution=5m") as store:
        check(store, query([ALL], begin, end, "min_over_time", DAY, DAY),
              expected_of([(fine, ALWAYS)], "min"), "1h not allowed")


def mixes_with_raw(program, directory, fine, coarse):
    """Raw blocks for a day in the middle, in which the promtool leaves a gap of a minute
    every two hours, and for the time from six hours before the end on."""
    bucket = os.path.join(directory, "bucket")
    middle = fine.begin // DAY * DAY + 4 * DAY
    last = fine.end // (2 * HOUR) * (2 * HOUR) - 6 * HOUR
    some = list(fine.series)[:6]
    one = Raw(os.path.join(directory, "one"), some, middle, middle + DAY)
    two = Raw(os.path.join(directory, "two"), some[3:], last, last + DAY)
    for raw in (one, two):
        for path in raw.paths:
            put(bucket, path, fine.external)
    begin, end = fine.begin, last + DAY
    # Block times are those of the samples: 7 ms behind the hour, to 60 s before the next.
    holes = [(ALWAYS[0][0], middle + 6), (middle + DAY, last + 6)]
    by_resolution = {
        RAW: [(fine, holes), (one, ALWAYS), (two, ALWAYS)],
        R5M: [(fine, ALWAYS), (two, [(fine.end, ALWAYS[0][1])])],
        R1H: [(coarse, ALWAYS), (two, [(coarse.end, ALWAYS[0][1])])]}
    with serve(program, directory) as store:
        for resolution, sources in by_resolution.items():
            check_functions(store, begin, end, max(5 * resolution, MINUTE), sources,
                            f"{resolution} beside raw")
        check(store, query([ALL], begin, end), expected_of(by_resolution[RAW], "average"),
              "raw without hints")
        check(store, query([ALL], middle, middle + DAY - MINUTE, "count_over_time", 1, 1),
              expected_of([(one, ALWAYS)], "count"), "raw alone")
        check_labels(store, begin, end)
    reads_only_what_fills_holes(program, directory, begin, end, by_resolution[RAW])
    with serve(program, directory, "--store.max-resolution=0s") as store:
        check(store, query([ALL], begin, end, "rate", DAY, DAY),
              expected_of([(one, ALWAYS), (two, ALWAYS)], "counter"), "only raw")


def reads_only_what_fills_holes(program, directory, begin, end, sources):
    """Of a block with two holes to fill, no chunk between them. A raw one has 2 h."""
    (fine, holes), *raws = sources
    count = sum(any(low <= chunk["count"][-1][0] and chunk["count"][0][0] <= high
                    for low, high in holes)
                for chunks in fine.series.values() for chunk in chunks)
    count += sum(len(raw.paths) * len(raw.series) for raw, _ in raws)
    one = query([ALL], begin, end)
    for chunks, is_enough in ((count, True), (count - 1, False)):
        with serve(program, directory,
                   f"--store.limits.request-samples={120 * chunks}") as store:
            answer = rr.post_streamed(store, [one])
            assert (answer.status == 200) == is_enough, (chunks, answer.text)


def check_labels(store, begin, end):
    """Each series once; no chunk of it is read."""
    one = query([ALL], begin, end, "series", DAY, DAY)
    [answer] = rr.read_sampled(store, [one])
    assert len(answer) == 20 and all(not samples for _, samples in answer)
    for path, count in (("label/pod/values", 2), ("labels", 8),
                        ("series?match[]={job=%22node%22}", 20)):
        data = json.loads(store.request("GET", f"/api/v1/{path}").body)["data"]
        assert len(data) == count, (path, data)


def keeps_to_limits(program, directory, fine):
    """A chunk counts as one, whatever it holds."""
    begin, end = fine.begin, fine.end - 1
    count = sum(map(len, fine.series.values()))
    one = query([ALL], begin, end, "min_over_time", HOUR, HOUR)
    for chunks, is_enough in ((count, True), (count - 1, False)):
        with serve(program, directory,
                   f"--store.limits.request-samples={120 * chunks}") as store:
            answer = rr.post_streamed(store, [one])
            assert (answer.status == 200) == is_enough, (answer.status, answer.text)
    with serve(program, directory, "--store.limits.request-series=20") as store:
        assert rr.post_streamed(store, [one]).status == 200


def main():
    program = sys.argv[1]
    if shutil.which("promtool") is None:
        print("SKIP: promtool is missing; package prometheus has it")
        sys.exit(77)
    fine, coarse = Golden(R5M), Golden(R1H)
    with tempfile.TemporaryDirectory() as directory:
        answers_from_one_block(program, directory, coarse)
    with tempfile.TemporaryDirectory() as directory:
        answers_from_one_block(program, directory, fine)
        keeps_to_limits(program, directory, fine)
        put(os.path.join(directory, "bucket"), coarse.path)
        chooses_between_two(program, directory, fine, coarse)
        mixes_with_raw(program, directory, fine, coarse)


if __name__ == "__main__":
    main()
