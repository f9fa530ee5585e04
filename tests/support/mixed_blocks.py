# SPDX-License-Identifier: Apache-2.0
"""A bucket of small blocks of every sort, the same for the same seed: all encodings of
chunks, compacted blocks beside their sources and beside each other, other cuts of the same
samples, samples that contradict each other, out-of-order and stale-series blocks, replicas.

Times of a series are its own number modulo 1000 ms, so that series that become one by
external labels do not meet in a millisecond, unless they are made of floats."""
import dataclasses
import math

import slow_block as sb
import slow_chunks as sc
from slow_chunks import Histogram, Sample

FIRST_MS, WINDOW_MS, WINDOWS = 1763856000000, 7200000, 8
PAST_MS, FUTURE_MS = -300000000000, 5700000000000  # 1960 and 2150
EXTERNAL = {"a": {"cluster": "eu1", "replica": "a"},
            "b": {"cluster": "eu1", "replica": "b"},
            "c": {"cluster": "us1", "job": "everything", "zone": "z"},
            "d": {}}  # its series say themselves what they are, some of them as a's
OVERLAPS = ((0, "cuts"), (1, "contradicts"), (3, "contradicts"), (6, "stale"), (7, "late"),
            (7, "cuts"), (0, "late"))  # windows, and what else is there of them
REPLICA_OFFSET_MS = 500  # of b's samples behind those of a

SPECIAL = (sc.STALE, 0x7FF8000000000001, 0x7FF8000000000000, 0x7FF0000000000001,
           0xFFF8000000000000, 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000,
           0, 1 << 63, 1, (1 << 52) - 1, (1 << 63) + 1, 0x7FEFFFFFFFFFFFFF)
FLOAT_STYLES = ("integer", "counter", "constant", "random", "special")
HISTOGRAM_STYLES = ("int", "float", "int custom", "float custom", "int gauge", "float gauge")


def label_sets():
    """(labels, style). Some are prefixes of others, some have labels that external ones
    replace, some become equal thereby."""
    def one(style, name, **more):
        return tuple(sorted({"__name__": name, **more}.items())), style
    yield one("integer", "up", instance="i1", job="node")
    yield one("counter", "up", instance="i2", job="node")
    yield one("random", "up", instance="i1", job="api")
    yield one("special", "odd", kind="special")
    yield one("special", "odd", kind="special", zz="top")
    yield one("constant", "zz")
    yield one("integer", "zz", a="1")
    yield one("integer", "zz", a="1", d="2")
    yield one("integer", "zz", x="y")
    for cluster in ("mine", "eu1", "us1"):
        yield one("integer", "own", cluster=cluster)
    yield one("counter", "own", cluster="mine", replica="q")
    yield one("special", "own", cluster="zz", job="node")
    for replica in ("a", "q"):
        yield one("integer", "same", replica=replica)
        yield one("counter", "same", cluster="eu1", replica=replica)
    yield one("integer", "http.requests/total", **{"ünï": 'köln\n"x"\\', "a": "no name"})
    yield (("a", "1"),), "random"
    for style in HISTOGRAM_STYLES:
        yield one(style, "latency", kind=style.replace(" ", "_"))
    yield one("int", "latency", a="1", cluster="mine")
    yield one("int", "latency", a="1", cluster="other")
    yield one("turns", "turns", kind="float_and_int")
    yield one("turns", "turns", kind="float_and_int", zz="top")


def is_of_floats(style):
    return style in FLOAT_STYLES


class Values:
    """What comes next in a series."""

    def __init__(self, rng, style):
        self.rng, self.style, self.number = rng, style, rng.randrange(1000)
        self.histograms = None
        if not is_of_floats(style):
            self.histograms = Histograms(rng, "int" if style == "turns" else style)
            self.style = "integer" if style == "turns" else style

    def next(self, kind):
        return self.float() if kind == "float" else self.histograms.next()

    def float(self):
        rng = self.rng
        if rng.random() < 0.02:
            return sc.STALE
        if self.style == "special" and rng.random() < 0.7:
            return rng.choice(SPECIAL)
        if self.style == "random":
            return rng.getrandbits(64)
        if self.style == "counter":
            self.number = 0 if rng.random() < 0.03 else self.number + rng.randrange(100)
        elif self.style != "constant":
            self.number += rng.randrange(-20, 21)
        return sc.bits_of(self.number)


