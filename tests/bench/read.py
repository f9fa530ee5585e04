#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Remote read from a bucket, beside what else could answer the same question.

Serves one directory bucket by blockhouse-store, the same blocks by Prometheus from its
own disk, and the very bytes of the answer by a plain file server; asks each the same
and prints a table. Servers run one after the other and alone.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
START_LIMIT_S = 60
MOST_RUNS = 200
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Name, arguments of the client.
WORKS = [
    ("everything, streamed", ["__name__=~.+"]),
    ("two metrics, streamed", ["__name__=~api_requests_total|db_requests_total"]),
    ("everything, sampled", ["--sampled", "__name__=~.+"]),
]

PROMETHEUS_CONFIG = """
global:
  external_labels: {cluster: bench, replica: a}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process that answers on a port, and what it uses."""

    def __init__(self, name, command, port, log, path="/api/v1/read", ready="/-/ready"):
        self.name = name
        self.url = f"http://127.0.0.1:{port}{path}"
        self.ready = ready and f"http://127.0.0.1:{port}{ready}"
        self.port = port
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def __enter__(self):
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                sys.exit(f"{self.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_ready(self):
        try:
            if self.ready is None:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            return NO_PROXY.open(self.ready, timeout=1).status == 200
        except OSError:
            return False

    def cpu_s(self):
        """User and system time so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mib(self, field):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class Bench:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.bucket = folder / "bucket"
        self.rows = []
        self.counts = {}  # what each work must return
        self.idle = []

    def tool(self, name, *args):
        command = [self.args.tools / name, *args]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout

    def make_data(self):
        self.tool("bench_make_data", "--series", str(self.args.series), "--hours",
                  str(self.args.hours), self.bucket)
        chunks = sum(f.stat().st_size for f in self.bucket.glob("*/chunks/*"))
        print(f"{self.args.series} series, {self.args.hours} hours, {chunks / 1e6:.1f} MB of chunks\n")

    def measure(self, server, work, client_args, saved=None):
        """One checked request, which is the first and may find caches cold, then the timed ones."""
        server.forget_peak()
        if saved is None:
            line = self.tool("bench_read_client", "--verify", "--save", self.saved(work),
                             *self.split(server.url, client_args))
            first_s, _, size, series, samples = line.split()
            self.expect_same(server, work, (int(series), int(samples)))
        else:
            first_s = self.tool("bench_read_client", server.url).split()[0]
            size = saved.stat().st_size
        runs = self.enough_runs(float(first_s))
        cpu_before = server.cpu_s()
        lines = self.tool("bench_read_client", "--runs", str(runs),
                          *self.split(server.url, client_args)).splitlines()
        times = [[float(word) for word in line.split()] for line in lines]
        self.rows.append({
            "work": work, "who": server.name, "first": float(first_s),
            "min": min(t[0] for t in times),
            "median": statistics.median(t[0] for t in times),
            "byte": statistics.median(t[1] for t in times), "mb": int(size) / 1e6,
            "cpu": (server.cpu_s() - cpu_before) / runs,
            "peak": server.memory_mib("VmHWM"),
        })

    def enough_runs(self, first_s):
        """More of the short ones: CPU time is counted in ticks of 10 ms."""
        return max(self.args.runs, min(int(self.args.runs / 5 / first_s), MOST_RUNS))

    def saved(self, work):
        return self.folder / (work.replace(" ", "-") + ".body")

    @staticmethod
    def split(url, client_args):
        """Options go before the URL, matchers behind it."""
        options = [a for a in client_args if a.startswith("--")]
        return [*options, url, *[a for a in client_args if not a.startswith("--")]]

    def expect_same(self, server, work, counts):
        expected = self.counts.setdefault(work, counts)
        if counts != expected:
            sys.exit(f"{server.name}: {work}: {counts} series and samples, others gave {expected}")

    def measure_all(self, server):
        with server:
            self.idle.append((server.name, server.memory_mib("VmRSS")))
            for work, client_args in WORKS:
                self.measure(server, work, client_args)

    def store(self):
        port = free_port()
        config = f"type: FILESYSTEM\nconfig:\n  directory: {self.bucket}\n"
        command = [self.args.store, "--data-dir", self.folder / "store", "--objstore.config", config,
                   "--http-address", f"127.0.0.1:{port}",
                   # Only root may reset the peak of a process that hides its memory.
                   *([] if os.geteuid() == 0 else ["--debug.dumpable"]),
                   *self.args.store_flag]
        return Server("blockhouse-store", command, port, self.folder / "store.log")

    def prometheus(self, binary):
        version = prometheus_version(binary)
        data = self.folder / f"prometheus-{version}"
        shutil.copytree(self.bucket, data, copy_function=os.link)
        config = self.folder / "prometheus.yml"
        config.write_text(PROMETHEUS_CONFIG)
        port = free_port()
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={data}",
                   "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
                   "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"]
        return Server(f"Prometheus {version}", command, port, self.folder / f"{data.name}.log")

    def files(self):
        for work, _ in WORKS:
            port = free_port()
            body = self.saved(work)
            command = [self.args.tools / "bench_static_server", str(port), body]
            with Server("plain file", command, port, self.folder / "static.log", ready=None) as server:
                self.measure(server, work, [], body)

    def print_table(self):
        print(f"{'work':21} {'who':16} {'first':>8} {'min':>8} {'median':>8} {'1st byte':>8} {'MB':>7} "
              f"{'CPU s':>6} {'peak MiB':>8} {'x file':>7} {'x Prom':>7}")
        for work, _ in WORKS:
            rows = [r for r in self.rows if r["work"] == work]
            file = next(r["min"] for r in rows if r["who"] == "plain file")
            rivals = [r["min"] for r in rows if r["who"].startswith("Prometheus")]
            for r in rows:
                rival = f"{r['min'] / min(rivals):7.2f}" if rivals else " " * 7
                print(f"{work:21} {r['who']:16} {r['first']:8.4f} {r['min']:8.4f} {r['median']:8.4f} "
                      f"{r['byte']:8.4f} {r['mb']:7.2f} {r['cpu']:6.3f} {r['peak']:8.1f} "
                      f"{r['min'] / file:7.1f} {rival}")
            series, samples = self.counts[work]
            print(f"{'':21} {series} series, {samples} samples\n")
        print("idle, resident: " + ", ".join(f"{who} {mib:.1f} MiB" for who, mib in self.idle))


def prometheus_version(binary):
    """What it says itself; a build from its Go module, where 3.16 is v0.316, says nothing."""
    text = subprocess.run([binary, "--version"], text=True, capture_output=True, check=True).stdout
    said = re.search(r"version (\d+\.\d+)", text)
    if said:
        return said[1]
    minor = int(pathlib.Path(binary).parent.name.split(".")[1])
    return f"{minor // 100}.{minor % 100}"


def prometheus_binaries():
    found = [shutil.which("prometheus"), *sorted(CACHE.glob("blockhouse/prometheus-*/prometheus"))]
    return [binary for binary in found if binary]


def main():
    build = ROOT / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=10000)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5, help="timed requests of each kind")
    parser.add_argument("--tools", type=pathlib.Path, default=build / "tests" / "bench")
    parser.add_argument("--store", default=os.environ.get("BLOCKHOUSE_BIN", build / "blockhouse-store"),
                        help="blockhouse-store; default $BLOCKHOUSE_BIN, then the release build")
    parser.add_argument("--store-flag", action="append", default=[], help="one more flag of the store")
    parser.add_argument("--peers", choices=["all", "none"], default="all", help="run Prometheus too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="blockhouse-bench-") as folder:
        bench = Bench(args, pathlib.Path(folder))
        bench.make_data()
        if pathlib.Path(args.store).exists():
            bench.measure_all(bench.store())
        else:
            print(f"{args.store} is not there: peers only\n")
        for binary in prometheus_binaries() if args.peers == "all" else []:
            bench.measure_all(bench.prometheus(binary))
        bench.files()
        bench.print_table()


if __name__ == "__main__":
    main()
