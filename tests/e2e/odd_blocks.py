#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks as old releases of Prometheus, foreign tools and people made them, in one bucket:
each is answered, streamed, sampled and by discovery, as its writer meant it, or refused by
name, and none disturbs another. blockhouse-bucket verify and the sidecar say of each what
they should.

usage: odd_blocks.py <directory of the programs>
"""
import glob
import itertools
import json
import os
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import remote_read as rr  # noqa: E402
from bucket_tool import Tool  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from garbage_blocks import ulid  # noqa: E402
from garbage_sidecar import GOOD  # noqa: E402
from odd_block import bits_of, write_block, xor_chunk  # noqa: E402
from read_golden import label_order  # noqa: E402
from sidecar_bad_blocks import status_of  # noqa: E402
from sidecar_world import World  # noqa: E402

EVER = (-(1 << 63), (1 << 63) - 1)
BASE = 1_600_000_000_000
STALE = 0x7FF0000000000002
MIN, MAX = EVER
MEGABYTE = 1_000_000
EXTERNAL = {"labels": {"cluster": "old"}, "downsample": {"resolution": 0}}


def samples(count, first=BASE, step=15_000):
    return [(first + number * step, bits_of(number * 1.5)) for number in range(count)]


NAME = ("__name__", "m")


def with_case(labels, case):
    """The label that tells the blocks apart, in its place among sorted ones."""
    if "case" in dict(labels):
        return [(name, case if name == "case" else value) for name, value in labels]
    before = [pair for pair in labels if pair[0] < "case"]
    return before + [("case", case)] + labels[len(before):]


class Case:
    """One block. series: [(labels in stored order, [samples of a chunk, or a chunk])].

    answer   "exact"; "merged": the samples, in whatever chunks; else a word of the error
             that a query meets, or, when unserved, a word of the log
    verify   words of the findings of blockhouse-bucket verify; none: it passes
    ships    whether the sidecar takes it, which does not decode chunks; None: if it passes
             verify"""

    def __init__(self, name, series, answer="exact", unserved=False, verify=(), ships=None,
                 thanos=EXTERNAL, damage=None, **options):
        self.name, self.answer, self.unserved, self.verify = name, answer, unserved, verify
        self.ships = not verify if ships is None else ships
        self.thanos, self.damage, self.options = thanos, damage, options
        self.series = [(with_case(labels, name), chunks) for labels, chunks in series]

    def is_answered(self):
        return self.answer in ("exact", "merged")

    def write(self, bucket, thanos):
        stored = [([(name.encode(), value.encode()) for name, value in labels],
                   [one if isinstance(one, tuple) else xor_chunk(one) for one in chunks])
                  for labels, chunks in self.series]
        folder = write_block(bucket, self.ulid, stored, thanos=thanos, **self.options)
        if self.damage:
            self.damage(folder)

    def external(self):
        labels = (self.thanos or {}).get("labels") or {}
        return {name: value for name, value in labels.items() if value}

    def wanted(self):
        """[(labels, [chunk], [sample])] in the order of an answer."""
        found = []
        for labels, chunks in self.series:
            merged = tuple(sorted({**dict(labels), **self.external()}.items(),
                                  key=lambda pair: pair[0].encode()))
            if chunks:
                found.append((merged, sorted(map(xor_chunk, chunks)),
                              sorted({one for chunk in chunks for one in chunk})))
        return sorted(found, key=lambda one: label_order(one[0]))


def one(*chunks, labels=()):
    return [([NAME, *labels], list(chunks))]


def some_series():
    return [([NAME, ("zone", zone)], [samples(40 + number), samples(9, BASE + 1_000_000)])
            for number, zone in enumerate(("", "a", "b\n", "köln"))]


def write_beside(name, content=b"no segment"):
    def damage(folder):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    return damage


def unknown_chunk(encoding):
    low, high, _, data = xor_chunk(samples(3, BASE + 1_000_000))
    return low, high, encoding, data


CASES = [
    Case("index 1", some_series(), index={"version": 1, "obsolete": True}),
    Case("index 1 without old sections", some_series(), index={"version": 1}),
    Case("index 2 with old sections", some_series(), index={"obsolete": True}),
    Case("index 3", some_series(), index={"version": 3}),
    Case("index 4", some_series(), "version 4", unserved=True, verify=["version 4"],
         index={"version": 4}),
    Case("no thanos section", some_series(), thanos=None,
         verify=["no external labels"], ships=True),
    Case("no labels in it", some_series(), thanos={"labels": None, "downsample": None},
         verify=["no external labels"], ships=True),
    Case("null label", some_series(), thanos={"labels": {"cluster": None, "a": ""}},
         verify=["no external labels"], ships=True),
    Case("no series", []),
    Case("no series, and a list of them", [], index={"list_of_none": True}),
    Case("series without chunks", one(labels=[("a", "1")]) + one(samples(5),
         labels=[("a", "2")]) + one(labels=[("a", "3")])),
    Case("only series without chunks", one(labels=[("a", "1")]) + one(labels=[("a", "2")])),
    Case("one sample", one(samples(1))),
    Case("one stale marker", one([(BASE, STALE)])),
    Case("one sample at the end of time", one([(MAX, 1)])),
    Case("one sample at the begin of time", one([(MIN, 1)])),
    Case("before 1970", one(samples(300, -10 ** 12), samples(3, -5000, 2500))),
    Case("after 2100", one(samples(300, 4_200_000_000_000), samples(9, 1 << 61, 1 << 58))),
    Case("all times", one([(MIN, 1), (MIN + 1, 2), (0, 3), (MAX - 1, 4), (MAX, 5)])),
    Case("all times in two chunks", one([(MIN, 1), (-1, 2)], [(0, 3), (MAX, 4)])),
    Case("megabyte value", one(samples(5), labels=[("v", "x" * MEGABYTE)])),
    Case("megabyte name", one(samples(5), labels=[("n" * MEGABYTE, "v")])),
    Case("10000 labels", one(samples(5), labels=[
        (f"l{number:05}", f"v{number}") for number in range(10_000)])),
    Case("series without labels", [([("case", "?")], [samples(7)])]),
    Case("unsorted labels", [([("z", "1"), NAME, ("case", "?"), ("a", "2")], [samples(5)]),
                             ([("z", "2"), NAME, ("case", "?"), ("a", "3")], [samples(6)])],
         verify=["do not ascend"]),
    Case("unsorted labels, series in their order", [
        ([("z", "1"), ("case", "?"), ("a", "2")], [samples(5)]),
        ([("z", "2"), ("case", "?"), ("a", "1")], [samples(6)])], verify=["do not ascend"]),
    Case("unsorted labels, series out of order", [
        ([("z", str(at)), ("case", "?"), ("a", str(9 - at))], [samples(5)])
        for at in range(9)], "series out of order", verify=["do not ascend"]),
    Case("label twice", [([("a", "1"), ("a", "2"), ("case", "?")], [samples(5)])],
         "there twice", verify=["do not ascend"]),
    Case("chunks out of order", one(samples(9, BASE + 2_000_000), samples(9), samples(9,
         BASE + 1_000_000)), verify=["begins before"]),
    Case("chunks that overlap", one(samples(9), samples(9, BASE + 7_000), samples(9)),
         "merged", verify=["begins before"]),
    Case("chunk at the end of the block", one(samples(9), samples(1, BASE + 1_000_000)),
         meta={"maxTime": BASE + 1_000_000}),
    Case("zeros behind chunks", one(samples(9)), tail=bytes(100_000)),
    Case("wide names of segments", one(*(samples(9, BASE + at * 1_000_000)
         for at in range(4))), names=("0000001", "000002", "1", "1000000"),
         place=lambda number: number),
    Case("segments in an order of their own", one(*(samples(9, BASE + at * 1_000_000)
         for at in range(3))), names=("7", "000002", "000001"), place=lambda number: number,
         thanos={**EXTERNAL, "segment_files": ["7", "000002", "000001"]}),
    Case("segments without order", one(*(samples(9, BASE + at * 1_000_000)
         for at in range(4))), names=("000001", "000002"), place=lambda number: 1 - number % 2,
         verify=["before or inside the last"]),
    Case("files beside segments", some_series(), damage=write_beside("chunks/000000.tmp"),
         verify=["000000.tmp: does not belong"], ships=True),
    Case("segment of 1.4 GB", one(samples(9), samples(9, BASE + 1_000_000)), gap=700 << 20,
         verify=["no series refers"]),
    Case("chunk behind 3 GiB", one(samples(9)), gap=3 << 30,
         verify=["no series refers"]),
    Case("encoding 7", one(samples(9), unknown_chunk(7)), "encoding 7",
         verify=["encoding 7"], ships=True),
    Case("encoding 99", one(samples(9), unknown_chunk(99)), "encoding 99",
         verify=["encoding 99"], ships=True),
    Case("encoding 0", one(samples(9), unknown_chunk(0)), "encoding 0",
         verify=["encoding 0"], ships=True),
]


def text_of(answer):
    assert answer.status == 200, (answer.status, answer.text[:500])
    return answer


def check_equal(what, wanted, got):
    if wanted != got:
        pair = next((pair for pair in itertools.zip_longest(wanted, got)
                     if pair[0] != pair[1]))
        raise AssertionError(f"{what}: wanted {str(pair[0])[:500]}\n  got {str(pair[1])[:500]}")


def streamed(wanted):
    return [(0, labels, [(encoding, low, high, data) for low, high, encoding, data in chunks])
            for labels, chunks, _ in wanted]


def check_streamed(store, case):
    got = rr.read_streamed(store, [rr.query([("case", "=", case.name)], *EVER)])
    check_equal(f"{case.name}, streamed", streamed(case.wanted()), got)


def check_sampled(store, case):
    [answer] = rr.read_sampled(store, [rr.query([("case", "=", case.name)], *EVER)])
    got = [(labels, [(ms, bits_of(value)) for ms, value in found])
           for labels, found in answer]
    check_equal(f"{case.name}, sampled", [(labels, found) for labels, _, found
                                          in case.wanted()], got)


def check_discovery(store, case):
    answer = store.request("GET", "/api/v1/series?" + urllib.parse.urlencode(
        {"match[]": f'{{case="{case.name}"}}'}))
    got = json.loads(text_of(answer).body)["data"]
    check_equal(f"{case.name}, series", [dict(labels) for labels, _, _ in case.wanted()], got)


def check_refused(store, case):
    """Streamed and sampled, by the name of the block and by what is wrong in it."""
    for accepted in ([rr.pb.ReadRequest.STREAMED_XOR_CHUNKS], []):
        answer = rr.post(store, rr.encode(
            [rr.query([("case", "=", case.name)], *EVER)], accepted))
        assert answer.status in (500, 501), (case.name, answer.status, answer.text)
        assert case.answer in answer.text and case.ulid in answer.text, answer.text


def check_everything(store):
    """All that is answered, in one answer."""
    others = [("case", "!=", case.name) for case in CASES if not case.is_answered()]
    wanted = sorted((one for case in CASES if case.is_answered() for one in case.wanted()),
                    key=lambda one: label_order(one[0]))
    got = rr.read_streamed(store, [rr.query(others, *EVER)])
    check_equal("labels of everything", [labels for labels, _, _ in wanted],
                [labels for _, labels, _ in got])
    [answer] = rr.read_sampled(store, [rr.query(others, *EVER)])
    check_equal("samples of everything", [len(found) for _, _, found in wanted],
                [len(found) for _, found in answer])


def check_skipped(store):
    """As check_everything, but what is refused is asked for, too, and left out."""
    for case in CASES:
        if not case.is_answered() and not case.unserved:
            answer = rr.post_streamed(store, [rr.query([("case", "=", case.name)], *EVER)])
            assert answer.headers["Blockhouse-Skipped-Blocks"] == case.ulid, case.name
            for _, labels, chunks in rr.series_of(answer):
                assert len(chunks) == 1 and dict(labels)["case"] == case.name, case.name
    everything = rr.read_streamed(store, [rr.query([("case", "!=", "")], *EVER)])
    named = {dict(labels)["case"] for _, labels, _ in everything}
    assert named >= {case.name for case in CASES if case.is_answered() and case.wanted()}


def check_served(store, case):
    """Whether it is, and that the log names it if not."""
    named = [line for line in store.log_text().splitlines()
             if case.ulid in line and 'msg="block failed"' in line]
    assert bool(named) == case.unserved, (case.name, named)
    assert all(case.answer in line for line in named), (case.name, named)


def check_store(store):
    for case in CASES:
        check_served(store, case)
        if case.unserved:
            continue
        if case.is_answered():
            if case.answer == "exact":
                check_streamed(store, case)
            check_sampled(store, case)
            check_discovery(store, case)
        else:
            check_refused(store, case)
    check_everything(store)
    print(f"  {len(CASES)} blocks answered or refused by name")


def check_verified(programs, bucket):
    tool = Tool(programs, bucket)
    for case in CASES:
        done = tool.run("verify", case.ulid, status=1 if case.verify else 0)
        said = done.stdout + done.stderr
        assert all(words in said for words in case.verify), (case.name, said)
    print("  verified")


def files_of(folder):
    """{name: content} of the index and the segments."""
    found = {}
    for path in glob.glob(os.path.join(folder, "**"), recursive=True):
        if os.path.basename(path).isdigit() or os.path.basename(path) == "index":
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def check_shipped(programs, directory):
    """The same blocks in a data directory of Prometheus, where no block has an order of
    segments but that of their names. Huge ones stay out."""
    with tempfile.TemporaryDirectory(prefix="blockhouse-odd-", dir=directory) as root:
        world = World(root)
        cases = [case for case in CASES if "gap" not in case.options
                 and "segment_files" not in (case.thanos or {})]
        for case in cases:
            case.write(world.data, None)
        sampled = [case for case in cases if any(chunks for _, chunks in case.series)]
        shipped = [case for case in sampled if case.ships]
        world.prometheus.answer = (200, GOOD)
        with world.sidecar(f"{programs}/blockhouse-sidecar") as sidecar:
            wait_until("blocks to be shipped", lambda: all(
                world.is_shipped(case.ulid) for case in shipped))
            wait_until("the others to be named", lambda: sidecar.metric(
                "blockhouse_sidecar_failing_blocks") == len(sampled) - len(shipped))
            status = status_of(sidecar)
        for case in shipped:
            check_equal(f"{case.name}, shipped", sorted(files_of(os.path.join(
                world.data, case.ulid)).items()), sorted(files_of(os.path.join(
                    world.bucket, case.ulid)).items()))
        for case in sampled:
            block = status[case.ulid]
            assert case.ships or block["state"] == "failed" and case.ulid in block["reason"], \
                (case.name, block)
        print(f"  {len(shipped)} shipped, {len(sampled) - len(shipped)} named")


def main():
    programs = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        for number, case in enumerate(CASES, 1):
            case.ulid = ulid(number)
            case.write(bucket, case.thanos)
        for policy, check in (("fail", check_store), ("skip", check_skipped)):
            with Daemon(f"{programs}/blockhouse-store", "--http-address=127.0.0.1:{port}",
                        f"--data-dir={directory}/{policy}", f"--store.bad-block={policy}",
                        f"--objstore.config={dir_bucket(bucket)}") as store:
                check(store)
        check_verified(programs, bucket)
        check_shipped(programs, directory)


if __name__ == "__main__":
    main()
