#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What many blocks cost: start, memory, descriptors and requests, beside Thanos.

For each number of blocks and each server: a start with an empty data directory (cold),
what is resident once it is ready and once it is idle, one series of every block, and
another start (warm). Files of blocks are links to those of a few, so disks hold metas.
"""
import argparse
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from daemon import dir_bucket, wait_until  # noqa: E402
from read_servers import Question, Servers  # noqa: E402
from scale_data import CountedMinio, Models  # noqa: E402

READY_S = 30 * 60
QUIET_S = 2
COLUMNS = ("blocks", "bucket", "who", "start", "ready s", "idle s", "RSS ready", "RSS idle", "peak",
           "query s", "RSS queried", "peak queried", "fds", "maps", "requests")


class Look:
    """What a running server holds."""

    def __init__(self, server):
        self.server = server

    def mib(self, field):
        return f"{self.server.memory_mib(field):.0f}"

    def count(self, kind):
        folder = pathlib.Path(f"/proc/{self.server.process.pid}")
        if kind == "fds":
            return len(list((folder / "fd").iterdir()))
        return len((folder / "maps").read_text().splitlines())


def wait_idle(server):
    """Until it has used hardly any processor time for a while."""
    looks = []

    def is_idle():
        now = time.monotonic()
        looks.append((now, server.cpu_s()))
        past = [used for then, used in looks if then <= now - QUIET_S]
        return bool(past) and looks[-1][1] - past[-1] < 0.05

    wait_until("an idle server", is_idle, READY_S)


def measure(server, question, requests):
    """One start. requests() is how many the bucket has had, or None."""
    server.ready_s = READY_S
    before, began = requests(), time.monotonic()
    with server:
        row = {"ready s": f"{time.monotonic() - began:.2f}"}
        look = Look(server)
        row["RSS ready"] = look.mib("VmRSS")
        wait_idle(server)
        row["idle s"] = f"{time.monotonic() - began - QUIET_S:.2f}"
        row["RSS idle"], row["peak"] = look.mib("VmRSS"), look.mib("VmHWM")
        if before is not None:
            row["requests"] = requests() - before
        server.forget_peak()
        row["query s"] = " ".join(f"{run.seconds:.2f}" for run in server.ask(question, 2))
        row["peak queried"] = look.mib("VmHWM")
        wait_idle(server)
        row["RSS queried"] = look.mib("VmRSS")
        row["fds"], row["maps"] = look.count("fds"), look.count("maps")
        size, series, samples = server.verify(question)
        if (series, samples) != (question.series, question.samples):
            raise AssertionError(f"{server.name}: {series} series, {samples} samples, {size} bytes")
    return row


def print_row(row):
    print("| " + " | ".join(str(row.get(name, "")) for name in COLUMNS) + " |", flush=True)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.servers = arguments, Servers(arguments, folder)
        self.folder = folder
        self.models = Models(arguments.tools / "bench_make_data", folder / "models")

    def question(self, count):
        """One series of each block; each cluster makes it another one."""
        return Question(["__name__=api_build_info", "instance=10.0.0.0:8080"],
                        self.models.clusters(count), self.models.samples(count))

    def starts(self, name, count, config, requests=lambda: None):
        question = self.question(count)
        for who in self.arguments.who:
            data = self.servers.fresh_data()
            for start in "cold", "warm":
                server = getattr(self.servers, who)(config, data)
                if server is None:
                    break
                row = {"blocks": count, "bucket": name, "who": server.name, "start": start}
                print_row({**row, **measure(server, question, requests)})

    def from_directory(self, count):
        bucket = self.models.make_bucket(count, self.folder / f"bucket-{count}")
        self.starts("directory", count, dir_bucket(bucket))

    def from_minio(self, count):
        bucket = self.models.make_bucket(count, self.folder / f"bucket-{count}")
        with CountedMinio(self.arguments.minio, self.folder / f"minio-{count}") as minio:
            minio.upload(bucket)
            self.starts("MinIO", count, minio.config(), minio.requests)


def parse_arguments():
    build = ROOT / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", type=int, default=[5000, 50000])
    parser.add_argument("--minio-blocks", type=int, default=1000, help="0: none")
    parser.add_argument("--who", action="append", choices=["store", "thanos"])
    parser.add_argument("--tools", type=pathlib.Path, default=build / "tests" / "bench")
    parser.add_argument("--store",
                        default=os.environ.get("BLOCKHOUSE_BIN", build / "blockhouse-store"))
    parser.add_argument("--store-flag", action="append", default=[])
    parser.add_argument("--folder", type=pathlib.Path, help="keep the data there")
    for peer in "prometheus", "thanos", "minio":
        parser.add_argument(f"--{peer}", help="the program")
    arguments = parser.parse_args()
    arguments.who = arguments.who or ["store", "thanos"]
    return arguments


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(arguments, pathlib.Path(folder))
        print_row({name: name for name in COLUMNS})
        print_row({name: "---" for name in COLUMNS})
        for count in arguments.blocks:
            bench.from_directory(count)
        if arguments.minio and arguments.minio_blocks:
            bench.from_minio(arguments.minio_blocks)


if __name__ == "__main__":
    main()
