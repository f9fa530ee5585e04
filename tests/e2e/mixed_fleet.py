#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet in the middle of a migration, on one MinIO bucket.

A thanos sidecar ships the older half of some blocks, ours the newer half and, of a second
Prometheus with the same external labels, blocks that overlap them. A Thanos store and ours
serve the bucket and must answer alike: as it was shipped, after the compactor of Thanos has
merged it, overlaps included, and downsampled it, and ours all the time meanwhile.

usage: mixed_fleet.py <directory of the programs> <bench_make_data> <thanos> <minio>
"""
import contextlib
import http.client
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, free_port, wait_until  # noqa: E402
from exact_downsampled import FLOATS, Stores, decode  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from minio import Minio  # noqa: E402
from thanos_store import ThanosStore  # noqa: E402

LABELS = {"cluster": "eu", "replica": "a"}
HOUR = 3_600_000
BEGIN = 1_785_542_400_000  # of what bench_make_data makes; two days begin here
HOURS = 104  # twice two days, and a little that closes them
OVERLAP = (30, 36)  # hours that the second Prometheus has, too
RAW, FINE = 0, 300_000


class Fleet:
    def __init__(self, stack, directory, programs, minio):
        self.stack, self.directory, self.minio = stack, directory, minio
        self.bin, self.make_data, self.thanos = programs
        self.prometheus = FakePrometheus(LABELS)

    def make(self, name, begin_h, end_h, *more):
        """Blocks of two hours, as Prometheus has them, the oldest first."""
        made = self.directory / name
        subprocess.run([self.make_data, "--series", "60", "--step", "120", "--begin",
                        str(BEGIN // 1000 + begin_h * 3600), "--hours", str(end_h - begin_h),
                        *more, made], check=True)
        for path in made.glob("*/meta.json"):
            meta = json.loads(path.read_text())
            del meta["thanos"]
            path.write_text(json.dumps(meta))
        return sorted(made.iterdir())

    def ship(self, program, name, blocks):
        """By a sidecar beside a Prometheus that has these blocks."""
        data = self.directory / name
        data.mkdir(exist_ok=True)
        for block in blocks:
            shutil.copytree(block, data / f"{block.name}.tmp").rename(data / block.name)
        count = sum(1 for _ in data.glob("*/meta.json"))
        state = data / "thanos.shipper.json"
        with Daemon(*program, "--http-address=127.0.0.1:{port}", f"--tsdb.path={data}",
                    f"--prometheus.url={self.prometheus.url}",
                    f"--objstore.config={self.minio.config()}"):
            wait_until(f"{count} blocks to be shipped", lambda: state.exists() and len(
                json.loads(state.read_text())["uploaded"]) == count, 120)

    def fill(self):
        blocks = self.make("made", 0, HOURS)
        half = len(blocks) // 2
        ours = [self.bin / "blockhouse-sidecar"]
        self.ship([self.thanos, "sidecar", "--grpc-address=127.0.0.1:0"], "one", blocks[:half])
        self.ship(ours, "one", blocks[half:])
        overlapping = self.make("late", *OVERLAP, "--replica", "1")
        self.ship(ours, "other", overlapping)
        return len(blocks) + len(overlapping)

    def start_store(self, blocks):
        store = self.stack.enter_context(Daemon(
            self.bin / "blockhouse-store", "--http-address=127.0.0.1:{port}",
            f"--data-dir={self.directory}/ours", f"--objstore.config={self.minio.config()}",
            "--sync-block-duration=1s", "--ignore-deletion-marks-delay=0s"))
        wait_until("all blocks", lambda: store.metric(
            "thanos_bucket_store_blocks_loaded") == blocks)
        return store

    def compare(self, store, name):
        """Both stores, over windows and functions that ask for raw and fine blocks."""
        with ThanosStore(self.thanos, self.directory / f"thanos-{name}", self.minio.config(),
                         "--ignore-deletion-marks-delay=0s") as thanos:
            stores = Stores(store, thanos)
            resolutions = (RAW, FINE) if name == "compacted" else (RAW,)
            equal = [stores.compare(function, resolution, window, {})
                     for window in windows() for resolution in resolutions
                     for function in ("", "max_over_time", "sum_over_time", "rate")]
        assert min(equal[:4]) > 10_000, equal
        print(f"  {name}: {len(equal)} answers, {sum(equal)} samples equal", flush=True)

    def compact(self):
        config = self.directory / "bucket.yml"
        config.write_text(self.minio.config())
        done = subprocess.run(
            [self.thanos, "compact", f"--objstore.config-file={config}",
             f"--data-dir={self.directory}/compact", f"--http-address=127.0.0.1:{free_port()}",
             "--consistency-delay=0s", "--delete-delay=0s",
             "--compact.enable-vertical-compaction"],
            stderr=subprocess.PIPE, text=True, check=False, timeout=300)
        assert done.returncode == 0 and "level=error" not in done.stderr, done.stderr[-4000:]

    def resolutions(self):
        """How many blocks there are of each."""
        listed = json.loads(subprocess.run(
            [self.bin / "blockhouse", "bucket", "inspect", "--output=json",
             f"--objstore.config={self.minio.config()}"],
            check=True, capture_output=True, text=True).stdout)
        return sorted(block["resolution_ms"] for block in listed)


def windows():
    rng = random.Random(9)
    yield BEGIN, BEGIN + HOURS * HOUR
    for hours in (1, 5, 30):
        begin = BEGIN + rng.randrange((HOURS - hours) * HOUR)
        yield begin, begin + hours * HOUR


def samples(answer):
    """Of raw blocks, however they are cut into chunks."""
    return {labels: [(sample.ms, sample.value) for kind, _, _, data in chunks
                     for sample in decode(kind, data)]
            for _, labels, chunks in rr.series_of(answer)}


class Asking:
    """Asks our store for everything, raw, all the time; each answer is the same, or says
    that a block was deleted under it."""

    def __init__(self, store):
        self.store = store
        self.query = [rr.query([FLOATS], BEGIN, BEGIN + HOURS * HOUR)]
        self.first = samples(rr.post_streamed(store, self.query))
        self.is_done = threading.Event()
        self.same = self.vanished = 0
        self.problem = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.is_done.is_set():
                self.ask()
        except BaseException as problem:  # told by the main thread
            self.problem = problem

    def ask(self):
        try:
            answer = rr.post_streamed(self.store, self.query)
        except (ConnectionError, http.client.IncompleteRead):
            self.vanished += 1
            return
        if answer.status == 503:
            assert re.search(r"\b[0-9A-Z]{26}\b", answer.text), answer.text
            self.vanished += 1
            return
        assert samples(answer) == self.first, "an answer differs from the first"
        self.same += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_done.set()
        self.thread.join()
        if self.problem:
            raise self.problem
        assert self.same > 0, f"no answer at all; {self.vanished} lost a block"
        print(f"  meanwhile: {self.same} answers, all the same; "
              f"{self.vanished} lost a block")


def main():
    *programs, minio_program = map(pathlib.Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as path, contextlib.ExitStack() as stack:
        directory = pathlib.Path(path)
        minio = stack.enter_context(Minio(minio_program, directory / "minio"))
        fleet = Fleet(stack, directory, programs, minio)
        store = fleet.start_store(fleet.fill())
        fleet.compare(store, "shipped")
        with Asking(store):
            fleet.compact()
        found = fleet.resolutions()
        assert found.count(FINE) == 2 and len(found) < 10, found
        wait_until("the blocks that were made", lambda: store.metric(
            "thanos_bucket_store_blocks_loaded") == len(found))
        fleet.compare(store, "compacted")
        print("passed")


if __name__ == "__main__":
    main()
