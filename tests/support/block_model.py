# SPDX-License-Identifier: Apache-2.0
"""What a store must answer for a bucket, computed naively: every block is read whole, every
series gets its external labels, and everything else is a matter of lists.

At most one sample a millisecond is answered: a float wins over a histogram, anything over
a stale marker, else the greater one (floats as numbers, NaN as the least, then by their
bits; histograms by count, then by sum, then float ones above others).

Where replica labels are dropped, series that become equal are replicas of each other, of
which the penalty algorithm makes one, as Thanos's querier does."""
import bisect
import dataclasses
import functools
import math
import os
import re
import typing

import slow_block as sb
import slow_chunks as sc
from slow_chunks import Histogram


def without_hint(value):
    """A gauge remains one; whether a counter was reset is another question."""
    if isinstance(value, Histogram) and value.hint not in (sc.GAUGE, sc.UNKNOWN_RESET):
        return dataclasses.replace(value, hint=sc.UNKNOWN_RESET)
    return value


@functools.lru_cache(None)
def decoded(encoding, data):
    """The samples of a chunk as they were stored."""
    return tuple(sc.decode(encoding, data))


@functools.lru_cache(None)
def values_of(encoding, data):
    """[(ms, value)] without hints of resets."""
    return tuple((ms, without_hint(value)) for ms, value, _ in decoded(encoding, data))


def number_rank(bits):
    number = sc.number_of(bits)
    return (0, 0.0) if math.isnan(number) else (1, number)


def rank(value):
    """The value of the highest rank is answered."""
    if not isinstance(value, Histogram):
        return value != sc.STALE, 1, number_rank(value), value
    count = number_rank(value.count) if value.is_float else (1, value.count)
    return value.sum != sc.STALE, 0, count, number_rank(value.sum), value.is_float


class Series:
    """What all blocks together have of one series."""

    def __init__(self):
        self.chunks = []

    def finish(self):
        self.chunks = sorted(set(self.chunks))
        self.stored = {}  # ms: values
        for chunk in self.chunks:
            samples = values_of(chunk.encoding, chunk.data)
            assert (samples[0][0], samples[-1][0]) == (chunk.first, chunk.last)
            for ms, value in samples:
                self.stored.setdefault(ms, set()).add(value)
        self.times = sorted(self.stored)
        self.values = [self.winner(ms) for ms in self.times]

    def winner(self, ms):
        values = sorted(self.stored[ms], key=rank)
        assert len(values) < 2 or rank(values[-1]) > rank(values[-2]), \
            f"no rule says which of {values} is answered"
        return values[-1]

    def between(self, begin, end):
        """[(ms, value)], both ends included."""
        first, last = bisect.bisect_left(self.times, begin), bisect.bisect_right(self.times, end)
        return list(zip(self.times[first:last], self.values[first:last]))

    def overlapping(self, begin, end):
        return [chunk for chunk in self.chunks if chunk.first <= end and chunk.last >= begin]

    def alone(self, begin, end):
        """Those of the overlapping chunks that no other of them overlaps."""
        runs, run_end = [], None
        for chunk in self.overlapping(begin, end):
            if runs and chunk.first <= run_end:
                runs[-1].append(chunk)
                run_end = max(run_end, chunk.last)
            else:
                runs.append([chunk])
                run_end = chunk.last
        return [run[0] for run in runs if len(run) == 1]


class Expected(typing.NamedTuple):
    """Of one series of an answer."""
    samples: list    # [(ms, value)], those in the range
    stored: list     # each Series it was made of
    untouched: list  # chunks that need no change


def of_replicas(series, begin, end, is_counter):
    samples = functools.reduce(lambda one, other: of_two_replicas(one, other, is_counter),
                               [one.between(begin, end) for one in series])
    places = {ms: place for place, (ms, _) in enumerate(samples)}

    def is_taken(chunk, other):
        if is_counter and chunk.encoding in sc.OF_FLOATS:
            return False  # it may be among those that are lifted
        values = values_of(chunk.encoding, chunk.data)
        place = places.get(chunk.first, 0)
        return samples[place:place + len(values)] == list(values) and \
            not any(ms in one.stored for one in other for ms, _ in values)
    return Expected(samples, series, [
        chunk for one in series for chunk in one.alone(begin, end)
        if is_taken(chunk, [other for other in series if other is not one])])


