#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A bucket that a thanos sidecar and ours have filled in turns; thanos_bucket.sh says why.

usage: thanos_bucket.py <directory of the programs> <bench_make_data> <thanos> <minio>
"""
import csv
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from minio import Minio  # noqa: E402

LABELS = {"cluster": "bench", "replica": "a"}  # bench_make_data's, too
OURS, THANOS = "blockhouse-sidecar", "thanos sidecar"
TURNS = (THANOS, OURS, THANOS, OURS)
STATE = "thanos.shipper.json"
COLUMNS = ("ULID", "FROM", "UNTIL", "RANGE", "UNTIL-DOWN", "#SERIES", "#SAMPLES", "#CHUNKS",
           "COMP-LEVEL", "RESOLUTION", "SOURCE")
EVERYTHING = ("__name__", "!=", "no such metric")


class World:
    def __init__(self, directory, programs, make_data, thanos, minio):
        self.directory, self.minio = directory, minio
        self.tools = {"thanos": (thanos, "tools"), "blockhouse": (programs / "blockhouse",)}
        self.sidecars = {OURS: [programs / "blockhouse-sidecar"],
                         THANOS: [thanos, "sidecar", "--grpc-address=127.0.0.1:0"]}
        self.store_program = programs / "blockhouse-store"
        self.prometheus = FakePrometheus(LABELS)
        self.data = directory / "data"
        self.data.mkdir()
        self.made = directory / "made"
        subprocess.run([make_data, "--series", "200", "--hours", str(2 * len(TURNS)),
                        self.made], check=True)
        self.ulids = sorted(path.name for path in self.made.iterdir())

    def add_block(self, ulid):
        """What bench_make_data made for a bucket, as Prometheus has it."""
        half_made = shutil.copytree(self.made / ulid, self.data / (ulid + ".tmp"))
        meta = json.loads((half_made / "meta.json").read_text())
        del meta["thanos"]
        (half_made / "meta.json").write_text(json.dumps(meta))
        half_made.rename(self.data / ulid)

    def recorded(self):
        try:
            return sorted(json.loads((self.data / STATE).read_text())["uploaded"])
        except FileNotFoundError:
            return []

    def run(self, who, count):
        """Until the state file has the first so many blocks."""
        program, *arguments = self.sidecars[who]
        with Daemon(program, *arguments, "--http-address=127.0.0.1:{port}",
                    f"--tsdb.path={self.data}", f"--prometheus.url={self.prometheus.url}",
                    f"--objstore.config={self.minio.config()}"):
            wait_until(f"{who} to have {count} blocks",
                       lambda: self.recorded() == self.ulids[:count])

    def written(self):
        """When each object was: object -> time."""
        return {path.parent.relative_to(self.minio.objects): path.stat().st_mtime_ns
                for path in self.minio.objects.rglob("xl.meta")}

    def meta(self, ulid):
        url = self.minio.presigned("GET", f"{ulid}/meta.json")
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)

    def bucket(self, tool, command, *arguments):
        """What "bucket COMMAND" of thanos or blockhouse prints; nothing may be wrong."""
        done = subprocess.run(
            [*self.tools[tool], "bucket", command, f"--objstore.config={self.minio.config()}",
             *arguments], text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, f"{tool} {command}: {done.stdout}{done.stderr}"
        for level in ("level=warn", "level=error"):
            assert level not in done.stderr, f"{tool} {command}: {done.stderr}"
        return done.stdout


def take_turns(world):
    for count, who in enumerate(TURNS, start=1):
        before = world.written()
        world.add_block(world.ulids[count - 1])
        world.run(who, count)
        after = world.written()
        assert before.items() <= after.items(), f"{who} has touched what was there"
        new = {path.parts[0] for path in after.keys() - before.keys()}
        assert new == {world.ulids[count - 1]}, f"{who} has sent {new}"
        print(f"  {who} has shipped {world.ulids[count - 1]}")


def lose_state(world, who):
    """The bucket has everything, whoever has sent it."""
    before = world.written()
    (world.data / STATE).unlink()
    world.run(who, len(world.ulids))
    assert world.written() == before, f"{who} without its state file has sent something"
    print(f"  {who} has found all blocks without a state file")


def compare_metas(world):
    """Of whichever origin, a meta.json says the same things in the same places."""
    for ulid, who in zip(world.ulids, TURNS):
        meta = world.meta(ulid)
        made = json.loads((world.made / ulid / "meta.json").read_text())
        for one in (meta, made):
            del one["thanos"]["upload_time"]
        # Only ours writes the one, only Thanos the other; its reader takes both.
        assert meta["thanos"].pop("version", 1) == 1
        assert meta["thanos"].pop("index_stats", {}) == {}
        made["thanos"]["source"] = "sidecar"
        assert meta == made, f"{who}: {meta}\nwanted: {made}"


def rows(text):
    """What both tools say of each block in the same words, but for commas in numbers."""
    return [[row[column].replace(",", "") for column in COLUMNS]
            for row in csv.DictReader(io.StringIO(text))]


def inspect(world):
    theirs = rows(world.bucket("thanos", "inspect", "--output=csv", "--sort-by=FROM"))
    ours = rows(world.bucket("blockhouse", "inspect", "--output=csv", "--sort-by=FROM"))
    assert [row[0] for row in theirs] == world.ulids, theirs
    assert theirs == ours, f"{theirs}\n{ours}"


def read(world, name, config):
    """Everything that a store answers from a bucket."""
    begin = json.loads((world.made / world.ulids[0] / "meta.json").read_text())["minTime"]
    end = json.loads((world.made / world.ulids[-1] / "meta.json").read_text())["maxTime"]
    with Daemon(world.store_program, "--http-address=127.0.0.1:{port}",
                f"--data-dir={world.directory / name}", f"--objstore.config={config}") as store:
        wait_until("all blocks", lambda: store.metric(
            "thanos_bucket_store_blocks_loaded") == len(world.ulids))
        return rr.read_streamed(store, [rr.query([EVERYTHING], begin, end)])


def main():
    programs, make_data, thanos, minio_program = map(pathlib.Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        with Minio(minio_program, directory / "minio") as minio:
            world = World(directory, programs, make_data, thanos, minio)
            take_turns(world)
            for who in (OURS, THANOS):
                lose_state(world, who)
            compare_metas(world)
            world.bucket("thanos", "verify", "--issues=index_known_issues",
                         "--issues=overlapped_blocks", "--issues=duplicated_compaction")
            verified = json.loads(world.bucket("blockhouse", "verify", "--output=json"))
            assert [row["result"] for row in verified] == ["ok"] * len(TURNS), verified
            inspect(world)
            there = read(world, "there", minio.config())
            made = read(world, "here", dir_bucket(world.made))
            assert there == made and len(there) >= 200, "the store answers differ"
            print(f"passed: {len(there)} frames read")


if __name__ == "__main__":
    main()
