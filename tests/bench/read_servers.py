# SPDX-License-Identifier: Apache-2.0
"""Who answers in the read benchmark: how each is started, and what it uses."""
import math
import os
import pathlib
import re
import shutil
import socket
import subprocess
import typing

from daemon import Daemon, free_port, wait_until

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PROMETHEUS_CONFIG = """
global:
  external_labels: {cluster: bench, replica: a}
"""


class Question(typing.NamedTuple):
    """What is asked, and how much of it must come back."""
    matchers: list
    series: int
    samples: int
    sampled: bool = False
    at_once: int = 1


class Run(typing.NamedTuple):
    """Of requests at once: until the last byte of all, until the last of them has its
    first byte, bytes of all."""
    seconds: float
    first_byte_s: float
    size: int


class Server(Daemon):
    """A daemon that bench_read_client asks."""

    ready_s = 120

    def __init__(self, name, client, command, path="/api/v1/read", options=()):
        super().__init__(*map(str, command))
        self.name, self.client, self.options = name, client, options
        self.url = f"http://127.0.0.1:{self.port}{path}"

    def ask(self, question, runs=1):
        lines = self.run_client(question, "--runs", runs, "--at-once", question.at_once)
        return [Run(float(words[0]), float(words[1]), int(words[2])) for words in lines]

    def verify(self, question, save=None):
        """Bytes, series and samples of one checked answer."""
        (words,) = self.run_client(question, "--verify", *(["--save", save] if save else []))
        return tuple(map(int, words[2:]))

    def run_client(self, question, *options):
        command = [self.client, *options, *self.options,
                   *(["--sampled"] if question.sampled else []), self.url, *question.matchers]
        done = subprocess.run(list(map(str, command)), check=True, text=True,
                              stdout=subprocess.PIPE)
        return [line.split() for line in done.stdout.splitlines()]

    def cpu_s(self):
        """User and system time so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mib(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)[1]) / 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class Listener(Server):
    """Has no probe, and no handler of signals."""

    def is_ready(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def stop(self):
        super().stop()
        return 0


class Thanos(Server):
    """Its StoreAPI listens on a second port, and only once it is ready."""

    def __init__(self, client, program, arguments):
        grpc = free_port()
        super().__init__("Thanos store", client,
                         [program, "store", f"--grpc-address=127.0.0.1:{grpc}",
                          "--http-address=127.0.0.1:{port}", *arguments], options=["--store-api"])
        self.grpc = grpc
        self.url = f"http://127.0.0.1:{grpc}/thanos.Store/Series"

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.grpc)).close()
        except OSError:
            return False
        return super().is_ready()


class PlainGets:
    """The same objects as a whole, by one curl that gets all of them at once."""

    name = "plain GETs"

    def __init__(self, minio, keys):
        self.command = ["curl", "-fsS", "--no-progress-meter", "--parallel", "--parallel-immediate",
                        "--parallel-max", str(len(keys)), "-w",
                        "%{time_total} %{time_starttransfer} %{size_download}\n"]
        for key in keys:
            self.command += ["-o", os.devnull, minio.presigned("GET", key)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, _question, runs=1):
        return [self.ask_once() for _ in range(runs)]

    def ask_once(self):
        text = subprocess.run(self.command, check=True, text=True, stdout=subprocess.PIPE).stdout
        total, first, size = zip(*[map(float, line.split()) for line in text.splitlines()])
        return Run(max(total), min(first), int(sum(size)))

    def verify(self, question):
        """There is nothing to count, and curl fails by itself."""
        return self.ask_once().size, question.series, question.samples

    def cpu_s(self):
        return math.nan

    def memory_mib(self, _field):
        return math.nan

    def forget_peak(self):
        pass


class Relay(Listener):
    """Between a server and a MinIO that is DELAY_MS away."""

    def __init__(self, program, minio, delay_ms, count_file):
        port = minio.address.rpartition(":")[2]
        super().__init__("relay", None, [program, "{port}", port, delay_ms, count_file])
        self.count_file = count_file
        self.address = f"127.0.0.1:{self.port}"

    def requests(self):
        """That have arrived so far."""
        return int.from_bytes(self.count_file.read_bytes(), "little")

    def settle(self, looks=20):
        """Wait for the end of what a server does by itself when it has started: until no
        request has come for a while."""
        counts = []

        def is_quiet():
            counts.append(self.requests())
            return counts[-looks:] == counts[-1:] * looks

        wait_until("an end of the requests at the start", is_quiet, 60)


class Servers:
    """Makes them, each call another one; None where the program is not there."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.client = arguments.tools / "bench_read_client"
        self.data = 0

    def fresh_data(self):
        self.data += 1
        return self.folder / f"data-{self.data}"

    def store(self, config, data=None, name="blockhouse-store", flags=()):
        arguments = self.arguments
        return Server(name, self.client, [
            arguments.store, "--data-dir", data or self.fresh_data(), "--objstore.config", config,
            "--http-address=127.0.0.1:{port}", "--http-unready-delay=0s",
            # Only root may reset the peak of a process that hides its memory.
            *([] if os.geteuid() == 0 else ["--debug.dumpable"]), *flags, *arguments.store_flag])

    def thanos(self, config, data=None):
        if self.arguments.thanos is None:
            return None
        return Thanos(self.client, self.arguments.thanos, [
            f"--data-dir={data or self.fresh_data()}", f"--objstore.config={config}"])

    def prometheus(self, bucket):
        """On its own disk, with links to the files of a directory bucket."""
        program = self.arguments.prometheus
        if program is None:
            return None
        data = self.fresh_data()
        shutil.copytree(bucket, data, copy_function=os.link)
        config = self.folder / "prometheus.yml"
        config.write_text(PROMETHEUS_CONFIG)
        return Server(f"Prometheus {prometheus_version(program)}", self.client, [
            program, f"--config.file={config}", f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"])

    def plain_file(self, body):
        return Listener("plain file", self.client,
                        [self.arguments.tools / "bench_static_server", "{port}", body])


def prometheus_version(program):
    """What it says itself; a build from its Go module, where 3.16 is v0.316, says nothing."""
    text = subprocess.run([program, "--version"], text=True, capture_output=True, check=True).stdout
    said = re.search(r"version (\d+\.\d+)", text)
    if said:
        return said[1]
    minor = int(pathlib.Path(program).parent.name.split(".")[1])
    return f"{minor // 100}.{minor % 100}"
