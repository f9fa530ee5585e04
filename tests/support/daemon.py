# SPDX-License-Identifier: Apache-2.0
"""Run a daemon under test in a temporary directory and talk HTTP to it."""
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

READY_S = 20


def free_port():
    """Below the usual range of outgoing connections, which would take it by chance."""
    while True:
        port = random.randint(20000, 29999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(what, condition, seconds=READY_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def dir_bucket(directory):
    """Object-store YAML of a directory bucket."""
    return f"type: FILESYSTEM\nconfig:\n  directory: {directory}\n"


class Answer:
    def __init__(self, reply):
        self.status = reply.status
        self.headers = reply.headers
        self.body = reply.read()

    @property
    def text(self):
        return self.body.decode(errors="replace")


class Daemon:
    """Context manager. arguments may hold {port}; ready is the path to wait for."""

    ready_s = READY_S

    def __init__(self, program, *arguments, ready="/-/ready", environment=None):
        self.port = free_port()
        self.ready = ready
        self.command = [program, *(a.replace("{port}", str(self.port)) for a in arguments)]
        self.environment = {**os.environ, **(environment or {})}
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log,
                                        env=self.environment)
        try:
            wait_until(f"{self.command[0]} to be ready", self.is_ready, self.ready_s)
        except AssertionError:
            self.stop()
            raise
        return self

    def __exit__(self, kind, problem, trace):
        status = self.stop()
        if kind is None and status != 0:
            raise AssertionError(f"{self.command[0]} ended with status {status}:\n"
                                 + self.log_text()[-4000:])
        if kind is not None:
            print(f"--- end of the log of {self.command[0]}:\n{self.log_text()[-4000:]}")

    def stop(self):
        """SIGTERM, then the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.command[0]} ended with status "
                                 f"{self.process.returncode}:\n{self.log_text()}")
        try:
            return self.request("GET", self.ready).status == 200
        except OSError:
            return False

    def log_text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def request(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def connect(self, timeout=30):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def metric(self, name):
        """Sum over the labels of one family; 0 if it is absent."""
        total = 0.0
        for line in self.request("GET", "/metrics").text.splitlines():
            if line.startswith((name + " ", name + "{")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def peak_resident_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
        raise AssertionError("no VmHWM in /proc")

    def check_resident(self, limit_mib, after):
        """Not in builds with sanitizers, which keep freed memory on purpose."""
        peak = self.peak_resident_kib() >> 10
        print(f"  after {after}: peak resident {peak} MiB")
        assert is_sanitized(self.command[0]) or peak < limit_mib, \
            f"{peak} MiB resident after {after}"


def is_sanitized(program):
    with open(program, "rb") as file:
        return re.search(rb"\0lib[at]san\.", file.read()) is not None
