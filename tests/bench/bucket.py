#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Uploads to MinIO and parallel range reads from it, by our bucket, curl and Thanos.

A file goes up by one plain presigned PUT of curl, by our driver in several configurations
and by Thanos, in turn; then ranges of it come back by "curl --parallel" and by our driver;
all that over HTTP and over TLS. Each run begins with another one of them. "x curl" compares
with curl in the same run: the median of these ratios, and the lowest and highest.

What was uploaded is gone before the next upload, so $TMPDIR needs room for thrice the file.
It should be on a disk: on a tmpfs all that is memory.

With --throttle it runs bench_throttle as well (thirty seconds a row).
"""
import argparse
import functools
import itertools
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import minio  # noqa: E402
from minio import BUCKET, SECRET, USER  # noqa: E402

CONFIGS = {"ours": "",
           "ours, Content-MD5": "  send_content_md5: true\n",
           "ours, one PUT": "  disable_multipart: true\n"}


class Minio(minio.Minio):
    """A MinIO that may speak TLS, and of which nothing deleted stays on the disk."""

    def __init__(self, program, directory, tls):
        super().__init__(program, directory / "data")
        self.ca = make_certificate(directory / "certs") if tls else None
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://{self.address}"
        self.curl = ["curl", "-fsS"] + (["--cacert", self.ca] if tls else [])
        self.trash = directory / "data" / ".minio.sys" / "tmp" / ".trash"
        self.command[-1:] = ["--certs-dir", directory / "certs", directory / "data"]

    def is_ready(self):
        """It stores something: its own probe is ready before it is."""
        return subprocess.run(
            [*self.curl, "-o", os.devnull, "-X", "PUT", self.presigned("PUT", "ready")],
            stderr=subprocess.DEVNULL, check=False).returncode == 0

    def cpu_seconds(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def delete(self, key):
        """Also from the disk, where MinIO itself would leave it for five minutes."""
        subprocess.run([*self.curl, "-X", "DELETE", self.presigned("DELETE", key)], check=True)
        for entry in self.trash.iterdir():
            shutil.rmtree(entry, ignore_errors=True)

    def config(self):
        """What both our bucket and Thanos understand."""
        security = "  insecure: true\n" if self.ca is None else \
            f"  http_config: {{tls_config: {{ca_file: {self.ca}}}}}\n"
        return f"type: S3\nconfig:\n  bucket: {BUCKET}\n  endpoint: {self.address}\n" \
               f"  access_key: {USER}\n  secret_key: {SECRET}\n{security}"


def make_certificate(directory):
    """Where MinIO looks for it. It is its own authority."""
    directory.mkdir()
    certificate = directory / "public.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2",
                    "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=bench",
                    "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", directory / "private.key", "-out", certificate],
                   check=True, stderr=subprocess.DEVNULL)
    return certificate


class Sample(typing.NamedTuple):
    seconds: float
    cpu: float
    memory: list  # resident KiB: idle and peak, or peak, or nothing
    server_cpu: float = 0


def run(command):
    """A program from its start to its end. Ours prints its idle and peak memory in KiB. Of
    the others the peak is known only if it is above that of this program, which they were
    when they were born."""
    begin = time.monotonic()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) as process:
        printed = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    known = usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = [int(kib) for kib in printed] or [usage.ru_maxrss] * known
    return Sample(seconds, usage.ru_utime + usage.ru_stime, memory)


def compare(title, minio, runs, size, contestants, clean=lambda: None):
    """contestants: functions by name; the first one is what the others are compared with."""
    samples = {name: [] for name in contestants}
    order = list(contestants.items())
    for _ in range(runs):
        for name, contestant in order:
            before = minio.cpu_seconds()
            sample = contestant()
            samples[name].append(sample._replace(server_cpu=minio.cpu_seconds() - before))
            clean()
        order.append(order.pop(0))
    show(title, size, samples)


def show(title, size, samples):
    print(f"\n{title}\n\n| who | x curl (lowest, highest) | min s | median s | MB/s | CPU s "
          "| server's CPU s | idle, peak MiB |\n|---|---|---|---|---|---|---|---|")
    first = next(iter(samples.values()))
    for name, rows in samples.items():
        ratios = [a.seconds / b.seconds for a, b in zip(first, rows)]
        seconds = [row.seconds for row in rows]
        memory = max((row.memory for row in rows), key=lambda kib: kib[-1:])
        print(f"| {name} | {statistics.median(ratios):.2f} ({min(ratios):.2f}, "
              f"{max(ratios):.2f}) | {min(seconds):.2f} | {statistics.median(seconds):.2f} | "
              f"{size / min(seconds) / 1e6:.0f} | "
              f"{statistics.median(row.cpu for row in rows):.2f} | "
              f"{statistics.median(row.server_cpu for row in rows):.2f} | "
              + ", ".join(f"{kib / 1024:.1f}" for kib in memory) + " |")
    sys.stdout.flush()


def make_block(directory, file):
    """What Thanos takes for a block, with the file as its chunks."""
    (directory / "chunks").mkdir(parents=True)
    os.link(file, directory / "chunks" / "000001")
    (directory / "index").write_bytes(b"no index")
    (directory / "meta.json").write_text(
        f'{{"version":1,"ulid":"{directory.name}","minTime":0,"maxTime":7200000,"stats":'
        '{"numSamples":1,"numSeries":1,"numChunks":1},"compaction":{"level":1}}',
        encoding="utf-8")


class Contestants:
    """What they do with the file on one server. Configurations are files, so that Thanos and
    our bucket read the same."""

    def __init__(self, arguments, minio, work):
        self.arguments, self.minio, self.work = arguments, minio, work
        self.file = work / "file"
        self.numbers = itertools.count()
        self.block = None  # the last one of Thanos

    def config(self, more=""):
        path = self.work / "bucket.yml"
        path.write_text(self.minio.config() + more, encoding="utf-8")
        return path

    def curl_put(self):
        return run([*self.minio.curl, "-o", os.devnull, "-T", self.file,
                    self.minio.presigned("PUT", "object")])

    def our_put(self, more):
        return run([self.arguments.client, self.config(more), "put", self.file, "object"])

    def thanos_put(self):
        """As a part of a new block each time: it remembers what it has uploaded."""
        self.block = f"01HZZZZZZZZZZZZZZZZZZZ{next(self.numbers):04d}"
        with tempfile.TemporaryDirectory(dir=self.work) as directory:
            make_block(pathlib.Path(directory) / self.block, self.file)
            return run([self.arguments.thanos, "tools", "bucket", "upload-blocks",
                        "--log.level=error", "--path", directory, "--label=bench=\"1\"",
                        "--objstore.config-file", self.config()])

    def delete(self):
        """What any of them has put."""
        self.minio.delete("object")
        if self.block is not None:
            self.minio.delete(f"{self.block}/chunks/000001")

    def store(self):
        """For the reads."""
        run([self.arguments.client, self.config(), "put", self.file, "object"])

    def curl_get(self, ranges):
        return run([*self.minio.curl, "--no-progress-meter", "--fail-early", "--parallel",
                    "--parallel-max", self.arguments.parallel, "-K", ranges])

    def our_get(self, size, length, count):
        return run([self.arguments.client, self.config(), "ranges", "object", size, length,
                    count, self.arguments.parallel])


def uploads(all_of_them, runs):
    size, minio = all_of_them.file.stat().st_size, all_of_them.minio
    contestants = {"curl, presigned PUT": all_of_them.curl_put}
    for name, more in CONFIGS.items():
        contestants[name] = functools.partial(all_of_them.our_put, more)
    if all_of_them.arguments.thanos:
        contestants["Thanos"] = all_of_them.thanos_put
    compare(f"Upload of {size >> 20} MiB, {minio.scheme}", minio, runs, size, contestants,
            all_of_them.delete)


def ranges(all_of_them, runs, length, count):
    size, minio = all_of_them.file.stat().st_size, all_of_them.minio
    url, more = minio.presigned("GET", "object"), f"output={os.devnull}\n"
    if minio.ca is not None:
        more += f"cacert={minio.ca}\n"
    begins = [i * length % (size - length + 1) for i in range(count)]
    path = all_of_them.work / "ranges"
    path.write_text("next\n".join(
        f'url="{url}"\nrange={begin}-{begin + length - 1}\n{more}' for begin in begins),
        encoding="utf-8")
    compare(f"{count} ranges of {length >> 10} KiB, {all_of_them.arguments.parallel} at once, "
            f"{minio.scheme}", minio, runs, length * count,
            {"curl --parallel": functools.partial(all_of_them.curl_get, path),
             "ours": functools.partial(all_of_them.our_get, size, length, count)})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minio", required=True, help="the program")
    parser.add_argument("--thanos", help="the program; without it, no Thanos")
    parser.add_argument("--client", default=ROOT / "build/release/tests/bench/bench_bucket_client")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("--throttle", metavar="PROGRAM", help="bench_throttle, to run it too")
    arguments = parser.parse_args()
    for tls in False, True:
        with tempfile.TemporaryDirectory() as directory:
            work = pathlib.Path(directory)
            with open(work / "file", "wb") as out:
                for _ in range(arguments.mib):
                    out.write(os.urandom(1 << 20))
            with Minio(arguments.minio, work, tls) as minio:
                all_of_them = Contestants(arguments, minio, work)
                uploads(all_of_them, arguments.runs)
                all_of_them.store()
                ranges(all_of_them, arguments.runs, 1 << 20, max(arguments.mib, 16))
                ranges(all_of_them, arguments.runs, 64 << 10, max(4 * arguments.mib, 64))
    if arguments.throttle:
        print("\nA server that allows 100 requests a second\n", flush=True)
        subprocess.run([arguments.throttle, "3000", "100"], check=True)


if __name__ == "__main__":
    main()
