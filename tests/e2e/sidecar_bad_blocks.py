#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One bad block of each kind among good ones: the good ones arrive within one rescan,
each bad one is named with its reason, nothing hangs.

usage: sidecar_bad_blocks.py <blockhouse-sidecar>
"""
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from garbage_blocks import edited, flip  # noqa: E402
from garbage_sidecar import GOOD  # noqa: E402
from shipping import new_ulid  # noqa: E402
from sidecar_world import World, wait_until  # noqa: E402

GOOD_BLOCKS = 19
INTERVAL_S = 30
EXTRA_BYTES = 50000


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def instead(make):
    """Put something else in the place of a file or directory."""
    def damage(path):
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        make(path)
    return damage


def linked_aside(path):
    os.rename(path, path + ".aside")
    os.symlink(path + ".aside", path)


def meta_with(**changes):
    def damage(path):
        with open(path, encoding="utf-8") as file:
            meta = json.load(file)
        ulid = meta["ulid"].encode()
        with open(path, "wb") as file:
            file.write(edited(meta, **changes).replace(b"ULID", ulid))
    return damage


def a_file(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write("a file")


def closed(path):
    os.chmod(path, 0)


SEGMENT = "chunks/000001"

# (what is wrong, where in the block, how it comes about, code of the failure)
BAD = [
    ("index cut", "index", cut, "corrupt"),
    ("index empty", "index", empty, "corrupt"),
    ("index missing", "index", os.remove, "corrupt"),
    ("index flipped", "index", lambda path: flip(path, 20), "corrupt"),
    ("index a FIFO", "index", instead(os.mkfifo), "corrupt"),
    ("index a directory", "index", instead(os.mkdir), "corrupt"),
    ("index a symbolic link", "index", linked_aside, "corrupt"),
    ("segment missing", SEGMENT, os.remove, "corrupt"),
    ("segment empty", SEGMENT, empty, "corrupt"),
    ("segment cut", SEGMENT, cut, "corrupt"),
    ("header of a segment flipped", SEGMENT, lambda path: flip(path, 0), "corrupt"),
    ("frame of a chunk flipped", SEGMENT, lambda path: flip(path, 8), "corrupt"),
    ("a FIFO as segment", "chunks/000003", os.mkfifo, "corrupt"),
    ("a directory as segment", "chunks/000003", os.mkdir, "corrupt"),
    ("chunks missing", "chunks", shutil.rmtree, "corrupt"),
    ("chunks a file", "chunks", instead(a_file), "corrupt"),
    ("meta.json empty", "meta.json", empty, "corrupt"),
    ("meta.json cut", "meta.json", cut, "corrupt"),
    ("meta.json of another block", "meta.json", meta_with(ulid=new_ulid()), "corrupt"),
    ("meta.json of version 2", "meta.json", meta_with(version=2), "corrupt"),
    ("meta.json missing", "meta.json", os.remove, "corrupt"),
    ("meta.json a FIFO", "meta.json", instead(os.mkfifo), "corrupt"),
    ("an empty directory", "", instead(os.mkdir), "corrupt"),
    ("a file", "", instead(a_file), "corrupt"),
    ("a FIFO", "", instead(os.mkfifo), "corrupt"),
    ("a symbolic link", "", instead(lambda path: os.symlink("/proc", path)), "corrupt"),
    ("a symbolic link to nowhere", "", instead(lambda path: os.symlink("x", path)),
     "corrupt"),
    ("index closed", "index", closed, "denied"),
    ("segment closed", SEGMENT, closed, "denied"),
    ("meta.json closed", "meta.json", closed, "denied"),
    ("block closed", "", closed, "denied"),
]

# Only reading every chunk finds it.
BAD_IN_FULL = [("data of a chunk flipped", SEGMENT, lambda path: flip(path, 20), "corrupt")]

FOREIGN_DIRECTORIES = ["wal", "chunks_head", "lost+found", "01TOOSHORT", "snapshots",
                       "01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation",
                       "01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-deletion"]
FOREIGN_FILES = ["lock", "queries.active", "a name with\nlines", "\udcff\udcfe"]


def add_foreign(world, good):
    for name in FOREIGN_DIRECTORIES:
        os.mkdir(os.path.join(world.data, name), 0o000 if name == "lost+found" else 0o755)
    for name in FOREIGN_FILES:
        a_file(os.path.join(world.data, name))
    os.mkfifo(os.path.join(world.data, "a FIFO"))
    inside = os.path.join(world.data, good)
    for name in ("notes.txt", "chunks/000001.tmp", "chunks/lost"):
        a_file(os.path.join(inside, name))
    os.mkfifo(os.path.join(inside, "chunks", "FIFO"))


def add_bad(world, kinds):
    """{ULID: (what, code)}"""
    bad = {}
    for what, rel_path, damage, code in kinds:
        ulid = world.add_block()
        damage(os.path.join(world.data, ulid, rel_path).rstrip("/"))
        bad[ulid] = (what, code)
    return bad


def status_of(sidecar):
    answer = json.loads(sidecar.request("GET", "/api/v1/sidecar/status").text)
    return {block["ulid"]: block for block in answer["data"]["blocks"]}


def is_named(sidecar, ulid):
    return any(ulid in line and "level=error" in line
               for line in sidecar.log_text().splitlines())


def check_named(sidecar, bad):
    wait_until("each bad block to be named",
               lambda: all(is_named(sidecar, ulid) for ulid in bad), seconds=INTERVAL_S)
    wait_until("the metric to count them", lambda: sidecar.metric(
        "blockhouse_sidecar_failing_blocks") == len(bad))
    status = status_of(sidecar)
    for ulid, (what, code) in bad.items():
        block = status[ulid]
        assert (block["state"], block["code"]) == ("failed", code), f"{what}: {block}"
        assert block["reason"], f"{what}: {block}"
    corrupt = sum(code == "corrupt" for _, code in bad.values())
    assert sidecar.metric("thanos_shipper_corrupted_blocks_total") >= corrupt


def attempt(program, kinds, *flags):
    with tempfile.TemporaryDirectory(prefix="blockhouse-bad-blocks-") as root:
        os.chmod(root, 0o755)
        world = World(root)
        good = [world.add_block(EXTRA_BYTES) for _ in range(GOOD_BLOCKS)]
        bad = add_bad(world, kinds)
        add_foreign(world, good[0])
        world.open_to_all()
        world.prometheus.answer = (200, GOOD)
        with world.sidecar(program, *flags, as_nobody=os.geteuid() == 0) as sidecar:
            wait_until("the good blocks to be shipped",
                       lambda: all(map(world.is_shipped, good)), seconds=INTERVAL_S)
            check_named(sidecar, bad)
        for ulid in good:
            world.check_shipped(ulid)
        assert set(os.listdir(world.bucket)) == set(good), "a bad block was shipped"
        print(f"  {len(good)} good blocks shipped, {len(bad)} bad ones named")


def main():
    program = os.path.abspath(sys.argv[1])
    attempt(program, BAD)
    attempt(program, BAD_IN_FULL, "--shipper.verify=full")


if __name__ == "__main__":
    main()
