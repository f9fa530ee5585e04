#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A block of a bucket is damaged: a query that meets the damage fails and names block,
object and offset, or leaves out the damaged piece and says so, as --store.bad-block
tells; other queries see nothing of it.

usage: store_damage.py <blockhouse-store>
"""
import contextlib
import http.client
import json
import os
import shutil
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket  # noqa: E402
from read_golden import ALL, Golden  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "golden")
DAMAGED, HEALTHY = ("cluster", "=", "eu1"), ("cluster", "=", "other")
HEADER = "Blockhouse-Skipped-Blocks"


def wanted(golden, without=None):
    """What an answer to ALL holds; of chunks with the data `without` nothing."""
    series = [(0, labels, [(enc, low, high, data) for low, high, enc, data in keys
                           if data != without])
              for labels, keys in golden.selected([ALL], golden.begin, golden.end)]
    return [one for one in series if one[2]]


def ask(store, golden, cluster):
    return rr.post_streamed(store, [rr.query([ALL, cluster], golden.begin, golden.end)])


def sections(index):
    """(begin of series, begin of postings, begin of their table) from the TOC."""
    toc = struct.unpack(">6Q", index[-52:-4])
    return toc[1], toc[4], toc[5]


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


class World:
    """A bucket of two blocks in the same range; the first is to be damaged."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.bucket = os.path.join(directory, "bucket")
        self.damaged = Golden(os.path.join(GOLDEN, "xor"))
        self.healthy = Golden(os.path.join(GOLDEN, "xor2"))
        self.block = os.path.join(self.bucket, os.path.basename(self.damaged.block))
        shutil.copytree(self.damaged.block, self.block)
        other = os.path.join(self.bucket, os.path.basename(self.healthy.block))
        shutil.copytree(self.healthy.block, other)
        path = os.path.join(other, "meta.json")
        with open(path, encoding="utf-8") as file:
            meta = json.load(file)
        meta["thanos"]["labels"]["cluster"] = "other"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(meta, file)
        self.others = [(index, tuple((name, "other" if name == "cluster" else value)
                                     for name, value in labels), chunks)
                       for index, labels, chunks in wanted(self.healthy)]

    @contextlib.contextmanager
    def store(self, policy):
        with tempfile.TemporaryDirectory() as data, \
                Daemon(self.program, "--http-address=127.0.0.1:{port}", f"--data-dir={data}",
                       f"--objstore.config={dir_bucket(self.bucket)}",
                       f"--store.bad-block={policy}") as store:
            yield store

    def others_are_right(self, store):
        answer = ask(store, self.healthy, HEALTHY)
        assert HEADER not in answer.headers, answer.headers
        assert rr.series_of(answer) == self.others, "an answer without the block differs"

    def fails(self, damage, words):
        with self.store("fail") as store:
            self.others_are_right(store)
            try:
                answer = ask(store, self.damaged, DAMAGED)
                assert answer.status == 500, (damage, answer.status)
                for word in words:
                    assert word in answer.text, (damage, word, answer.text)
            except (http.client.IncompleteRead, ConnectionError):
                assert all(word in store.log_text() for word in words), damage
            assert store.metric("blockhouse_store_block_damages_total") > 0
            assert store.metric("blockhouse_store_block_damages_skipped_total") == 0
            self.others_are_right(store)

    def skips(self, damage, is_right):
        with self.store("skip") as store:
            answer = ask(store, self.damaged, DAMAGED)
            series = rr.series_of(answer)
            assert is_right(series), (damage, len(series))
            assert store.metric("blockhouse_store_block_damages_skipped_total") > 0
            assert os.path.basename(self.block) in store.log_text(), damage
            assert answer.headers[HEADER] == os.path.basename(self.block), damage
            self.others_are_right(store)

    def check(self, damage, path, offset, words, is_right):
        flip(path, offset)
        self.fails(damage, [os.path.basename(self.block), *words])
        self.skips(damage, is_right)
        flip(path, offset)
        print(f"  {damage}: failed, skipped")


def damages(world):
    everything = wanted(world.damaged)
    index_path = os.path.join(world.block, "index")
    chunks_path = os.path.join(world.block, "chunks", "000001")
    with open(index_path, "rb") as file:
        begin, postings, table = sections(file.read())
    with open(chunks_path, "rb") as file:
        chunks = file.read()
    data = next(chunk[3] for _, _, held in everything for chunk in held
                if len(chunk[3]) > 100 and chunks.count(chunk[3]) == 1)
    world.check("a chunk", chunks_path, chunks.index(data) + len(data) // 2,
                ["chunks/000001", "chunk at"],
                lambda got: got == wanted(world.damaged, without=data))
    # Inside the first entry, which stands at a multiple of 16.
    world.check("a series", index_path, -(-begin // 16) * 16 + 4, ["index", "series at"],
                lambda got: 0 < len(got) < len(everything)
                and all(one in everything for one in got))
    # All lists: whichever is read, its checksum does not match.
    for offset in range(postings + 8, table, 32):
        flip(index_path, offset)
    world.check("postings", index_path, postings + 9, ["index", "postings"],
                lambda got: got == [])


def main():
    with tempfile.TemporaryDirectory() as directory:
        damages(World(sys.argv[1], directory))


if __name__ == "__main__":
    main()
