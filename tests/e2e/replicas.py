#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks of replicas, read with and without --store.replica-label: samples are those that
a naive de-duplication of what each replica has finds, in streamed and in sampled answers,
and no endpoint shows the label. Blocks of one replica that overlap are merged sample by
sample, whatever encodings they have.

usage: replicas.py <blockhouse-store> <bench_make_data>
"""
import contextlib
import dataclasses
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import remote_read as rr  # noqa: E402
import slow_chunks as sc  # noqa: E402
from daemon import Daemon, dir_bucket  # noqa: E402
from discovery import data, path_of_values  # noqa: E402
from tiny_blocks import ulid_of  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "golden")
FIRST_MS = 1785542400000  # of make_data.c
HOUR_MS = 3600000
ALL = ("__name__", "!=", "no such metric")
SERIES = 200
FIRST_PENALTY_MS = 5000
FIRST_GOLDEN_MS, LAST_GOLDEN_MS = 0, 1 << 42


def samples_of(chunks):
    """[(ms, bits or histogram)] of chunks of a streamed answer, without hints and start
    timestamps."""
    return [(sample.ms, dataclasses.replace(sample.value, hint=sc.UNKNOWN_RESET)
             if isinstance(sample.value, sc.Histogram) else sample.value)
            for chunk in chunks for sample in sc.decode(chunk[0], chunk[3])]


def bits_of(sample):
    return sample.timestamp, sc.bits_of(sample.value)


def lifted(sample, lift):
    value = sc.number_of(sample[1])
    if value != value or lift == 0:
        return sample
    return sample[0], sc.bits_of(value + lift)


def penalised(a, b, is_counter):
    """One series of two: lists of (ms, bits)."""
    sides, at, penalty, lift = (a, b), [0, 0], [0, 0], [0.0, 0.0]
    taken, last_side = [], None
    while True:
        for side in 0, 1:
            while taken and at[side] < len(sides[side]) and \
                    sides[side][at[side]][0] < taken[-1][0] + 1 + penalty[side]:
                at[side] += 1
        left = [side for side in (0, 1) if at[side] < len(sides[side])]
        if not left:
            return taken
        side = min(left, key=lambda one: (sides[one][at[one]][0], one))
        sample = sides[side][at[side]]
        if is_counter and last_side not in (None, side):
            lift[side] += max(0.0, sc.number_of(taken[-1][1]) -
                              (sc.number_of(sample[1]) + lift[side]))
        penalty[1 - side] = 2 * (sample[0] - taken[-1][0]) if taken else FIRST_PENALTY_MS
        penalty[side], last_side = 0, side
        taken.append(lifted(sample, lift[side]))


def without(labels, name):
    return tuple(pair for pair in labels if pair[0] != name)


def order(labels):
    return [(name.encode(), value.encode()) for name, value in labels]


@contextlib.contextmanager
def store_over(program, bucket, *flags):
    with tempfile.TemporaryDirectory() as folder, \
            Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={folder}",
                   f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s",
                   *flags) as store:
        yield store


def make_replicas(make_data, folder):
    """Replica a lacks the second of four blocks; b began later, with counters of its own,
    and lacks the last one; c has the second hour only."""
    bucket = os.path.join(folder, "bucket")

    def make(replica, first_hour, hours, *lost):
        own = os.path.join(folder, f"replica-{replica}")
        subprocess.run([make_data, "--series", str(SERIES), "--hours", str(hours),
                        "--block-hours", "1", "--replica", str(replica), "--begin",
                        str(FIRST_MS // 1000 + first_hour * 3600), own],
                       check=True, stdout=subprocess.DEVNULL)
        os.makedirs(bucket, exist_ok=True)
        for number, block in enumerate(sorted(os.listdir(own))):
            if number not in lost:
                shutil.move(os.path.join(own, block), bucket)

    make(0, 0, 4, 1)
    make(1, 1, 3, 2)
    make(2, 1, 1)
    return bucket


def stored_samples(store):
    """{labels without replica: [samples of one replica, in the order of replicas]}."""
    found = {}
    for _, labels, chunks in rr.read_streamed(
            store, [rr.query([ALL], FIRST_MS, FIRST_MS + 4 * HOUR_MS)]):
        samples = samples_of(chunks)
        replicas = found.setdefault(without(labels, "replica"), {})
        replicas[dict(labels)["replica"]] = samples
    return {labels: [replicas[name] for name in sorted(replicas)]
            for labels, replicas in found.items()}


def expected(stored, begin, end, is_counter):
    """[(labels, samples)] in the order of an answer."""
    answer = []
    for labels in sorted(stored, key=order):
        inside = [[sample for sample in samples if begin <= sample[0] <= end]
                  for samples in stored[labels]]
        merged = inside[0]
        for other in inside[1:]:
            merged = penalised(merged, other, is_counter)
        if merged:
            answer.append((labels, merged))
    return answer


def asked(begin, end, function):
    query = rr.query([ALL], begin, end)
    query.hints.start_ms, query.hints.end_ms, query.hints.func = begin, end, function
    return query


def answers_one_series_of_replicas(store, stored):
    ranges = [(FIRST_MS, FIRST_MS + 4 * HOUR_MS), (FIRST_MS + 50 * 60000, FIRST_MS + 2 * HOUR_MS),
              (FIRST_MS + HOUR_MS + 12345, FIRST_MS + HOUR_MS + 432100)]
    lifts = 0
    for begin, end in ranges:
        plain = expected(stored, begin, end, False)
        for function in "sum", "rate", "increase":
            wanted = expected(stored, begin, end, function != "sum")
            lifts += wanted != plain
            query = asked(begin, end, function)
            streamed = [(labels, samples_of(chunks))
                        for _, labels, chunks in rr.read_streamed(store, [query])]
            assert [labels for labels, _ in streamed] == [labels for labels, _ in wanted]
            assert len(wanted) == SERIES
            for (labels, got), (_, samples) in zip(streamed, wanted):
                # A series that one replica has is not cut at the ends of the range.
                got = [sample for sample in got if begin <= sample[0] <= end]
                assert got == samples, f"{labels} {begin} {end} {function}"
            answer = rr.post(store, rr.encode([query], [rr.pb.ReadRequest.SAMPLES]))
            [result] = rr.pb.ReadResponse.FromString(rr.snappy.decompress(answer.body)).results
            sampled = [(rr.labels_of(one), list(map(bits_of, one.samples)))
                       for one in result.timeseries]
            assert sampled == wanted, (begin, end, function)
    assert lifts > 0, "no function made a difference"
    print(f"  {3 * len(ranges)} queries, streamed and sampled")


def sees_replicas_by_matchers(store, stored):
    """Matchers are on the labels that series have in the bucket."""
    for replica, number in ("b", 1), ("c", -1):
        query = rr.query([ALL, ("replica", "=", replica)], FIRST_MS, FIRST_MS + 4 * HOUR_MS)
        got = {labels: samples_of(chunks)
               for _, labels, chunks in rr.read_streamed(store, [query])}
        assert got == {labels: samples[number] for labels, samples in stored.items()}
    print("  matchers on the label")


def hides_the_label(plain, store):
    names, _ = data(plain, "/api/v1/labels", [])
    assert "replica" in names
    assert data(store, "/api/v1/labels", [])[0] == [one for one in names if one != "replica"]
    assert data(plain, path_of_values("replica"), [])[0] == ["a", "b", "c"]
    assert data(store, path_of_values("replica"), [])[0] == []
    selector = [("match[]", '{__name__=~"api_.+"}')]
    series, _ = data(plain, "/api/v1/series", selector)
    once = {tuple(sorted(one.items())) for one in
            ({name: one[name] for name in one if name != "replica"} for one in series)}
    shown, _ = data(store, "/api/v1/series", selector)
    assert [tuple(sorted(one.items())) for one in shown] == sorted(once, key=order)
    assert len(series) > 2 * len(shown) > 0
    assert data(store, "/api/v1/series", [("match[]", '{replica="b"}')])[0] != []
    assert data(store, path_of_values("cluster"), [("match[]", '{replica="b"}')])[0] == ["bench"]
    print("  discovery")


def copy_golden(name, bucket, replica, number):
    """A golden block under a new name, as another replica has it."""
    [source] = glob.glob(os.path.join(GOLDEN, name, "0*"))
    ulid = ulid_of(number)
    target = os.path.join(bucket, ulid)
    shutil.copytree(source, target)
    path = os.path.join(target, "meta.json")
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    meta["ulid"], meta["compaction"]["sources"] = ulid, [ulid]
    meta["thanos"]["labels"]["replica"] = replica
    with open(path, "w", encoding="utf-8") as file:
        json.dump(meta, file)
    return meta["minTime"], meta["maxTime"] - 1


def passes_chunks_on_whatever_their_encoding(program, folder):
    """Two replicas that hold the same: the answer is what one of them has, byte for
    byte."""
    for name in "xor", "xor2", "xor2-st", "hist-st":
        one, both = (os.path.join(folder, f"{name}-{kind}") for kind in ("one", "both"))
        begin, end = copy_golden(name, one, "a", 0)
        for number, replica in enumerate("ab"):
            copy_golden(name, both, replica, number)
        query = [rr.query([ALL], begin, end)]
        with store_over(program, one) as single, \
                store_over(program, both, "--store.replica-label=replica") as merged:
            wanted = [(labels, chunks) for _, labels, chunks in rr.read_streamed(single, query)]
            got = [(labels, chunks) for _, labels, chunks in rr.read_streamed(merged, query)]
        wanted = [(without(labels, "replica"), chunks) for labels, chunks in wanted]
        assert sorted(got) == sorted(wanted) and len(got) > 10, name
        assert [labels for labels, _ in got] == sorted((labels for labels, _ in got), key=order)
    print("  chunks of all encodings")


def merges_overlapping_blocks(program, folder):
    """The golden blocks hold the same samples in other encodings."""
    names, together = ("xor", "xor2", "xor2-st", "hist-st"), os.path.join(folder, "together")
    wanted = {}
    for number, name in enumerate(names):
        begin, end = copy_golden(name, together, "a", number)
        with store_over(program, os.path.join(folder, f"{name}-one")) as single:
            for _, labels, chunks in rr.read_streamed(single, [rr.query([ALL], begin, end)]):
                at_times = wanted.setdefault(labels, {})
                for ms, value in samples_of(chunks):
                    at_times.setdefault(ms, set()).add(value)
    with store_over(program, together) as store:
        answer = rr.read_streamed(store, [rr.query([ALL], FIRST_GOLDEN_MS, LAST_GOLDEN_MS)])
    assert [labels for _, labels, _ in answer] == sorted(wanted, key=order)
    merged = 0
    for _, labels, chunks in answer:
        samples = samples_of(chunks)
        times = [ms for ms, _ in samples]
        assert times == sorted(wanted[labels]), labels
        assert all(value in wanted[labels][ms] for ms, value in samples), labels
        merged += all(chunk[0] in (1, 2, 3) for chunk in chunks)
    assert merged > len(answer) / 2, "what was merged is still in a new encoding"
    print("  overlapping blocks of all encodings")


def main():
    program, make_data = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        bucket = make_replicas(make_data, folder)
        with store_over(program, bucket) as plain, \
                store_over(program, bucket, "--store.replica-label=replica") as store:
            stored = stored_samples(plain)
            assert {len(replicas) for replicas in stored.values()} == {3}
            answers_one_series_of_replicas(store, stored)
            sees_replicas_by_matchers(store, stored)
            hides_the_label(plain, store)
        passes_chunks_on_whatever_their_encoding(program, folder)
        merges_overlapping_blocks(program, folder)


if __name__ == "__main__":
    main()
