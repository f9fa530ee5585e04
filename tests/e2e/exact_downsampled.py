# SPDX-License-Identifier: Apache-2.0
"""For exact_thanos.py: downsampled blocks, asked of our store for a function, step and range
and of a Thanos store for the resolution and aggregates that these mean."""
import dataclasses
import functools
import itertools
import random
import shutil

import remote_read as rr
import slow_chunks as slow
from daemon import dir_bucket
from exact_data import BEGIN, DAY, HOUR, batches, long_run
from exact_servers import Writer, fill_bucket, metas, relabelled, write_blocks
from thanos_store import ThanosStore

RAW, FINE, COARSE = 0, 300_000, 3_600_000
LOOK_BACK = 300_000  # of a plain selector, for which nothing coarser is of use
# A block each: long enough to be downsampled twice, once, not at all.
BLOCKS = ((0, 12), (12, 14), (14, 15))
DAYS = BLOCKS[-1][-1]
MINIMUM, MAXIMUM, COUNT, SUM, COUNTER, AVERAGE = (
    ("min",), ("max",), ("count",), ("sum",), ("counter",), ("count", "sum"))
FUNCTIONS = {
    "min_over_time": MINIMUM, "max_over_time": MAXIMUM, "count_over_time": COUNT,
    "sum_over_time": SUM, "rate": COUNTER, "increase": COUNTER, "irate": COUNTER,
    "resets": COUNTER, "avg_over_time": AVERAGE, "last_over_time": AVERAGE, "sum": AVERAGE,
    "": AVERAGE, "quantile_over_time": AVERAGE}
RANGELESS = ("", "sum")
FLOATS = ("__name__", "!~", "native.*")
NATIVES = ("__name__", "=~", "native.*")


@functools.lru_cache(maxsize=None)
def decode(encoding, data):
    """The same chunks come again and again."""
    return slow.decode(encoding, data)


def decoded(chunk):
    """Samples of a chunk of the StoreAPI."""
    return decode(chunk.type + 1, chunk.data)


def divided(total, count):
    """The average that a downsampled sample shows; the bits of all that is divided."""
    def over(bits):
        return slow.bits_of(slow.number_of(bits) / slow.number_of(count))

    if not isinstance(total, slow.Histogram):
        return over(total)
    return dataclasses.replace(
        total, sum=over(total.sum), count=over(total.count), zero_count=over(total.zero_count),
        positive=tuple(map(over, total.positive)), negative=tuple(map(over, total.negative)))


def averages(chunk):
    counts, sums = decoded(chunk.count), decoded(chunk.sum)
    assert [sample.ms for sample in counts] == [sample.ms for sample in sums]
    return [(total.ms, divided(total.value, count.value))
            for count, total in zip(counts, sums)]


def plain(chunks, aggregates):
    """What is not a counter."""
    for chunk in chunks:
        if chunk.HasField("raw"):
            yield from ((sample.ms, sample.value) for sample in decoded(chunk.raw))
        elif aggregates == AVERAGE:
            yield from averages(chunk)
        else:
            yield from ((sample.ms, sample.value)
                        for sample in decoded(getattr(chunk, *aggregates)))


def chained(chunks):
    """Counters: resets are added up over all chunks, and each ends with its true last."""
    total = last = last_ms = None
    for chunk in chunks:
        for sample in decoded(chunk.raw if chunk.HasField("raw") else chunk.counter):
            if isinstance(sample.value, slow.Histogram):
                if last_ms is None or sample.ms > last_ms:
                    last_ms = sample.ms
                    yield sample.ms, sample.value
                continue
            value = slow.number_of(sample.value)
            if value != value:
                continue
            if last_ms is not None and sample.ms <= last_ms:
                last = value if sample.ms == last_ms else last
                continue
            if last is None:
                total = value
            else:
                total += value - last if value >= last else value
            last, last_ms = value, sample.ms
            yield sample.ms, slow.bits_of(total)


def wanted(chunks, aggregates):
    """Raw blocks alone are answered as stored."""
    if aggregates == COUNTER and any(chunk.HasField("counter") for chunk in chunks):
        return chained(chunks)
    return plain(chunks, aggregates)


@functools.lru_cache(maxsize=None)
def meaning(value):
    """Of a histogram what it says, however its buckets are laid out."""
    if not isinstance(value, slow.Histogram):
        return f"{slow.number_of(value)!r} {value:#x}"
    sides = []
    for spans, buckets in ((value.positive_spans, value.positive),
                           (value.negative_spans, value.negative)):
        index = total = at = 0
        side = {}
        for offset, length in spans:
            index += offset
            for _ in range(length):
                total = buckets[at] if value.is_float else total + buckets[at]
                if total:
                    side[index] = total
                index, at = index + 1, at + 1
        sides.append(side)
    return (value.is_float, value.sum, value.count, value.zero_count, value.zero_threshold,
            value.schema, value.bounds, *sides)


