#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Uploads to MinIO and parallel range reads from it, by our bucket and by curl.

A file goes up by one plain presigned PUT of curl and by our driver in several
configurations, in turn; then ranges of it come back by "curl --parallel" and by our
driver. Prints times, and the ratio to curl in the same run.

With --throttle it runs bench_throttle as well (thirty seconds a row).
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from minio import Minio  # noqa: E402

CONFIGS = [("ours", ""),
           ("ours, Content-MD5", "  send_content_md5: true\n"),
           ("ours, one PUT", "  disable_multipart: true\n")]


def write_config(minio, work, more=""):
    path = work / "bucket.yml"
    path.write_text(minio.config(more), encoding="utf-8")
    return path


def timed(command, **more):
    begin = time.monotonic()
    subprocess.run(command, check=True, **more)
    return time.monotonic() - begin


class Table:
    """Measurements by contestant; the first one is what the others are compared with."""

    def __init__(self, title, size):
        self.title, self.size, self.rows = title, size, {}

    def add(self, name, seconds, cpu=None, idle=None, peak=None):
        self.rows.setdefault(name, []).append((seconds, cpu, idle, peak))

    def show(self):
        print(f"\n{self.title}\n\n| who | min s | median s | MB/s | x curl | CPU s | idle, "
              "peak MiB |\n|---|---|---|---|---|---|---|")
        best = min(row[0] for row in next(iter(self.rows.values())))
        for name, rows in self.rows.items():
            seconds = [row[0] for row in rows]
            fast = min(rows)
            memory = f"{fast[2] / 1024:.1f}, {max(row[3] for row in rows) / 1024:.1f}" \
                if fast[2] else ""
            print(f"| {name} | {fast[0]:.2f} | {statistics.median(seconds):.2f} | "
                  f"{self.size / fast[0] / 1e6:.0f} | {best / fast[0]:.2f} | "
                  f"{fast[1] if fast[1] is not None else ''} | {memory} |")


def client(arguments, *more):
    done = subprocess.run([arguments.client, *map(str, more)], check=True, text=True,
                          stdout=subprocess.PIPE)
    seconds, cpu, idle, peak = done.stdout.split()
    return float(seconds), float(cpu), int(idle), int(peak)


def uploads(arguments, minio, work, file, size):
    table = Table(f"Upload of {size >> 20} MiB", size)
    for _ in range(arguments.runs):
        table.add("curl, presigned PUT", timed(
            ["curl", "-fsS", "-o", os.devnull, "-T", file, minio.presigned("PUT", "curl")]))
        for name, more in CONFIGS:
            table.add(name, *client(arguments, write_config(minio, work, more),
                                    "put", file, "object"))
    table.show()


def ranges(arguments, minio, work, size, length, count):
    config = write_config(minio, work)
    url = minio.presigned("GET", "object")
    lines = []
    for i in range(count):
        begin = i * length % (size - length + 1)
        lines.append(f'url="{url}"\nrange={begin}-{begin + length - 1}\noutput={os.devnull}\n')
    (work / "ranges").write_text("next\n".join(lines), encoding="utf-8")
    table = Table(f"{count} ranges of {length >> 10} KiB, {arguments.parallel} at once",
                  length * count)
    for _ in range(arguments.runs):
        table.add("curl --parallel", timed(
            ["curl", "-fsS", "--no-progress-meter", "--parallel", "--parallel-max", str(arguments.parallel),
             "-K", work / "ranges"]))
        table.add("ours", *client(arguments, config, "ranges", "object", size, length, count,
                                  arguments.parallel))
    table.show()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minio", required=True, help="the program")
    parser.add_argument("--client", default=ROOT / "build/release/tests/bench/bench_bucket_client")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("--throttle", metavar="PROGRAM", help="bench_throttle, to run it too")
    arguments = parser.parse_args()
    size = arguments.mib << 20
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        file = work / "file"
        with open(file, "wb") as out:
            for _ in range(arguments.mib):
                out.write(os.urandom(1 << 20))
        with Minio(arguments.minio, work / "minio") as minio:
            uploads(arguments, minio, work, file, size)
            ranges(arguments, minio, work, size, 1 << 20, max(arguments.mib, 16))
            ranges(arguments, minio, work, size, 64 << 10, max(4 * arguments.mib, 64))
    if arguments.throttle:
        print("\nA server that allows 100 requests a second\n", flush=True)
        subprocess.run([arguments.throttle, "3000", "100"], check=True)


if __name__ == "__main__":
    main()
