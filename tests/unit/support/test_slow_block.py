#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The slow reader and writer of blocks against the golden ones: read as their writer said,
written again byte by byte.

usage: test_slow_block.py <folder of golden blocks>
"""
import glob
import gzip
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import slow_block as sb  # noqa: E402


def expected_series(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            series = json.loads(line)
            yield tuple(map(tuple, series["L"])), [
                sb.Chunk(chunk["Min"], chunk["Max"], chunk["Enc"],
                         bytes.fromhex(chunk["Hex"])) for chunk in series["C"]]


def files_of(folder):
    return {name: sb.read_file(os.path.join(folder, name))
            for name in ["index"] + [f"chunks/{one}" for one in
                                     os.listdir(os.path.join(folder, "chunks"))]}


def check(folder):
    [block] = glob.glob(os.path.join(folder, "0*"))
    read = sb.read_block(block)
    assert list(read.series.items()) == list(expected_series(
        os.path.join(folder, "expected.jsonl.gz")))
    external = read.meta["thanos"]["labels"]
    with tempfile.TemporaryDirectory() as bucket:
        written = sb.write_block(bucket, read.meta["ulid"], read.series, external)
        assert files_of(written) == files_of(block), f"{folder}: written otherwise"
        again = sb.read_block(written)
        assert again.series == read.series
        assert all(again.meta[name] == read.meta[name] for name in ("minTime", "maxTime"))
        small = sb.write_block(bucket, read.meta["ulid"], read.series, external,
                               segment_limit=4000)
        assert len(files_of(small)) > 10 and sb.read_block(small).series == read.series
    print(f"{os.path.basename(folder)}: {len(read.series)} series")


def main():
    folders = sorted(os.path.dirname(path) for path in
                     glob.glob(os.path.join(sys.argv[1], "*", "expected.jsonl.gz")))
    assert folders
    for folder in folders:
        check(folder)


if __name__ == "__main__":
    main()
