#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""blockhouse bucket over a directory bucket of golden blocks: what it lists and shows,
and that verify passes what is whole and names what is not.

usage: bucket_tool.py <directory of the programs> [<folder of golden blocks>]
"""
import csv
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import dir_bucket  # noqa: E402

XOR = "01M852M9MD7R7B87FBFM0F3DC8"
DOWNSAMPLED = "01M853A7YDJR1C6EX0NYVK3F2G"
FINER = "01M853A7VDHTG9P93KSJE7151R"
PARTIAL = "01M852M9QWERCCBXQAZT4MBB0A"
BLOCKS = 6


class Tool:
    def __init__(self, programs, bucket):
        self.program, self.bucket = os.path.join(programs, "blockhouse"), bucket

    def run(self, *arguments, status=0):
        done = subprocess.run(
            [self.program, "bucket", *arguments,
             f"--objstore.config={dir_bucket(self.bucket)}"],
            text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == status, \
            f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *arguments, status=0):
        return json.loads(self.run(*arguments, "-o", "json", status=status).stdout)


def fill(golden, bucket):
    for folder in glob.glob(os.path.join(golden, "**", "01*"), recursive=True):
        target = os.path.join(bucket, os.path.basename(folder))
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("tombstones"))
        list_files(target)


def list_files(block):
    """Make meta.json list the files with sizes and hashes, as a shipper does."""
    def change(meta):
        files = []
        for name in sorted(os.listdir(os.path.join(block, "chunks"))):
            files.append("chunks/" + name)
        thanos = meta["thanos"]
        thanos["segment_files"] = [os.path.basename(name) for name in files]
        thanos["files"] = [
            {"rel_path": name, "size_bytes": os.path.getsize(os.path.join(block, name)),
             "hash": {"hashFunc": "SHA256", "value": sha256(os.path.join(block, name))}}
            for name in files + ["index"]] + [{"rel_path": "meta.json"}]
    edit_meta(block, change)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def edit_meta(block, change):
    path = os.path.join(block, "meta.json")
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    change(meta)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(meta, file)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def lists(tool):
    rows = tool.json("ls")
    assert len(rows) == BLOCKS + 2 and rows == sorted(rows, key=lambda r: r["ulid"])
    states = {row["ulid"]: row["state"] for row in rows}
    assert states[PARTIAL] == "partial" and states[XOR] == "complete"
    assert list(states.values()).count("marked for deletion") == 1
    assert len(tool.json("ls", "--exclude-delete")) == BLOCKS + 1
    lines = tool.run("ls").stdout.splitlines()
    assert lines[0].split() == ["ULID", "CREATED", "#OBJECTS", "SIZE", "STATE"], lines[0]
    assert len(lines) == BLOCKS + 3
    tsv = tool.run("ls", "--output=tsv").stdout.splitlines()
    assert [line.split("\t")[0] for line in tsv[1:]] == [row["ulid"] for row in rows]


def inspects(tool):
    rows = {row["ulid"]: row for row in tool.json("inspect")}
    xor = rows[XOR]
    assert (xor["series"], xor["samples"], xor["chunks"]) == (24, 5736, 398), xor
    assert xor["labels"] == {"cluster": "eu1", "replica": "a"}
    assert rows[DOWNSAMPLED]["resolution_ms"] == 3600000
    assert rows[FINER]["resolution_ms"] == 300000
    assert "from" not in rows[PARTIAL]
    chosen = tool.json("inspect", "-l", 'cluster="ds"', "--selector", "replica=~a|b")
    assert [row["ulid"] for row in chosen] == [FINER, DOWNSAMPLED]
    text = tool.run("inspect", "--output=csv", "--sort-by", "#CHUNKS", "--sort-by=ULID",
                    "-l", "cluster!=none").stdout
    table = list(csv.DictReader(text.splitlines()))
    counts = [int(row["#CHUNKS"]) for row in table]
    assert counts == sorted(counts) and len(counts) == BLOCKS + 1, counts
    assert table[0]["LABELS"] == '{cluster="ds", replica="a"}'


def verifies(tool):
    rows = {row["ulid"]: row for row in tool.json("verify", "--exclude-delete")}
    for ulid, row in rows.items():
        wanted = "partial" if ulid == PARTIAL else "ok"
        assert row["result"] == wanted and not row["problems"], row
    assert rows[XOR]["samples"] == 5736 and rows[DOWNSAMPLED]["samples"] == 5300
    assert rows[FINER]["samples"] == 63360
    tool.run("verify", PARTIAL, status=1)
    tool.run("verify", f"--id={XOR}", DOWNSAMPLED)
    assert [row["ulid"] for row in tool.json("verify", "-l", 'cluster="ds"')] \
        == [FINER, DOWNSAMPLED]


def damages(block):
    """(how to break the block, object, offset or None, what is said)"""
    chunk, index = os.path.join(block, "chunks/000001"), os.path.join(block, "index")

    def meta(**changes):
        return lambda: edit_meta(block, lambda m: m.update(changes))

    def size(meta):
        meta["thanos"]["files"][0]["size_bytes"] += 1

    def digest(meta):
        meta["thanos"]["files"][1]["hash"]["value"] = "0" * 64

    def stray():
        with open(os.path.join(block, "tombstones"), "wb") as file:
            file.write(b"stray")

    return [
        (lambda: flip(chunk, 20), "chunks/000001", 8, "chunk checksum mismatch"),
        (lambda: os.truncate(chunk, os.path.getsize(chunk) - 1), "chunks/000001", None,
         "bytes, in meta.json"),
        (lambda: os.truncate(index, os.path.getsize(index) // 2), "index", None,
         "TOC checksum mismatch"),
        (lambda: flip(index, 30), "index", None, "symbol"),
        (lambda: flip(index, 2000), "index", None, "mismatch"),
        (lambda: os.remove(chunk), "chunks/000001", None, "is missing"),
        (lambda: os.remove(index), "index", None, "is missing"),
        (lambda: edit_meta(block, size), "chunks/000001", None, "bytes, in meta.json"),
        (lambda: edit_meta(block, digest), "index", None, "has SHA-256"),
        (stray, "tombstones", None, "does not belong to the block"),
        (meta(maxTime=1763856000001), "index", None, "is outside the block"),
        (meta(stats={"numSamples": 1, "numSeries": 24, "numChunks": 398}), "meta.json",
         None, "numSamples 1, the block holds 5736"),
        (meta(ulid=DOWNSAMPLED), "meta.json", None, "is of another block"),
        (meta(version=2), "meta.json", None, "version is 2"),
    ]


def finds_damage(tool, good):
    block = os.path.join(tool.bucket, XOR)
    for i in range(len(damages(block))):
        shutil.rmtree(block)
        shutil.copytree(good, block)
        list_files(block)
        damage, name, offset, what = damages(block)[i]
        damage()
        [row] = tool.json("verify", XOR, status=1)
        assert row["result"] == "broken", row
        assert any(p["object"] == name and what in p["what"]
                   and offset in (None, p.get("offset")) for p in row["problems"]), \
            f"{name}: {what}: {row['problems']}"
        text = tool.run("verify", XOR, status=1).stdout
        assert f"{XOR}/{name}" in text and what in text, text
    print(f"  {len(damages(block))} kinds of damage found and named")


def refuses(tool):
    for arguments, message in [
            (["verify", "nonsense"], "nonsense"), (["ls", "stray"], "stray"),
            (["ls", "-o", "xml"], "xml"), (["verify", "-o", "tsv"], "tsv"),
            (["inspect", "--sort-by=SHOE-SIZE"], "SHOE-SIZE"),
            (["inspect", "-l", "a=~("], "a=~("), (["inspect", "-l", "a"], "a:"),
            (["verify", "--memory-limit=1MiB"], "32MiB"), (["rm"], "rm")]:
        assert message in tool.run(*arguments, status=2).stderr, arguments
    assert "not in the bucket" in tool.run("verify", "01" + "A" * 24, status=1).stderr
    for command in [], ["ls"], ["inspect"], ["verify"]:
        assert "usage:" in tool.run(*command, "--help").stdout
        assert "version" in tool.run(*command, "--version").stdout


def makes_nothing(programs):
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(programs, os.path.join(folder, "mistyped"))
        for command in "ls", "inspect", "verify":
            told = tool.run(command, status=1).stderr
            assert f"{tool.bucket} does not exist" in told, told
        assert not os.listdir(folder)


def main():
    golden = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "golden")
    with tempfile.TemporaryDirectory() as bucket:
        tool = Tool(sys.argv[1], bucket)
        fill(golden, bucket)
        os.makedirs(os.path.join(bucket, PARTIAL, "chunks"))
        shutil.copy(os.path.join(bucket, XOR, "chunks/000001"),
                    os.path.join(bucket, PARTIAL, "chunks"))
        marked = os.path.join(bucket, "01" + "B" * 24)
        shutil.copytree(os.path.join(bucket, XOR), marked)
        with open(os.path.join(marked, "deletion-mark.json"), "w",
                  encoding="utf-8") as file:
            file.write("{}")
        lists(tool)
        inspects(tool)
        verifies(tool)
        [good] = glob.glob(os.path.join(golden, "xor", "0*"))
        with tempfile.TemporaryDirectory() as copy:
            good = shutil.copytree(good, os.path.join(copy, XOR),
                                   ignore=shutil.ignore_patterns("tombstones"))
            finds_damage(tool, good)
        refuses(tool)
    makes_nothing(sys.argv[1])


if __name__ == "__main__":
    main()