class Stores:
    """Ours and that of Thanos over one bucket."""

    def __init__(self, store, thanos):
        self.store, self.thanos = store, thanos

    @classmethod
    def start(cls, world, directory):
        return cls(world.start_store(directory), world.stack.enter_context(ThanosStore(
            world.thanos, f"{directory}-thanos", dir_bucket(directory))))

    def ours(self, matcher, function, resolution, window):
        """Labels -> [(ms, value)]. The resolution is a fifth of step and range."""
        begin, end = window
        step = 5 * resolution or 1000
        query = rr.query([matcher], begin, end)
        query.hints.CopyFrom(rr.pb.ReadHints(
            func=function, step_ms=step, range_ms=0 if function in RANGELESS else step,
            start_ms=begin, end_ms=end))
        return {labels: [(sample.ms, sample.value) for kind, _, _, data in chunks
                         for sample in decode(kind, data)]
                for _, labels, chunks in rr.read_streamed(self.store, [query])}

    def theirs(self, matcher, aggregates, resolution, window):
        found = self.thanos.series([matcher], *window, resolution, aggregates)
        # Whoever asks the StoreAPI merges what overlaps.
        return {labels: sorted(wanted(chunks, aggregates), key=lambda sample: sample[0])
                for labels, chunks in found.items()}

    def compare(self, function, resolution, window, instead):
        """Number of equal samples."""
        aggregates = FUNCTIONS[function]
        limit = min(resolution, LOOK_BACK) if function in RANGELESS else resolution
        # Nothing is asked of histograms that they have not.
        matchers = (FLOATS,) if aggregates in (MINIMUM, MAXIMUM) else (FLOATS, NATIVES)
        return sum(
            equal_samples(f"{function or '(none)'} at {resolution} of {window}",
                          self.ours(matcher, function, resolution, window),
                          self.theirs(matcher, aggregates, instead.get(limit, limit), window),
                          window)
            for matcher in matchers)

    def compare_all(self, name, resolutions=(RAW, FINE, COARSE), instead=None):
        """instead: resolutions that have gaps -> coarser ones to ask Thanos for, which does
        not fill gaps with those by itself."""
        equal = [self.compare(function, resolution, window, instead or {})
                 for window in windows() for function in FUNCTIONS
                 for resolution in resolutions]
        assert min(equal[:len(FUNCTIONS)]) > 100, equal
        print(f"{name}: {len(equal)} answers, {sum(equal)} samples equal", flush=True)


def equal_samples(name, ours, theirs, window):
    cut = [{labels: [(ms, meaning(value)) for ms, value in samples
                     if window[0] <= ms <= window[1]] for labels, samples in side.items()}
           for side in (ours, theirs)]
    cut = [{labels: samples for labels, samples in side.items() if samples} for side in cut]
    assert cut[0].keys() == cut[1].keys(), f"{name}: {cut[0].keys() ^ cut[1].keys()}"
    for labels, samples in cut[0].items():
        for one, other in zip(samples, cut[1][labels]):
            assert one == other, f"{name} {labels}\n  ours:   {one}\n  theirs: {other}"
        assert len(samples) == len(cut[1][labels]), \
            f"{name} {labels}: {len(samples)} and {len(cut[1][labels])} samples"
    return sum(map(len, cut[0].values()))


def windows():
    """The whole, and some that cut chunks and blocks."""
    rng = random.Random(4)
    yield BEGIN, BEGIN + DAYS * DAY
    for hours in (1, 7, 30, 100, 200):
        begin = BEGIN + rng.randrange(DAYS * DAY - hours * HOUR)
        yield begin, begin + hours * HOUR


def drop(bucket, *gone):
    """Delete blocks: (resolution, first day)."""
    for meta in metas(bucket):
        day = (meta["minTime"] - BEGIN) // DAY
        if (meta["thanos"]["downsample"]["resolution"], day) in gone:
            shutil.rmtree(bucket / meta["ulid"])


def long_bucket(world, labels):
    """Raw blocks, all but the newest also of five minutes, the oldest also of an hour."""
    series = list(long_run(DAYS))
    writers = [Writer(world.prometheus, world.directory, f"writer-{begin}", hours=20 * 24)
               for begin, _ in BLOCKS]
    parts = [batches(series, BEGIN + begin * DAY, BEGIN + end * DAY, 6 * HOUR)
             for begin, end in BLOCKS]
    bucket = world.directory / "downsampled"
    bucket.mkdir()
    for blocks in write_blocks(writers, itertools.zip_longest(*parts, fillvalue=[])):
        fill_bucket(bucket, blocks, labels)
    # It shall not merge them.
    world.compact(bucket, "--debug.max-compaction-level=1")
    found = [meta["thanos"]["downsample"]["resolution"] for meta in metas(bucket)]
    assert sorted(found) == [RAW, RAW, RAW, FINE, FINE, COARSE], found
    return bucket


def downsampled(world):
    whole = long_bucket(world, {"cluster": "eu"})
    Stores.start(world, whole).compare_all("all resolutions")
    aged = world.copy_bucket(whole, "aged")
    drop(aged, (RAW, 0), (RAW, 12), (FINE, 0))
    Stores.start(world, aged).compare_all("one resolution at a time",
                                    instead={RAW: COARSE, FINE: COARSE})
    holes = world.copy_bucket(whole, "holes")
    drop(holes, (FINE, 12), (RAW, 0))
    Stores.start(world, holes).compare_all("holes", instead={RAW: FINE})
    both = world.copy_bucket(holes, "both")
    world.copy_bucket(relabelled(whole, "us", {"cluster": "us"}, "VVVV"), "both")
    Stores.start(world, both).compare_all("two clusters", (FINE, COARSE))
