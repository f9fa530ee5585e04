#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One block of some 740 MB shipped to MinIO: by plain presigned PUTs of curl, by the
sidecar, and by a thanos sidecar if there is one, in turn.

A sidecar's time runs from its first word about the block until meta.json is in the
bucket. Idle is what it needs afterwards. Fails when ours needs too much memory; times are
compared, for the reader to judge: they depend on what else the machine does.
"""
import argparse
import datetime
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from daemon import Daemon, is_sanitized  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from minio import Minio  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
LABELS = {"cluster": "bench", "replica": "a"}
SAMPLE_S = 0.01
SHIP_LIMIT_S = 300
CURL, OURS, THANOS = "curl, presigned PUTs", "blockhouse-sidecar", "thanos sidecar"
# MiB, resident and private.
SHIPPING_LIMITS, IDLE_LIMITS = (24, 10), (16, 4)


def cpu_s(pid):
    """User and system time so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid):
    """Of one moment but for the first: the largest resident memory, resident, private."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return [int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1]) / 1024
            for name in ("VmHWM", "VmRSS", "RssAnon")]


def first_word(log, block):
    """When a line of the log first names the block, in Unix time."""
    found = re.search(rf"^(?=.*{block})(?:.* )?ts=(\S+)Z", log, re.MULTILINE)
    when = datetime.datetime.fromisoformat(found[1][:26])
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


class Shipment:
    """What one took: seconds, CPU seconds, MiB."""

    def __init__(self, seconds, cpu, resident=None, private=None):
        self.seconds, self.cpu = seconds, cpu
        self.resident, self.private = resident, private


class Idle:
    """A daemon that has nothing to do."""

    def __init__(self, daemon, seconds):
        pid = daemon.process.pid
        before = cpu_s(pid)
        time.sleep(seconds)
        self.percent = (cpu_s(pid) - before) / seconds * 100
        _, self.resident, self.private = memory_mib(pid)


class Bench:
    def __init__(self, arguments, work, minio):
        self.arguments, self.work, self.minio = arguments, work, minio
        self.prometheus = FakePrometheus(LABELS)
        self.shipments, self.idle = {}, {}
        subprocess.run([arguments.make_data, "--series", str(arguments.series), "--hours", "8",
                        "--block-hours", "8", work / "made"], check=True)
        self.block, = (work / "made").iterdir()
        self.files = [path for path in sorted(self.block.rglob("*")) if path.is_file()]
        self.size = sum(path.stat().st_size for path in self.files)

    def by_curl(self, prefix):
        command = ["curl", "-fsS"]
        for path in self.files:
            key = f"{prefix}/{self.block.name}/{path.relative_to(self.block)}"
            command += ["-T", path, self.minio.presigned("PUT", key)]
        begin = time.monotonic()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, "curl failed"
        return Shipment(time.monotonic() - begin, usage.ru_utime + usage.ru_stime)

    def by_daemon(self, name, command, prefix):
        data = self.work / prefix
        data.mkdir()
        with Daemon(*command, "--http-address=127.0.0.1:{port}", f"--tsdb.path={data}",
                    f"--prometheus.url={self.prometheus.url}",
                    f"--objstore.config={self.minio.config(prefix=prefix)}") as daemon:
            shipment = self.ship(daemon, data, prefix)
            if name not in self.idle:
                self.idle[name] = Idle(daemon, self.arguments.idle)
        shutil.rmtree(data)
        return shipment

    def ship(self, daemon, data, prefix):
        """Let the block appear, and wait until the bucket has it."""
        pid = daemon.process.pid
        committed = self.minio.objects / prefix / self.block.name / "meta.json/xl.meta"
        before, private = cpu_s(pid), 0
        deadline = time.monotonic() + SHIP_LIMIT_S
        shutil.copytree(self.block, data / "new", copy_function=os.link)
        os.rename(data / "new", data / self.block.name)
        while not committed.exists():
            assert time.monotonic() < deadline, f"not shipped:\n{daemon.log_text()[-2000:]}"
            private = max(private, memory_mib(pid)[2])
            time.sleep(SAMPLE_S)
        seconds = committed.stat().st_mtime - first_word(daemon.log_text(), self.block.name)
        return Shipment(seconds, cpu_s(pid) - before, memory_mib(pid)[0], private)

    def run(self, name, ship):
        """Ship as name does, to a place of its own in the bucket, and forget it there."""
        rows = self.shipments.setdefault(name, [])
        prefix = f"{name.split()[0].strip(',')}-{len(rows)}"
        os.sync()
        rows.append(ship(prefix))
        shutil.rmtree(self.minio.objects / prefix)

    def run_all(self):
        contestants = {CURL: self.by_curl,
                       OURS: partial(self.by_daemon, OURS, [self.arguments.sidecar])}
        if self.arguments.thanos:
            command = [self.arguments.thanos, "sidecar", "--grpc-address=127.0.0.1:0"]
            contestants[THANOS] = partial(self.by_daemon, THANOS, command)
        for _ in range(self.arguments.runs):
            for name, ship in contestants.items():
                self.run(name, ship)

    def show(self):
        print(f"A block of {self.size / 1e6:.0f} MB in {len(self.files)} files\n\n"
              "| who | min s | median s | MB/s | x curl | CPU s | shipping: resident, private MiB "
              "| idle: resident, private MiB | idle CPU % |\n|---|---|---|---|---|---|---|---|---|")
        base = min(one.seconds for one in self.shipments[CURL])
        for name, rows in self.shipments.items():
            seconds = [one.seconds for one in rows]
            fast = min(seconds)
            memory = idle = percent = ""
            if name in self.idle:
                memory = "{:.1f}, {:.1f}".format(*peaks(rows))
                idle = f"{self.idle[name].resident:.1f}, {self.idle[name].private:.1f}"
                percent = f"{self.idle[name].percent:.2f}"
            print(f"| {name} | {fast:.2f} | {statistics.median(seconds):.2f} | "
                  f"{self.size / fast / 1e6:.0f} | {base / fast:.2f} | "
                  f"{min(one.cpu for one in rows):.2f} | {memory} | {idle} | {percent} |")

    def check_memory(self):
        idle = self.idle[OURS]
        for what, used, limits in (("shipping", peaks(self.shipments[OURS]), SHIPPING_LIMITS),
                                   ("idle", (idle.resident, idle.private), IDLE_LIMITS)):
            for kind, mib, limit in zip(("resident", "private"), used, limits):
                if mib > limit:
                    sys.exit(f"{what}: {mib:.1f} MiB {kind}, more than {limit}")


def peaks(rows):
    return max(one.resident for one in rows), max(one.private for one in rows)


def main():
    build = ROOT / "build/release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minio", required=True, help="the program")
    parser.add_argument("--thanos", help="the program")
    parser.add_argument("--sidecar", default=build / "blockhouse-sidecar")
    parser.add_argument("--make-data", default=build / "tests/bench/bench_make_data")
    parser.add_argument("--series", type=int, default=80000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--idle", type=float, default=60, help="seconds to look at it idle")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="blockhouse-bench-") as directory:
        work = pathlib.Path(directory)
        with Minio(arguments.minio, work / "minio") as minio:
            bench = Bench(arguments, work, minio)
            bench.run_all()
        bench.show()
        if not is_sanitized(arguments.sidecar):
            bench.check_memory()


if __name__ == "__main__":
    main()