class Histograms:
    """Observations that add up: resets, new layouts and stale markers now and then."""

    def __init__(self, rng, style):
        self.rng = rng
        self.is_float = style.startswith("float")
        self.is_custom = style.endswith("custom")
        self.is_gauge = style.endswith("gauge")
        self.new_layout()

    def new_layout(self):
        rng = self.rng
        self.schema, self.threshold, self.bounds = rng.randint(-4, 8), 2.0 ** -128, ()
        self.spans = [self.random_spans(), self.random_spans()]
        if rng.random() < 0.3:
            self.threshold = rng.choice((0.0, 0.001, 2.0 ** -60))
        if self.is_custom:
            self.schema, self.threshold = sc.CUSTOM_BOUNDS, 0.0
            self.bounds = tuple(map(sc.bits_of, sorted(rng.sample(
                (0.005, 0.1, 0.25, 1.0, 2.5, 1 / 3, 10.0, 1e9), 5))))
            self.spans = [((0, 2), (1, 2)) if rng.random() < 0.5 else ((0, 6),), ()]
        self.reset()

    def random_spans(self):
        rng = self.rng
        return tuple((rng.randint(-9, 9) if place == 0 else rng.randint(1, 5),
                      rng.choice((0, 1, 2, 3))) for place in range(rng.choice((0, 1, 1, 2))))

    def reset(self):
        self.counts = [[0] * sum(length for _, length in spans) for spans in self.spans]
        self.zero, self.sum = 0, 0.0

    def next(self):
        rng, chance = self.rng, self.rng.random()
        if chance < 0.03:
            return sc.stale_histogram(self.is_float)
        if chance < 0.07:
            self.new_layout()
        elif chance < 0.1:
            self.reset()
        lowest = -3 if self.is_gauge else 0
        for side in self.counts:
            for place, count in enumerate(side):
                side[place] = max(0, count + rng.randint(lowest, 5))
        self.zero += 0 if self.is_custom else rng.choice((0, 0, 1))
        self.sum += rng.choice((0, 1, 2.5, 1 / 3))
        return self.now()

    def now(self):
        quarter = 0.25 if self.is_float else 1

        def stored(side):
            if self.is_float:
                return tuple(sc.bits_of(count * quarter) for count in side)
            return tuple(count - before for before, count in zip([0] + side, side))
        total = self.zero + sum(map(sum, self.counts))
        return Histogram(
            is_float=self.is_float, sum=sc.bits_of(self.sum),
            count=sc.bits_of(total * quarter) if self.is_float else total,
            zero_count=sc.bits_of(self.zero * quarter) if self.is_float else self.zero,
            zero_threshold=sc.bits_of(self.threshold), schema=self.schema,
            positive_spans=self.spans[0], negative_spans=self.spans[1],
            positive=stored(self.counts[0]), negative=stored(self.counts[1]),
            bounds=self.bounds, hint=sc.GAUGE if self.is_gauge else sc.UNKNOWN_RESET)


def absolute(histogram):
    """Everything of a counter that must not fall, as numbers."""
    if histogram.is_float:
        return [sc.number_of(bits) for bits in (
            histogram.count, histogram.zero_count, *histogram.positive, *histogram.negative)]
    numbers = [histogram.count, histogram.zero_count]
    for side in (histogram.positive, histogram.negative):
        total = 0
        for difference in side:
            total += difference
            numbers.append(total)
    return numbers


def continues(before, after):
    """Whether after may stand behind before in a chunk, and as a counter did not start
    again there. Both are histograms."""
    if before.is_float != after.is_float or before.sum == sc.STALE != after.sum:
        return False
    if after.sum == sc.STALE:
        return True
    if before.layout != after.layout or (before.hint == sc.GAUGE) != (after.hint == sc.GAUGE):
        return False
    return after.hint == sc.GAUGE or all(
        x <= y for x, y in zip(absolute(before), absolute(after)))


def is_histogram(value):
    return isinstance(value, Histogram)


def fits(before, after):
    if is_histogram(before) != is_histogram(after):
        return False
    return not is_histogram(after) or continues(before, after)


class Cutter:
    """Makes chunks of samples; encodings: of floats, histograms, float histograms."""

    def __init__(self, rng, encodings, most):
        self.rng, self.encodings, self.most = rng, encodings, most

    def chunks(self, samples):
        chunks, run, before = [], [], None
        size = self.rng.randint(1, self.most)
        for sample in samples:
            if run and (len(run) >= size or not fits(run[-1].value, sample.value)):
                chunks.append(self.chunk(run, before))
                before, run, size = run[-1], [], self.rng.randint(1, self.most)
            run.append(sample)
        return chunks + ([self.chunk(run, before)] if run else [])

    def chunk(self, run, before):
        value = run[0].value
        if not is_histogram(value):
            return sb.chunk_of(self.rng.choice(self.encodings[0]), run)
        header = sc.ANY_HEADER
        if any(sample.value.hint == sc.GAUGE for sample in run):
            header = sc.GAUGE_HEADER
        elif before and is_histogram(before.value) and self.rng.random() < 0.7:
            header = sc.NOT_RESET_HEADER if continues(before.value, value) else \
                sc.RESET_HEADER
        return sb.chunk_of(self.rng.choice(self.encodings[1 + value.is_float]), run, header)


