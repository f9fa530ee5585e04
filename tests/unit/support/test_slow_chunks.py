#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The slow decoders and encoders of chunks against the golden chunks, which other
programs wrote, and against examples worked by hand.

usage: test_slow_chunks.py <folder of golden blocks>
"""
import collections
import glob
import gzip
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import slow_chunks as sc  # noqa: E402
from slow_chunks import Histogram, Sample  # noqa: E402

BEGIN = 1600000000000
ONE, TWO, TWO_AND_A_HALF, TEN = map(sc.bits_of, (1, 2, 2.5, 10))
FLOATS = [(BEGIN, ONE), (BEGIN + 15000, ONE), (BEGIN + 30001, TWO),
          (BEGIN + 45001, TWO_AND_A_HALF), (BEGIN + 60001, sc.STALE)]
STARTS = [BEGIN - 5000] * 2 + [BEGIN + 20000] * 3


def example_histograms(starts):
    def one(number, total, count, zero, first):
        hint = sc.NOT_RESET if number else sc.UNKNOWN_RESET
        return Sample(BEGIN + 15000 * number, Histogram(
            is_float=False, sum=sc.bits_of(total), count=count, zero_count=zero,
            zero_threshold=sc.bits_of(2 ** -128), positive_spans=((0, 2), (1, 1)),
            positive=(first, 1, -1), hint=hint), starts[number])
    return [one(0, 10, 10, 1, 3), one(1, 12.5, 13, 2, 4), one(2, 20, 19, 4, 6)]


# What it is, encoding, bytes, samples.
EXAMPLES = [
    ("XOR", sc.XOR, "0005 8080f4f6905d 3ff0000000000000 9875"
     "4000e12fffdfffed06c5effe80000000000040", [Sample(*one) for one in FLOATS]),
    ("no sample", sc.XOR, "0000", []),
    ("XOR2 with start timestamps", sc.XOR2, "0005 82 8080f4f6905d 3ff0000000000000 904e 9875"
     "6000e097fffefb1e37fff341fc1d4cffe0ea60",
     [Sample(*one, start) for one, start in zip(FLOATS, STARTS)]),
    ("integer histograms", sc.HISTOGRAM,
     "000300744a48c5fc0002e90edd00018a8a0120000000000004e37f83a989c7609b1138eb17b100",
     example_histograms((0, 0, 0))),
    ("integer histograms with start timestamps", sc.HISTOGRAM_ST,
     "000382744a48c5fc0002e90edd00018a8a0120000000000004e37d00ff83a989c7609b1138eb17b13d8300",
     example_histograms((BEGIN - 1000, BEGIN - 1000, BEGIN + 16000))),
]
# An appender that was opened again knows a window, (0, 0), where nothing has changed yet.
REOPENED = bytes.fromhex("0003 8080f4f6905d 3ff0000000000000 9875 27ff00000000000000")


def check_examples():
    for what, encoding, written, samples in EXAMPLES:
        data = bytes.fromhex(written)
        assert sc.decode(encoding, data) == samples, (what, sc.decode(encoding, data))
        assert sc.encode(encoding, samples) == data, what
    assert [value for _, value, _ in sc.decode(sc.XOR, REOPENED)] == [ONE, ONE, TWO]
    for count, head, size in ((127, "007f00", None), (130, "00827f", 50)):
        samples = [Sample(BEGIN + 15000 * number, ONE) for number in range(count)]
        data = sc.encode(sc.XOR2, samples)
        assert data[:3].hex() == head and size in (None, len(data)), (count, data.hex())
        assert sc.decode(sc.XOR2, data) == samples


def check_borders():
    """Of every field."""
    numbers = [sign * (1 << bits) + by for bits in range(63) for sign in (1, -1)
               for by in range(-2, 3)] + [(1 << 63) - 1, -1 << 63]
    sink = sc.Sink()
    for number in numbers:
        sink.varbit_int(number)
        sink.varbit_uint(sc.unsigned(number))
        sink.varint(number)
        sink.uvarint(sc.unsigned(number))
        sink.coded(sc.DOD_CODES, number)
    source = sc.Source(sink.data())
    for number in numbers:
        read = [source.varbit_int(), source.varbit_uint(), source.varint(),
                source.uvarint(), sc.signed(source.coded(sc.DOD_CODES))]
        assert read == [number, sc.unsigned(number)] * 2 + [number], (number, read)
    for ends_early in (REOPENED[:-1], REOPENED[:9], b"\0", b""):
        try:
            sc.decode(sc.XOR, ends_early)
        except ValueError:
            continue
        raise AssertionError(f"{ends_early.hex()} was read")


def expected_sample(is_float, sample):
    if "V" in sample:
        return Sample(sample["T"], int(sample["V"], 16), sample["ST"])
    it = sample["H"]

    def spans(name):
        return tuple((span["Offset"], span["Length"]) for span in it.get(name) or ())

    def bits(name):
        return tuple(int(value, 16) for value in it.get(name) or ())

    def count(name):
        return int(it[name], 16) if is_float else int(sc.number_of(int(it[name], 16)))
    return Sample(sample["T"], Histogram(
        is_float=is_float, sum=int(it["sum"], 16), count=count("count"),
        zero_count=count("zero_count"), zero_threshold=int(it["zero_threshold"], 16),
        schema=it["schema"], positive_spans=spans("pos_spans"),
        negative_spans=spans("neg_spans"), bounds=bits("custom"), hint=it["hint"],
        positive=bits("pos") if is_float else tuple(it.get("pos_delta") or ()),
        negative=bits("neg") if is_float else tuple(it.get("neg_delta") or ())),
        sample["ST"])


def golden_chunks(path):
    """Each with encoding, data, range and expected samples."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            for chunk in json.loads(line)["C"]:
                samples = [expected_sample(chunk["Enc"] in sc.OF_FLOAT_HISTOGRAMS, sample)
                           for sample in chunk["S"] or ()]
                yield chunk["Enc"], bytes.fromhex(chunk["Hex"]), samples