FIRST_PENALTY_MS = 5000


def of_two_replicas(one, other, is_counter):
    """Samples of one side until that side has none for long; then of the other. Values of
    counters that fall when the side changes are lifted, and so are later ones there."""
    sides, places, penalties, lifts = (one, other), [0, 0], [0, 0], [0.0, 0.0]
    taken, last_side = [], None
    while True:
        for side in (0, 1):
            while taken and places[side] < len(sides[side]) and \
                    sides[side][places[side]][0] < taken[-1][0] + 1 + penalties[side]:
                places[side] += 1
        left = [side for side in (0, 1) if places[side] < len(sides[side])]
        if not left:
            return taken
        side = min(left, key=lambda side: sides[side][places[side]][0])
        ms, value = sides[side][places[side]]
        if len(left) == 2:
            penalties[1 - side] = 2 * (ms - taken[-1][0]) if taken else FIRST_PENALTY_MS
        penalties[side] = 0
        if is_counter and not isinstance(value, Histogram):
            if last_side == 1 - side and not isinstance(taken[-1][1], Histogram):
                fall = sc.number_of(taken[-1][1]) - (sc.number_of(value) + lifts[side])
                if fall > 0:
                    lifts[side] += fall
            if lifts[side] and not math.isnan(sc.number_of(value)):
                value = sc.bits_of(sc.number_of(value) + lifts[side])
        taken.append((ms, value))
        last_side = side


def served(blocks):
    """Without those that another of the same stream was made of."""
    for block in blocks:
        sources = set(block.meta["compaction"]["sources"])
        if not any(other is not block and external_of(other) == external_of(block) and
                   sources < set(other.meta["compaction"]["sources"]) for other in blocks):
            yield block


def external_of(block):
    return block.meta["thanos"]["labels"]


def final_labels(labels, external):
    return tuple(sorted({**dict(labels), **external}.items()))


def holds(matcher, labels):
    name, kind, value = matcher
    actual = labels.get(name, "")
    if kind in ("=", "!="):
        return (actual == value) == (kind == "=")
    return bool(re.fullmatch(value, actual, re.DOTALL)) == (kind == "=~")


class Bucket:
    """Everything in a directory bucket."""

    def __init__(self, directory):
        self.blocks = [sb.read_block(os.path.join(directory, ulid))
                       for ulid in sorted(os.listdir(directory))]
        found = {}
        self.served = list(served(self.blocks))
        for block in self.served:
            for labels, chunks in block.series.items():
                final = final_labels(labels, external_of(block))
                found.setdefault(final, Series()).chunks.extend(chunks)
        self.series = {labels: found[labels] for labels in sorted(found)}
        for series in self.series.values():
            series.finish()

    def expected(self, matchers, begin, end, dropped=(), is_counter=False):
        """{labels: Expected} in order. dropped: replica labels."""
        selected = self.selected(matchers, begin, end)
        if not dropped:
            return {labels: Expected(series.between(begin, end), [series],
                                     series.alone(begin, end)) for labels, series in selected}
        groups = {}
        for labels, series in selected:
            kept = tuple(pair for pair in labels if pair[0] not in dropped)
            replica = tuple(pair for pair in labels if pair[0] in dropped)
            groups.setdefault(kept, {})[replica] = series
        return {kept: of_replicas([groups[kept][replica] for replica in sorted(groups[kept])],
                                  begin, end, is_counter) for kept in sorted(groups)}

    def selected(self, matchers, begin, end):
        """[(labels, Series)] in order, of those with a chunk in the range; no matchers
        select nothing."""
        return [(labels, series) for labels, series in self.series.items()
                if matchers and all(holds(one, dict(labels)) for one in matchers)
                and series.overlapping(begin, end)]
