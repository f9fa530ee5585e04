#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Remote read from a bucket, beside what else could answer the same question.

Each row has its servers and one question. They run at the same time and are asked in
turns, so that never two have work. All must return the series and samples that are in the
bucket, or the run fails; whether the targets are met is for the reader.
"""
import argparse
import contextlib
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from minio import Minio  # noqa: E402
from read_rows import rows  # noqa: E402
from read_servers import Question, Relay, Servers  # noqa: E402
from read_table import print_absent, print_head, print_results, print_targets  # noqa: E402

STEP_S = 15
METRICS = 100  # of make_data
# Neighbours: in each block one range of the index and one of the chunks has them.
TWO_METRICS = "__name__=~api_requests_total|api_response_seconds"
YEAR_BEGIN_S = "1754006400"  # 2025-08-01: a block of the future is not served
DELAY_MS = 30


class Bench:
    """The data, and what several rows share."""

    def __init__(self, arguments, folder, stack):
        self.arguments, self.folder, self.stack = arguments, folder, stack
        self.runs = arguments.runs
        self.servers = Servers(arguments, folder)

    @functools.cached_property
    def bucket(self):
        """A directory with the data of all rows but one."""
        bucket = self.folder / "bucket"
        self.make_data(self.arguments.series, self.arguments.hours, bucket)
        return bucket

    def make_data(self, series, hours, bucket, *more):
        subprocess.run([self.arguments.tools / "bench_make_data", "--series", str(series),
                        "--hours", str(hours), "--step", str(STEP_S), *more, bucket], check=True)

    @functools.cached_property
    def replicas(self):
        """The same data as two replicas have them."""
        bucket = self.folder / "replicas"
        for replica in range(2):
            self.make_data(self.arguments.series, self.arguments.hours, bucket,
                           "--replica", str(replica))
        return bucket

    def question(self, matcher, series, hours, **more):
        return Question([matcher], series, series * hours * 3600 // STEP_S, **more)

    def everything(self, replicas=1, **more):
        return self.question("__name__=~.+", replicas * self.arguments.series,
                             self.arguments.hours, **more)

    def some(self):
        targets = -(-self.arguments.series // METRICS)
        return self.question(TWO_METRICS, 2 * targets, self.arguments.hours)

    def year(self):
        """A bucket of its own. The series is a counter: two bytes a sample."""
        bucket = self.folder / "year"
        self.make_data(2, self.arguments.year_hours, bucket, "--begin", YEAR_BEGIN_S)
        return bucket, self.question("__name__=api_errors_total", 1, self.arguments.year_hours)

    def object_keys(self):
        return [str(path.relative_to(self.bucket)) for path in sorted(self.bucket.rglob("*"))
                if path.is_file()]

    @functools.cached_property
    def minio(self):
        """With the same data."""
        minio = self.stack.enter_context(Minio(self.arguments.minio, self.folder / "minio"))
        command = ["curl", "-fsS", "-o", os.devnull]
        for key in self.object_keys():
            command += ["-T", self.bucket / key, minio.presigned("PUT", key)]
        subprocess.run(command, check=True)
        return minio

    def relay(self):
        return Relay(self.arguments.tools / "bench_delay_relay", self.minio, DELAY_MS,
                     self.folder / "relay-count")

    def run(self, chosen):
        verdicts = []
        print_head()
        for name, row in chosen.items():
            if row.needs_minio and self.arguments.minio is None:
                print_absent(name, "MinIO")
                continue
            found = row.measure(self)
            print_results(name, found, row.peers)
            verdicts += [(name, *target.judge(found)) for target in row.targets]
        print_targets(verdicts)


def parse_arguments(names):
    build = ROOT / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(names), help="; ".join(
        f"{name}: {row.title}" for name, row in names.items()) + "; default: all of them")
    parser.add_argument("--series", type=int, default=10000, help="a multiple of 100")
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--year-hours", type=int, default=365 * 24)
    parser.add_argument("--runs", type=int, default=5, help="timed turns of each server")
    parser.add_argument("--tools", type=pathlib.Path, default=build / "tests" / "bench")
    parser.add_argument("--store",
                        help="blockhouse-store; default $BLOCKHOUSE_BIN, then the release build",
                        default=os.environ.get("BLOCKHOUSE_BIN", build / "blockhouse-store"))
    parser.add_argument("--store-flag", action="append", default=[],
                        help="one more flag of the store")
    for peer in "prometheus", "thanos", "minio":
        parser.add_argument(f"--{peer}", help="the program")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(names)
    if unknown:
        parser.error(f"no such rows: {' '.join(sorted(unknown))}")
    return arguments


def main():
    table = rows(DELAY_MS)
    arguments = parse_arguments(table)
    chosen = {name: row for name, row in table.items() if name in arguments.rows}
    with tempfile.TemporaryDirectory(prefix="blockhouse-bench-") as folder, \
            contextlib.ExitStack() as stack:
        Bench(arguments, pathlib.Path(folder), stack).run(chosen)


if __name__ == "__main__":
    main()