def check_golden(path):
    name = os.path.basename(os.path.dirname(path))
    chunks, other = collections.Counter(), collections.Counter()
    for encoding, data, samples in golden_chunks(path):
        read = sc.decode(encoding, data)
        assert read == samples, f"{name}: {data.hex()}:\n{read}\ninstead of\n{samples}"
        header = sc.header_of(encoding, data) if encoding not in sc.OF_FLOATS else 0
        written = sc.encode(encoding, read, header)
        assert sc.decode(encoding, written) == read, f"{name}: {data.hex()}"
        chunks[encoding] += 1
        other[encoding] += written != data
    # Writers of XOR2 differ in when they take a new window. One that is random was opened
    # again before its value had changed.
    del other[sc.XOR2]
    assert other.total() <= (name == "random"), f"{name}: not written alike: {other}"
    print(f"{name}: {chunks.total()} chunks")


def records(segment):
    """(encoding, data) of each chunk in a segment, of which none is left over."""
    source = sc.Source(segment)
    source.take(64)
    while source.at < len(source.bits):
        length, encoding = source.uvarint(), source.take(8)
        yield encoding, source.take(8 * length).to_bytes(length, "big")
        source.take(32)


def check_downsampled(folder):
    [segment] = glob.glob(os.path.join(folder, "*", "chunks", "000001"))
    with open(segment, "rb") as file, gzip.open(
            os.path.join(folder, "expected.jsonl.gz"), "rt", encoding="utf-8") as lines:
        stored = list(records(file.read()))
        expected = [chunk for line in lines for chunk in json.loads(line)["C"]]
    for (outer, data), chunk in zip(stored, expected, strict=True):
        aggregates = sc.decode_aggregates(data)
        assert outer == sc.AGGR and set(aggregates) == set(sc.AGGREGATES)
        for name, (encoding, inner) in aggregates.items():
            read = sc.decode(encoding, inner)
            assert [[ms, f"{bits:016x}"] for ms, bits, _ in read] == chunk[name], name
            assert sc.encode(encoding, read) == inner, name
        assert sc.encode_aggregates(aggregates) == data
    few = {name: aggregates[name] for name in ("count", "counter")}
    assert sc.decode_aggregates(sc.encode_aggregates(few)) == few
    few = {"sum": aggregates["sum"]}
    assert sc.decode_aggregates(sc.encode_aggregates(few)[:-1]) == few, "the last is missing"
    print(f"downsampled: {len(expected)} chunks")


def main():
    golden = sys.argv[1]
    check_examples()
    check_borders()
    paths = glob.glob(os.path.join(golden, "*", "expected.jsonl.gz")) + \
        glob.glob(os.path.join(golden, "chunks", "*", "expected.jsonl.gz"))
    assert len(paths) >= 5, paths
    for path in sorted(paths):
        check_golden(path)
    check_downsampled(os.path.join(golden, "downsampled", "3600000"))


if __name__ == "__main__":
    main()
