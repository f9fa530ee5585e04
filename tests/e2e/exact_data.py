# SPDX-License-Identifier: Apache-2.0
"""What the Prometheus servers of exact.py have seen: the same series at every run."""
import random

from remote_write import STALE, float_of, histogram, pb

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BEGIN = 1_763_596_800_000  # 2025-11-20T00:00:00Z
HOURS = 26
END = BEGIN + HOURS * HOUR
LATE = 90 * MINUTE  # how long what is out of order is held back
BOUNDS = (0.005, 0.025, 0.1, 0.25, 1, 2.5)
EXTREMES = tuple(map(float_of, (
    0x7ff8000000000001, 0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000, 1,
    0x7fefffffffffffff, 0x3ff0000000000001, 0x0010000000000000, 0xc08f400000000000, 0)))


class Target:
    """When something was scraped, and whether it answered: (ms, start ms, answered)."""

    def __init__(self, rng, instance, interval, jitter=0, restarts=(), outages=(), gaps=(),
                 end=END):
        self.labels = {"job": "app", "instance": instance}
        phase = rng.randrange(interval)
        self.scrapes, start, was_up = [], BEGIN - HOUR, True
        pending = [BEGIN + int(hours * HOUR) for hours in restarts]
        for planned in range(BEGIN + phase, end, interval):
            ms = planned + rng.randint(-jitter, jitter)
            if pending and ms >= pending[0]:
                start = pending.pop(0) + 137
                ms = max(ms, start + 1)
            if inside(planned, gaps) or not BEGIN <= ms < end:
                continue
            is_up = not inside(planned, outages)
            if is_up or was_up:
                self.scrapes.append((ms, start, is_up))
            was_up = is_up


def inside(ms, intervals):
    return any(BEGIN + begin * HOUR <= ms < BEGIN + end * HOUR for begin, end in intervals)


