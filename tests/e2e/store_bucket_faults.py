#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the bucket does in the middle of an answer is never mistaken for its end. Its
answers are cut, it falls silent, or dies, below streamed and sampled reads and discovery:
the client sees a cut or an error, and the next query is right, byte for byte. A bucket
that is slow leads to an error that names the time limit, and a reader who leaves while it
hangs gives its slot back.

usage: store_bucket_faults.py <blockhouse-store> <bench_make_data> <minio>
"""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, free_port, is_sanitized, wait_until  # noqa: E402
from fault_control import FaultControl  # noqa: E402
from minio import Minio  # noqa: E402
from raw_reply import RawReply, read_to_end, request  # noqa: E402
from read_faults import upload  # noqa: E402

MAKE = ("--series", "2000", "--hours", "4", "--step", "60")
# The first ones are enough for other answers than streams.
PERMANENT = ("cut after=100", "status status=403 code=AccessDenied", "reset after=0",
             "cut after=-1", "lost", "status status=500 code=InternalError")
PASSING = ("cut after=1000 times=2", "lost times=1", "reset after=0 times=2",
           "status status=503 code=SlowDown times=1")
TIMEOUT_S, IMPATIENT_S = 60, 0.5
SLOT_S, SLOT_SANITIZED_S = 1, 5
IN_FLIGHT = "thanos_bucket_store_series_gate_queries_in_flight"
READ = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Read-Version": "0.1.0"}
SAMPLES, STREAMED = rr.pb.ReadRequest.SAMPLES, rr.pb.ReadRequest.STREAMED_XOR_CHUNKS


BEGIN_EARLY = ("streamed", "sampled twice", "series")  # sent before all is read


def read_request(matchers, accepted, times=1):
    queries = times * [rr.query(matchers, 0, 1 << 60)]
    return request("POST", "/api/v1/read", rr.encode(queries, accepted), READ)


QUERIES = {
    "streamed": read_request([("__name__", "!=", "")], [STREAMED, SAMPLES]),
    "sampled": read_request([("__name__", "=~", "[a-d].*_total")], [SAMPLES]),
    # So large that it is read a second time when it is sent.
    "sampled twice": read_request([("__name__", "!=", "")], [SAMPLES], 2),
    "series": request("GET", "/api/v1/series?match[]=%7B__name__!=%22%22%7D"),
    "values": request("GET", "/api/v1/label/pod/values?match[]=%7B__name__=~%22.*s.*%22%7D"),
}


class Proxy(FaultControl):
    """Context manager: fault_proxy.py in front of a server."""

    def __init__(self, upstream):
        self.address, control = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "..", "support", "fault_proxy.py"),
             self.address, upstream, control])
        try:
            wait_until("the proxy", lambda: self.connects(control))
        except AssertionError:
            self.process.kill()
            raise

    def connects(self, control):
        with contextlib.suppress(OSError):
            super().__init__(control)
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def fault(self, text):
        assert self.tell(f"fault {text}") == "ok", text

    def struck(self):
        return sum(count for name, count in self.stats().items() if name != "requests")


class Reader(threading.Thread):
    """Asks and reads to the end, or until it is told to leave."""

    def __init__(self, store, name):
        super().__init__(daemon=True)
        self.connection = store.connect(TIMEOUT_S + 30)
        self.connection.sendall(QUERIES[name])
        self.raw = b""
        self.start()

    def run(self):
        self.raw = read_to_end(self.connection)
        self.connection.close()

    def leave(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.join()

    def reply(self):
        self.join()
        return RawReply(self.raw)


class World:
    """A store over MinIO behind the proxy, and what it is to answer."""

    def __init__(self, store, impatient, proxy, minio, wanted):
        self.store, self.impatient = store, impatient
        self.proxy, self.minio, self.wanted = proxy, minio, wanted
        self.requests = {}  # that a query makes

    def middle(self, name):
        """Requests until the answer has begun and is not at its end."""
        return self.requests[name] * (3 if name == "sampled twice" else 2) // 4

    def ask(self, name, store=None):
        return Reader(store or self.store, name).reply()

    def is_right(self, name, when):
        reply = self.ask(name)
        assert (reply.status, reply.is_whole) == (200, True), \
            (when, name, reply.status, reply.is_whole, reply.body[:300])
        assert reply.body == self.wanted[name], f"{when}: {name}: a wrong answer"

    def is_no_answer(self, name, when, reply):
        """In words."""
        if reply.status == 200:
            assert not reply.is_whole, f"{when}: {name} was answered as if it were whole"
            assert self.wanted[name].startswith(reply.body), f"{when}: {name}: a wrong part"
            return f"cut after {len(reply.body)} of {len(self.wanted[name])} bytes"
        text = reply.body.decode().strip()
        assert reply.is_whole and 500 <= reply.status < 600 and text, (when, name, reply.status)
        return f"{reply.status}: {text[:160]}"


def count_requests(world):
    for name in QUERIES:
        before = world.proxy.stats()["requests"]
        world.is_right(name, "at first")
        world.requests[name] = world.proxy.stats()["requests"] - before
    print(f"requests: {world.requests}")
    assert min(world.requests.values()) >= 4, "too few to stop in their midst"


def fails_and_recovers(world, name, fault):
    """A fault that stays, from the middle of an answer on."""
    before = world.proxy.struck()
    world.proxy.fault(f"{fault} skip={world.middle(name)}")
    reply = world.ask(name)
    outcome = world.is_no_answer(name, fault, reply)
    struck = world.proxy.struck() - before
    world.proxy.tell("clear")
    assert struck > 0, f"{fault}: {name} was not struck"
    assert (reply.status == 200) == (name in BEGIN_EARLY), f"{fault}: {name}: {outcome}"
    print(f"  {name}, {fault}, {struck} times: {outcome}")
    world.is_right(name, f"after {fault}")


def passes(world, name, fault):
    """A fault that is over before the client gives up."""
    before = world.proxy.struck()
    world.proxy.fault(f"{fault} skip={world.middle(name)}")
    world.is_right(name, fault)
    assert world.proxy.struck() > before, f"{fault}: {name} was not struck"
    world.proxy.tell("clear")


def has_objects(world):
    """It says that it is ready a little before that."""
    [key, *_] = (f"{block.name}/meta.json" for block in world.minio.objects.iterdir())
    return subprocess.run(["curl", "-fs", "-o", os.devnull, world.minio.presigned("GET", key)],
                          check=False).returncode == 0


def dies(world, name):
    """The server is killed while it is about to answer, and comes back."""
    world.proxy.fault(f"delay ms=500 skip={world.middle(name)}")
    before = world.proxy.struck()
    reader = Reader(world.store, name)
    wait_until("a request to be held", lambda: world.proxy.struck() > before)
    world.minio.process.kill()
    world.minio.process.wait()
    world.proxy.tell("clear")
    outcome = world.is_no_answer(name, "killed", reader.reply())
    print(f"  {name}, MinIO killed: {outcome}")
    world.minio.__enter__()
    wait_until("MinIO to have its objects", lambda: has_objects(world))
    world.is_right(name, "after a restart of MinIO")


def names_the_limit(world, name, fault, skip):
    """A bucket that is too slow; skip: of its answers that come."""
    world.proxy.fault(f"{fault} skip={skip}")
    reply = world.ask(name, world.impatient)
    world.proxy.tell("clear")
    outcome = world.is_no_answer(name, fault, reply)
    print(f"  {name}, {fault} skip={skip}: {outcome}")
    if skip == 0:
        text = reply.body.decode()
        assert reply.status in (503, 504) and "--store.query-timeout" in text, (reply.status, text)
    world.is_right(name, f"after {fault}")


def frees_the_slot(world, name, fault, skip):
    world.proxy.fault(f"{fault} skip={skip}")
    before = world.proxy.struck()
    reader = Reader(world.store, name)
    wait_until("the bucket to hang", lambda: world.proxy.struck() > before)
    wait_until("only that query", lambda: world.store.metric(IN_FLIGHT) == 1)
    reader.leave()
    begin = time.monotonic()
    wait_until(f"the slot of a reader of {name} who left", lambda: world.store.metric(
        IN_FLIGHT) == 0, SLOT_SANITIZED_S if is_sanitized(world.store.command[0]) else SLOT_S)
    print(f"  {name}, {fault} skip={skip}: slot free after {time.monotonic() - begin:.2f} s")
    world.proxy.tell("clear")
    world.is_right(name, f"after a reader left in {fault}")


def check(world):
    count_requests(world)
    for name in QUERIES:
        faults = {"streamed": None, "sampled twice": 1}.get(name, 2)
        for fault in PASSING[:faults]:
            passes(world, name, fault)
        for fault in PERMANENT[:faults]:
            fails_and_recovers(world, name, fault)
        if name in BEGIN_EARLY:
            dies(world, name)
    for name in ("streamed", "sampled", "series"):
        for fault, skip in (("delay ms=60000", 0), ("stall after=10", world.middle(name))):
            names_the_limit(world, name, fault, skip)
        for fault, skip in (("hole", 0), ("stall after=10", world.middle(name))):
            frees_the_slot(world, name, fault, skip)


def store_over(program, directory, config, timeout_s):
    """Its cache keeps nothing, and it reads little ahead: every answer takes many reads."""
    return Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}",
                  f"--objstore.config={config}", "--http-unready-delay=0s",
                  "--index-cache-size=0", "--no-store.disk-cache", "--store.lookahead=512KiB",
                  f"--store.query-timeout={int(timeout_s * 1000)}ms")


def right_answers(program, directory, bucket):
    """Of a store without any network behind it."""
    with store_over(program, directory / "reference", dir_bucket(bucket), TIMEOUT_S) as store:
        world = World(store, None, None, None, {})
        return {name: world.ask(name).body for name in QUERIES}


def main():
    program, make_data, minio_program = sys.argv[1:]
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bucket = directory / "bucket"
        subprocess.run([make_data, *MAKE, bucket], check=True)
        wanted = right_answers(program, directory, bucket)
        minio = stack.enter_context(Minio(minio_program, directory / "minio"))
        for block in bucket.iterdir():
            upload(minio.config(), str(block))
        proxy = stack.enter_context(Proxy(minio.address))
        config = minio.config("  max_retries: 4\n", endpoint=proxy.address)
        store, impatient = (
            stack.enter_context(store_over(program, directory / str(seconds), config, seconds))
            for seconds in (TIMEOUT_S, IMPATIENT_S))
        check(World(store, impatient, proxy, minio, wanted))


if __name__ == "__main__":
    main()