PLAIN = ((sc.XOR,), (sc.HISTOGRAM,), (sc.FLOATHISTOGRAM,))
ENCODINGS = (PLAIN, PLAIN, ((sc.XOR2,), (sc.HISTOGRAM,), (sc.FLOATHISTOGRAM,)),
             ((sc.XOR2,), (sc.HISTOGRAM_ST,), (sc.FLOATHISTOGRAM_ST,)),
             ((sc.XOR, sc.XOR2), (sc.HISTOGRAM, sc.HISTOGRAM_ST),
              (sc.FLOATHISTOGRAM, sc.FLOATHISTOGRAM_ST)))


class MixedBlocks:
    """Write them with write()."""

    def __init__(self, rng, bucket):
        self.rng, self.bucket, self.count = rng, bucket, 0
        self.sets = list(label_sets())
        self.values = {}

    def samples(self, name, number, begin, end):
        """Of the series of that number (of label_sets) as the Prometheus of that name saw
        it; what a and b see differs in times and in what they missed."""
        rng, style = self.rng, self.sets[number][1]
        if (name, number) not in self.values:
            self.values[name, number] = Values(rng, style)
        values = self.values[name, number]
        offset = 0 if style == "integer" and rng.random() < 0.5 else number
        step = rng.choice((60000, 120000, 180000))
        ms, samples = begin + rng.randrange(0, step, 1000) + offset, []
        start = rng.choice((0, 0, begin - 5000))
        kind = "float" if is_of_floats(style) else "histogram"
        while ms < end:
            if style == "turns" and rng.random() < 0.1:
                kind = "histogram" if kind == "float" else "float"
            samples.append(Sample(ms, values.next(kind), start))
            if start and rng.random() < 0.05:
                start = ms - 1000
            ms += step
            if rng.random() < 0.05:
                ms += rng.randrange(-30000, 30000, 1000)
            if rng.random() < 0.02:
                ms += 20 * step
        return samples

    def cutter(self):
        return Cutter(self.rng, self.rng.choice(ENCODINGS), self.rng.choice((5, 20, 120)))

    def contradicting(self, samples, mark, begin, end):
        """The same with some gone, some more and some changed, in the order of time."""
        rng, changed = self.rng, {}
        for sample in samples:
            chance = rng.random()
            if chance < 0.2:
                continue
            if chance < 0.4:
                sample = sample._replace(value=self.another(sample.value, mark))
            if 0.4 < chance < 0.5:
                ms = sample.ms + rng.randrange(-30000, 30000, 1000)
                sample = Sample(ms, self.another(sample.value, mark))
            if begin <= sample.ms < end:
                changed[sample.ms] = sample
        return [changed[ms] for ms in sorted(changed)]

    def another(self, value, mark):
        rng = self.rng
        if is_histogram(value):
            if rng.random() < 0.2:
                return sc.bits_of(rng.randrange(100))
            if rng.random() < 0.2:
                return sc.stale_histogram(value.is_float)
            return self.with_more(value, 1000 * mark)
        if rng.random() < 0.2:
            return Histograms(rng, rng.choice(HISTOGRAM_STYLES[:2])).next()
        return rng.choice(SPECIAL) if rng.random() < 0.5 else \
            sc.bits_of(sc.number_of(value) + rng.randrange(-2, 3))

    @staticmethod
    def with_more(value, more):
        """Observations of zero. Marks of blocks differ, so the counts do, too."""
        if value.sum == sc.STALE or value.schema == sc.CUSTOM_BOUNDS:
            return value
        if value.is_float:
            count, zero = (sc.bits_of(sc.number_of(bits) + more)
                           for bits in (value.count, value.zero_count))
        else:
            count, zero = value.count + more, value.zero_count + more
        return dataclasses.replace(value, count=count, zero_count=zero)

    def block(self, name, series, span=None, **compaction):
        """series: {number: [Chunk]}; those without chunks are left out. The ULID."""
        self.count += 1
        ulid = sb.ulid_of(FIRST_MS + self.count, self.rng.getrandbits(80))
        chunks = {self.sets[number][0]: of_one for number, of_one in series.items() if of_one}
        if not chunks:
            return None
        sb.write_block(self.bucket, ulid, chunks, EXTERNAL[name], span=span,
                       compaction={"sources": [ulid], **compaction},
                       segment_limit=self.rng.choice((2000, 512 << 20)))
        return ulid

    def some(self, share):
        return [number for number in range(len(self.sets)) if self.rng.random() < share]

    def write(self):
        for name in EXTERNAL:
            if name == "b":
                self.windows = [self.replica(of_one) for of_one in self.windows]
            else:
                self.windows = [{number: self.samples(name, number, *window(place))
                                 for number in self.some(0.75)} for place in range(WINDOWS)]
            self.regular(name)
            self.overlapping(name)
            self.far_away(name)
            self.tiny(name)

    def replica(self, series):
        """What a second Prometheus saw: other times or values, not everything, sometimes
        nothing."""
        rng, seen = self.rng, {}
        for number, samples in series.items():
            if rng.random() < 0.1:
                continue
            gap = rng.randrange(len(samples) + 1)
            kept = samples[:gap] + samples[gap + rng.choice((0, 1, 5, 20)):]
            kept = [sample for sample in kept if rng.random() < 0.97]
            if rng.random() < 0.2:
                seen[number] = [sample._replace(value=self.one_more(sample.value))
                                for sample in kept]
            else:
                seen[number] = [sample._replace(ms=sample.ms + REPLICA_OFFSET_MS)
                                for sample in kept]
        return seen

    @staticmethod
    def one_more(value):
        if is_histogram(value) or not math.isfinite(sc.number_of(value)):
            return value
        return sc.bits_of(sc.number_of(value) + 1)

    def regular(self, name):
        """A block a window, and those that a compactor made of some: of 2 and 3; of 4 and
        5; of 5 and 6, so that 5 is in two."""
        chunks = []
        for samples in self.windows:
            cutter = self.cutter()
            chunks.append({number: cutter.chunks(of_one)
                           for number, of_one in samples.items()})
        ulids = [self.block(name, chunks[place], window(place)) for place in range(WINDOWS)]
        for places in ((2, 3), (4, 5), (5, 6)):
            merged = {}
            for place in places:
                for number, of_one in chunks[place].items():
                    merged[number] = merged.get(number, []) + of_one
            self.block(name, merged, (window(places[0])[0], window(places[1])[1]), level=2,
                       sources=[ulids[place] for place in places])

    def overlapping(self, name):
        """Each over a window of which there is a block."""
        for place, kind in OVERLAPS:
            span, cutter = window(place), self.cutter()
            begin, end = span
            if kind in ("contradicts", "stale") and self.rng.random() < 0.5:
                begin += WINDOW_MS // 3
            series = {}
            for number in self.some(0.5):
                samples = [one for one in self.windows[place].get(number, ())
                           if begin <= one.ms < end]
                if kind == "contradicts":
                    samples = self.contradicting(samples, self.count + 1, begin, end)
                elif kind == "stale" and samples:
                    is_float = not is_histogram(samples[-1].value)
                    samples[-1] = samples[-1]._replace(
                        value=sc.STALE if is_float else
                        sc.stale_histogram(samples[-1].value.is_float))
                elif kind == "late":
                    samples = [one._replace(ms=one.ms + 7000) for one in samples[::3]
                               if one.ms + 7000 < end]
                series[number] = cutter.chunks(samples)
            more = {"hints": ["from-stale-series"]} if kind == "stale" else {}
            if kind == "late":
                more = {"hints": ["from-out-of-order"], "parents": [
                    {"ulid": sb.ZERO_ULID, "minTime": 0, "maxTime": 0}]}
            self.block(name, series, span, **more)

    def far_away(self, name):
        for begin in (PAST_MS, FUTURE_MS):
            cutter = self.cutter()
            self.block(name, {number: cutter.chunks(self.samples(
                name, number, begin, begin + WINDOW_MS // 2)) for number in self.some(0.3)})

    def tiny(self, name):
        """Of one sample, or of few series and little time."""
        for number in self.rng.sample(range(len(self.sets)), 3):
            ms = FIRST_MS + self.rng.randrange(WINDOWS * WINDOW_MS // 1000) * 1000 + number
            samples = self.samples(name, number, ms, ms + 1000) or \
                [Sample(ms, sc.bits_of(self.count))]
            self.block(name, {number: self.cutter().chunks(samples[:1])})
        for _ in range(4):
            begin = FIRST_MS + self.rng.randrange(WINDOWS * WINDOW_MS // 1000) * 1000
            self.block(name, {number: self.cutter().chunks(self.samples(
                name, number, begin, begin + 1800000)) for number in self.some(0.15)})


def window(place):
    return FIRST_MS + place * WINDOW_MS, FIRST_MS + (place + 1) * WINDOW_MS