class Series:
    """points: (ms of its arrival, sample or histogram)."""

    def __init__(self, name, labels, points):
        self.labels, self.points = {"__name__": name, **labels}, list(points)

    def batches(self, duration):
        """Number of a batch -> samples, histograms."""
        batches = {}
        for arrival, point in self.points:
            samples, histograms = batches.setdefault((arrival - BEGIN) // duration, ([], []))
            (samples if isinstance(point, pb.Sample) else histograms).append(point)
        return batches


def floats(target, values):
    """values: of (start, whether there was a restart) -> float, called scrape by scrape."""
    previous = None
    for ms, start, is_up in target.scrapes:
        value = values(start != previous) if is_up else STALE
        previous = start
        yield ms, pb.Sample(value=value, timestamp=ms, start_timestamp=start)


def natives(target, make):
    """make: whether there was a restart -> histogram."""
    previous = None
    for ms, start, is_up in target.scrapes:
        one = make(start != previous) if is_up else pb.Histogram(count_int=0, sum=STALE)
        previous = start
        one.timestamp, one.start_timestamp = ms, start
        yield ms, one


def late(points, every):
    """Each so manieth arrives when newer ones have."""
    kept = [(ms + LATE if at % every == 1 and ms + LATE < END - 8 * HOUR else ms, point)
            for at, (ms, point) in enumerate(points)]
    return sorted(kept, key=lambda one: one[0])


def counter(rng, rate, is_integer=True):
    total = 0

    def value(is_restart):
        nonlocal total
        if is_restart:
            total = 0
        total += rng.randint(0, rate) if is_integer else rng.expovariate(1 / rate)
        return total

    return value


def walk(rng, begin, step, digits=None):
    now = begin

    def value(_):
        nonlocal now
        now += rng.gauss(0, step)
        return now if digits is None else round(now, digits)

    return value


def classic(rng, target, labels):
    """Buckets, sum and count of one histogram, which belong together at every scrape."""
    counts, total, columns = [0] * (len(BOUNDS) + 1), 0.0, []
    previous = None
    for _, start, _ in target.scrapes:
        if start != previous:
            counts, total = [0] * len(counts), 0.0
        previous = start
        for _ in range(rng.randint(0, 4)):
            took = rng.expovariate(4)
            total += took
            for at, bound in enumerate((*BOUNDS, float("inf"))):
                counts[at] += took <= bound
        columns.append((*counts, total, counts[-1]))
    rows = list(zip(*columns))
    ends = [{"le": str(bound)} for bound in BOUNDS] + [{"le": "+Inf"}]
    for row, end in zip(rows, ends):
        yield "latency_seconds_bucket", {**labels, **end}, row
    yield "latency_seconds_sum", labels, rows[-2]
    yield "latency_seconds_count", labels, rows[-1]


def observed(rng, *, schema=3, is_float=False, is_signed=False, widens_at=None):
    """A native histogram that counts."""
    positive, negative, zero, total, made, now = {}, {}, 0, 0.0, 0, schema

    def make(is_restart):
        nonlocal positive, negative, zero, total, made, now
        made += 1
        if is_restart or made == widens_at:
            positive, negative, zero, total = {}, {}, 0, 0.0
            now = schema - 2 if widens_at and made >= widens_at else schema
        for _ in range(rng.randint(0, 5)):
            weight = rng.random() if is_float else 1
            took = rng.lognormvariate(0, 1)
            index = round(rng.gauss(0, 2 + (made // 400)))
            side = negative if is_signed and rng.random() < 0.3 else positive
            side[index] = side.get(index, 0) + weight
            total += took if side is positive else -took
            zero += weight if rng.random() < 0.1 else 0
        return histogram(positive, total, negative=negative, zero=zero, schema=now,
                         is_float=is_float)

    return make


def weighed(rng, is_float):
    """A native histogram that is a gauge."""
    def make(_):
        buckets = {index: rng.random() * 9 if is_float else rng.randint(0, 9)
                   for index in rng.sample(range(-4, 9), rng.randint(0, 6))}
        return histogram(buckets, rng.gauss(0, 10), zero=rng.randint(0, 2), schema=1,
                         is_float=is_float, is_gauge=True)

    return make


def custom(rng, bounds, is_float=False):
    buckets, total = {}, 0.0

    def make(is_restart):
        nonlocal buckets, total
        if is_restart:
            buckets, total = {}, 0.0
        for _ in range(rng.randint(0, 3)):
            index = rng.randint(0, len(bounds))
            buckets[index] = buckets.get(index, 0) + 1
            total += bounds[min(index, len(bounds) - 1)]
        return histogram(buckets, total, schema=-53, threshold=0, custom=bounds,
                         is_float=is_float)

    return make


def common(rng, targets):
    """What both clusters have."""
    for target in targets:
        yield Series("up", target.labels, [
            (ms, pb.Sample(value=is_up, timestamp=ms)) for ms, _, is_up in target.scrapes])
        for path in ("/", "/cart", "/login"):
            for code in ("200", "404", "500"):
                labels = {**target.labels, "path": path, "code": code}
                yield Series("http_requests_total", labels,
                             floats(target, counter(rng, 90 if code == "200" else 2)))
            labels = {**target.labels, "path": path}
            yield Series("nh_latency_seconds", labels, natives(target, observed(rng)))
        for mode in ("idle", "user", "system"):
            labels = {**target.labels, "cpu": "0", "mode": mode}
            yield Series("cpu_seconds_total", labels, floats(target, counter(rng, 9, False)))
        for name, labels, row in classic(rng, target, {**target.labels, "path": "/"}):
            values = iter(row)
            yield Series(name, labels, floats(target, lambda _, v=values: next(v)))
        yield Series("temperature_celsius", {**target.labels, "room": "attic"},
                     floats(target, walk(rng, 20, 0.3)))
        yield Series("queue_length", target.labels, floats(target, walk(rng, 50, 3, 0)))
        yield Series("nh_float", target.labels,
                     natives(target, observed(rng, is_float=True, is_signed=True)))
    yield from out_of_order(rng, *targets[:2])


def out_of_order(rng, first, second):
    for every in (2, 3, 7):
        labels = {"every": str(every)}
        yield Series("late_gauge", labels, late(floats(first, walk(rng, 0, 1)), every))
        yield Series("late_total", labels, late(floats(second, counter(rng, 30)), every))
    yield Series("late_native", {}, late(natives(second, observed(rng)), 3))
    yield Series("late_float_native", {}, late(natives(first, observed(rng, is_float=True)), 4))


def eu_only(rng, targets):
    first, second, third = targets
    for number, value in enumerate(EXTREMES):
        yield Series("extreme", {"kind": str(number)}, floats(
            second, lambda _, v=value: v if rng.random() < 0.5 else rng.choice(EXTREMES)))
    yield Series("constant", {"of": "one"}, floats(first, lambda _: 1.0))
    yield Series("never_same", {"of": "bits"}, floats(
        first, lambda _: float_of(rng.getrandbits(62))))
    for room in ("cellar", "kitchen", "Küche", 'a "b" \\c'):
        yield Series("temperature_celsius", {"room": room}, floats(third, walk(rng, 12, 0.1, 1)))
    yield from natives_only(rng, first, second, third)
    yield from sparse(rng)
    yield from awkward_labels(rng, third)


def natives_only(rng, first, second, third):
    yield Series("nh_widens", {}, natives(first, observed(rng, widens_at=900)))
    yield Series("nh_signed", {}, natives(third, observed(rng, schema=0, is_signed=True)))
    for kind in ("int", "float"):
        yield Series("nh_gauge", {"kind": kind}, natives(second, weighed(rng, kind == "float")))
        for path in ("/", "/cart"):
            yield Series("nh_custom", {"kind": kind, "path": path},
                         natives(first, custom(rng, BOUNDS, kind == "float")))
    half = len(third.scrapes) // 2
    older, newer = Target.__new__(Target), Target.__new__(Target)
    older.scrapes, newer.scrapes = third.scrapes[:half], third.scrapes[half:]
    yield Series("changed_type", {}, [*floats(older, counter(rng, 5)),
                                      *natives(newer, observed(rng))])
    yield Series("changed_bounds", {}, [*natives(older, custom(rng, BOUNDS)),
                                        *natives(newer, custom(rng, BOUNDS[1:]))])


def sparse(rng):
    for number, interval in enumerate((5 * MINUTE, 17 * MINUTE, 3 * HOUR, 25 * HOUR)):
        target = Target(rng, "sparse", interval, jitter=interval // 3)
        yield Series("sparse", {"number": str(number)}, floats(target, walk(rng, 0, 1)))
    for number in range(3):
        hours = sorted(rng.uniform(0, HOURS) for _ in range(6))
        outages = list(zip(hours[::2], hours[1::2]))
        target = Target(rng, "batch", MINUTE, outages=outages)
        yield Series("batch_running", {"number": str(number)}, floats(target, lambda _: 1.0))
    for version, gaps in (("1.0", [(9, HOURS)]), ("1.1", [(0, 9.2)])):
        yield Series("build_info", {"version": version, "instance": "node-0"},
                     floats(Target(rng, "node-0", 30_000, gaps=gaps), lambda _: 1.0))


def awkward_labels(rng, target):
    """External labels must come to stand between, before and behind these."""
    for labels in ({}, {"a": "1"}, {"a": "1", "zone": "z"}, {"zone": "z"},
                   {"cluste": "r"}, {"clusters": "s"}, {"replic": "a"}, {"replicas": "b"}):
        yield Series("zz", labels, floats(target, walk(rng, 5, 1, 2)))
    yield Series("http.requests/total", {"k8s.pod.name": "pöd"}, floats(target, counter(rng, 3)))
    yield Series("long_value", {"text": "long " * 2000}, floats(target, counter(rng, 3)))


def eu():
    rng = random.Random(1)
    targets = [Target(rng, "node-0", 30_000, restarts=(3.3, 14.02), outages=[(6, 6.2)]),
               Target(rng, "node-1", 30_000, jitter=900, restarts=(8,), gaps=[(11, 11.6)]),
               Target(rng, "node-2", MINUTE, outages=[(17, 19.5)])]
    return [*common(rng, targets), *eu_only(rng, targets)]


def us():
    rng = random.Random(2)
    targets = [Target(rng, "node-0", 30_000, jitter=3, restarts=(2.5, 2.6, 20)),
               Target(rng, "node-9", MINUTE, outages=[(4, 4.5)])]
    yield from common(rng, targets)
    # The store's label wins.
    yield Series("overridden", {"cluster": "elsewhere", "node": "x"},
                 floats(targets[1], counter(rng, 3)))


def batches(series, begin=BEGIN, end=END, duration=20 * MINUTE):
    """What a request each holds, in order: what arrives in some minutes."""
    columns = [(one.labels, one.batches(duration)) for one in series]
    for number in range((begin - BEGIN) // duration, (end - BEGIN) // duration):
        yield [(labels, *column[number]) for labels, column in columns if number in column]


def long_run(days):
    """Few series, for as long as it takes to be downsampled twice."""
    rng = random.Random(3)
    end = BEGIN + days * DAY
    first = Target(rng, "node-0", 4 * MINUTE, restarts=(30, 31.01, 250), outages=[(70, 71.3)],
                   end=end)
    second = Target(rng, "node-1", 7 * MINUTE, jitter=MINUTE, restarts=(100.5,),
                    gaps=[(120, 131)], end=end)
    third = Target(rng, "node-2", 20 * MINUTE, restarts=(40,), outages=[(200, 204)], end=end)
    for target in (first, second, third):
        yield Series("requests_total", target.labels, floats(target, counter(rng, 40)))
        yield Series("temperature", target.labels, floats(target, walk(rng, 20, 0.3)))
    yield Series("seconds_total", first.labels, floats(first, counter(rng, 3, False)))
    yield Series("extreme", second.labels, floats(second, lambda _: rng.choice(EXTREMES)))
    yield Series("constant", third.labels, floats(third, lambda _: 3.0))
    yield Series("native", third.labels, natives(third, observed(rng, is_signed=True)))
    yield Series("native_float", third.labels, natives(third, observed(rng, is_float=True)))
    yield Series("native_gauge", third.labels, natives(third, weighed(rng, is_float=False)))
    rare = Target(rng, "rare", 9 * HOUR, jitter=HOUR, end=end)
    yield Series("rare", rare.labels, floats(rare, walk(rng, 0, 1)))
