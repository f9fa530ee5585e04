#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A store in chaos: clients ask all the time while blocks of its bucket are added,
compacted, marked and deleted, and several things at a time go wrong with the bucket, the
files of its data directory, the clock and the process. No answer is wrong, every error
says what it is about, nothing crashes, memory stays below its limit, and 30 s after the
end of all faults everything is answered again.

usage: store_chaos.py BUILD [--long] [--seconds=N] [--seed=N] [--minio=PROGRAM] [--only=FAULT]
  --long   ten minutes instead of one
  --minio  the bucket is in a MinIO instead of a directory behind a small server

A seed repeats what goes wrong, though not to the millisecond. What changes a listing, or
a meta.json into another valid one, nobody could notice; so that is not among the faults.
"""
import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import living_bucket as lb  # noqa: E402
import remote_read as rr  # noqa: E402
from daemon import Daemon, is_sanitized, wait_until  # noqa: E402
from minio import Minio  # noqa: E402
from plain_s3 import PlainS3  # noqa: E402
from store_bucket_faults import Proxy  # noqa: E402

CLIENTS = 4
SHORT_S, LONG_S = 60, 600
HEALED_S, SANITIZED_TIMES = 30, 4
MEMORY_MIB, ROOM_MIB = 64, 40
ASK_S = 60
DAY_S = 86400
EVER = lb.FIRST_MS - 1, lb.FIRST_MS + 1000 * lb.WINDOW_MS
# What an error has to have: an object, an address, a flag, or what to do.
SAYS_WHAT = re.compile(r"[0-9A-Z]{26}|127\.0\.0\.1:\d+|--[a-z]+[.-]|try again|bucket|not ready")
HEALTH = {'thanos_blocks_meta_synced{state="failed"}': 0,
          'thanos_blocks_meta_synced{state="corrupted-meta-json"}': 0,
          "blockhouse_store_unseen_headers": 0, "blockhouse_store_unread_metas": 0,
          "blockhouse_store_serves_snapshot": 0}


class MinioObjects:
    def __init__(self, minio):
        self.minio = minio

    def send(self, method, key, data=None):
        request = urllib.request.Request(self.minio.presigned(method, key), data, method=method)
        urllib.request.urlopen(request, timeout=30).close()

    def put(self, key, path):
        self.send("PUT", key, pathlib.Path(path).read_bytes())

    def remove(self, key):
        self.send("DELETE", key)


class Store(Daemon):
    """One that is killed and started again, whose clock is set, and which need not
    become ready."""

    def __init__(self, build, directory, config):
        self.data, self.shift = directory / "data", directory / "shift"
        self.shift.write_bytes(bytes(8))
        self.starts, self.is_up, self.peak_kib = 0, False, 0
        super().__init__(
            f"{build}/blockhouse-store", "--http-address=127.0.0.1:{port}",
            f"--data-dir={self.data}", f"--objstore.config={config}", "--http-unready-delay=0s",
            f"--store.memory-limit={MEMORY_MIB}MiB", "--sync-block-duration=10m",
            "--index-cache-size=2MB", "--store.query-timeout=15s", "--store.queue-timeout=5s",
            "--block-meta-fetch-concurrency=8", "--block-sync-concurrency=4",
            environment={"LD_PRELOAD": f"{build}/tests/support/libtests_clock_shift.so",
                         "CLOCK_SHIFT": str(self.shift),
                         "ASAN_OPTIONS": "verify_asan_link_order=0:"
                                         + os.environ.get("ASAN_OPTIONS", "")})

    def is_ready(self):
        if self.starts == 0:
            return super().is_ready()
        return self.is_listening()

    def is_listening(self):
        assert self.process.poll() is None, \
            f"the store ended with status {self.process.returncode}"
        with contextlib.suppress(OSError):
            self.connect(1).close()
            return True
        return False

    def __enter__(self):
        super().__enter__()
        self.starts, self.is_up = self.starts + 1, True
        return self

    def kill(self):
        self.check_alive()
        self.peak_kib = self.peak_resident_kib()
        self.is_up = False
        self.process.kill()
        self.process.wait()
        self.__enter__()

    def peak_resident_kib(self):
        """Of all its lives."""
        return max(self.peak_kib, super().peak_resident_kib())

    def check_alive(self):
        assert self.process.poll() is None, \
            f"the store ended by itself with status {self.process.returncode}"

    def set_clock(self, seconds):
        with open(self.shift, "r+b") as file:
            file.write(struct.pack("=q", seconds * 10 ** 9))

    def metrics(self):
        """{name with labels: value}"""
        lines = self.request("GET", "/metrics").text.splitlines()
        return {name: float(value) for name, _, value in
                (line.rpartition(" ") for line in lines if not line.startswith("#"))}


class Wrong(AssertionError):
    """What may never happen."""


class Queries:
    """What is asked, and what of the answers is right. is_whole: all that the bucket has
    has to be in an answer, not only what always is."""

    def __init__(self, store, writer):
        self.store, self.writer = store, writer

    def some(self, rng):
        """One, as a function of is_whole."""
        first = rng.randrange(self.writer.next_window)
        begin = lb.FIRST_MS + first * lb.WINDOW_MS + rng.randrange(lb.WINDOW_MS)
        end = begin + rng.randrange(4 * lb.WINDOW_MS)
        begin, end = rng.choice(((begin, end), (begin, end), EVER))
        group, name = rng.choice((None, *lb.GROUPS)), rng.choice((None, "m0", "m.*"))
        ask = rng.choice((self.streamed, self.streamed, self.sampled, self.values, self.series))
        return lambda is_whole=False: ask(group, name, begin, end, is_whole)

    def all(self):
        for ask in (self.streamed, self.sampled, self.values, self.series):
            ask(None, None, *EVER, True)

    @staticmethod
    def matchers(group, name):
        return [("pod", "!=", "")] + ([("group", "=", group)] if group else []) + \
            ([("__name__", "=~", name)] if name else [])

    @staticmethod
    def selected(wanted, group, name):
        chosen = {place: {labels: parts for labels, parts in series.items()
                          if not name or re.fullmatch(name, dict(labels)["__name__"])}
                  for place, series in wanted.items() if group in (None, place[0])}
        return {place: series for place, series in chosen.items() if series}

    def needed(self, is_whole):
        return self.writer.live() if is_whole else self.writer.lasting()

    def post(self, group, name, begin, end, accepted):
        return checked(rr.post(self.store, rr.encode(
            [rr.query(self.matchers(group, name), begin, end)], accepted), timeout=ASK_S))

    def streamed(self, group, name, begin, end, is_whole):
        answer = self.post(group, name, begin, end, [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS])
        series = [(labels, [lb.sb.Chunk(low, high, encoding, data)
                            for encoding, low, high, data in chunks])
                  for _, labels, chunks in rr.series_of(answer)]
        lb.check(self.selected(self.writer.model.wanted_chunks(begin, end), group, name),
                 lb.by_place(series, lambda chunk: chunk.first), self.needed(is_whole))

    def sampled(self, group, name, begin, end, is_whole):
        answer = self.post(group, name, begin, end, [rr.pb.ReadRequest.SAMPLES])
        [result] = rr.pb.ReadResponse.FromString(rr.snappy.decompress(answer.body)).results
        series = [(rr.labels_of(one), [(sample.timestamp, sample.value)
                                       for sample in one.samples]) for one in result.timeseries]
        lb.check(self.selected(self.writer.model.wanted_samples(begin, end), group, name),
                 lb.by_place(series, lambda sample: sample[0]), self.needed(is_whole))

    def get(self, path):
        return json.loads(checked(self.store.request("GET", path, timeout=ASK_S)).body)["data"]

    def values(self, *_):
        assert self.get("/api/v1/label/group/values") == list(lb.GROUPS)

    def series(self, group, *_):
        found = self.get("/api/v1/series?match[]=%7Bgroup=%22" + (group or "a") + "%22%7D")
        assert found == [dict(lb.full_labels(group or "a", labels)) for labels in sorted(
            map(lb.series_labels, range(lb.SERIES)))], found


class Refused(Exception):
    """An error in words."""


def checked(answer):
    if answer.status == 200:
        return answer
    text = answer.text.strip()
    if answer.status not in (429, 500, 502, 503, 504) or not SAYS_WHAT.search(text):
        raise Wrong(f"an error that says nothing: {answer.status} {text!r}")
    raise Refused(f"{answer.status} {text}")


class Client(threading.Thread):
    """Asks until it is told to end or something is wrong."""

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.world, self.rng = world, random.Random(seed)
        self.outcomes = collections.Counter()

    def run(self):
        world = self.world
        while not world.ended.is_set():
            starts = world.store.starts
            try:
                outcome = self.ask(world.queries.some(self.rng), starts)
            except Exception as problem:  # pylint: disable=broad-except
                return world.fail(f"a client: {type(problem).__name__}: {problem}")
            self.outcomes[outcome] += 1
        return None

    def ask(self, query, starts):
        """In a word or two. Where nobody listens while it is killed there is no answer."""
        store = self.world.store
        try:
            query()
            return "right"
        except Refused as refused:
            self.world.note_error(str(refused))
            return f"status {str(refused)[:3]}"
        except http.client.IncompleteRead:
            return "cut"
        except (ConnectionError, http.client.BadStatusLine) as problem:
            if store.is_up and starts == store.starts:
                raise
            time.sleep(0.02)
            return f"killed, {type(problem).__name__}"


class World:
    """Everything, and what happened to it."""

    def __init__(self, store, writer, proxy, rng):
        self.store, self.writer, self.proxy, self.rng = store, writer, proxy, rng
        self.queries = Queries(store, writer)
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.begin, self.history, self.problem = time.monotonic(), [], None
        self.errors = collections.Counter()
        self.pausing = threading.Lock()  # held by who has the bucket stay as it is

    def note(self, text):
        with self.lock:
            self.history.append(f"{time.monotonic() - self.begin:8.3f} {text}")

    def fail(self, problem):
        self.note(f"WRONG: {problem}")
        with self.lock:
            self.problem = self.problem or problem
        self.ended.set()

    def note_error(self, text):
        text = re.sub(r"[0-9A-Z]{26}", "<block>", text)
        with self.lock:
            self.errors[re.sub(r"\d{3,}", "N", text)[:150]] += 1

    def check(self):
        self.store.check_alive()
        assert not self.ended.is_set(), self.problem


class Writing(threading.Thread):
    """Changes the bucket, and has the store look, as somebody may who is in a hurry."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world

    def run(self):
        world = self.world
        try:
            while not world.ended.is_set():
                with world.pausing:
                    world.note(world.writer.step())
                    self.ask_to_look()
                world.ended.wait(world.writer.rng.random())
        except Exception as problem:  # pylint: disable=broad-except
            world.fail(f"the writer: {type(problem).__name__}: {problem}")

    def ask_to_look(self):
        while not self.world.ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.world.store.request("POST", "/-/sync", timeout=ASK_S)
                return
            time.sleep(0.02)


# ---- what goes wrong

def bucket_faults(rng):
    """Names, and rules of fault_proxy.py."""
    some = f"permille={rng.choice((50, 200, 500))}"
    few = f"permille={rng.choice((50, 150))}"
    after = rng.choice((0, 10, 100, 1000))
    return {
        "down": ["cut way=up after=-1"],
        "slow": [f"delay ms={rng.choice((50, 300, 1500))} {some}"],
        "thin": [f"rate bytes={rng.choice((20_000, 200_000))} {some}"],
        "throttled": [f"status status=503 code=SlowDown {some}"],
        "failing": [f"status status=500 code=InternalError {some}"],
        "denied": ["status status=403 code=AccessDenied permille=500"],
        "silent": ["hole"],
        "silent in mid-answer": [f"stall after={after} {some}"],
        "reset": [f"reset after={after} {some}"],
        "cut": [f"cut after={after} {some}"],
        "damaged index": [f"flip after=-2 part=/index {few}"],
        "damaged chunks": [f"flip after=-2 part=/chunks/ {few}"],
        "garbage": [f"status status=200 code=Garbage part=.json {some}"]}


class Faults:
    """That there are now. Those of the bucket stand in the proxy."""

    def __init__(self, world, only=None):
        self.world, self.rng, self.active, self.only = world, world.rng, {}, only

    def choose(self):
        """(name, rules of the proxy or None)"""
        here = ["files damaged", "directory gone", "clock", "stopped", "killed"]
        there = bucket_faults(self.rng)
        if self.only:
            return self.only, there.get(self.only)
        if self.rng.random() < 0.4:
            return self.rng.choice(here), None
        return self.rng.choice(list(there.items()))

    def begin(self):
        name, rules = self.choose()
        self.world.note(f"fault: {name} {'; '.join(rules or ())}")
        if rules is not None:
            self.active[name] = rules
            self.tell()
        else:
            getattr(self, name.replace(" ", "_"))()
        return name

    def end(self):
        self.active.clear()
        self.tell()
        self.world.store.set_clock(0)
        self.world.note("faults end")

    def tell(self):
        self.world.proxy.tell("clear")
        for rules in self.active.values():
            for rule in rules:
                self.world.proxy.fault(rule)

    def files_damaged(self):
        """Some of them, in some way."""
        for path in list(self.world.store.data.rglob("*")):
            if not path.is_file() or self.rng.random() < 0.5:
                continue
            with contextlib.suppress(OSError):
                self.damage(path, self.rng.randrange(3))

    def damage(self, path, how):
        size = path.stat().st_size
        if how == 0:
            path.unlink()
        elif how == 1:
            os.truncate(path, self.rng.randrange(size + 1))
        elif size > 0:
            with open(path, "r+b") as file:
                at = self.rng.randrange(size)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << self.rng.randrange(8)]))

    def directory_gone(self):
        """As far as it can be emptied while others write to it."""
        for path in sorted(self.world.store.data.rglob("*"), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):
            self.world.store.data.rmdir()

    def clock(self):
        self.world.store.set_clock(self.rng.choice((-1, 1)) * self.rng.choice(
            (1, 60, 3600, 2 * DAY_S, 400 * DAY_S)))

    def stopped(self):
        process = self.world.store.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.5, 2))
        process.send_signal(signal.SIGCONT)

    def killed(self):
        self.world.store.kill()


def is_healed(world, problems):
    """Whether all is answered, all of it, and nothing is left of any fault."""
    try:
        assert world.store.request("GET", "/-/ready").status == 200, "not ready"
        world.queries.all()
        metrics = world.store.metrics()
        sick = {name: metrics[name] for name, value in HEALTH.items() if metrics[name] != value}
        assert not sick, sick
        return True
    except (Refused, OSError, AssertionError, http.client.HTTPException) as problem:
        problems.append(f"{type(problem).__name__}: {problem}")
        if isinstance(problem, Wrong):
            raise
        return False


def heal(world):
    """Seconds that it took. The bucket stays as it is meanwhile."""
    begin, problems = time.monotonic(), []
    limit = HEALED_S * (SANITIZED_TIMES if is_sanitized(world.store.command[0]) else 1)
    with world.pausing:
        try:
            wait_until("the store to heal", lambda: world.check() or is_healed(world, problems),
                       limit)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the last thing wrong: {problems[-1:]}") from None
    return time.monotonic() - begin


def chaos(world, seconds, only):
    """Rounds of faults, each with an end. Returns how long healing took."""
    faults, healed, counts = Faults(world, only), [], collections.Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(world.rng.randrange(1, 5)):
            counts[faults.begin()] += 1
            world.check()
            world.ended.wait(world.rng.uniform(0.2, 2.5))
        faults.end()
        healed.append(heal(world))
        world.note(f"healed after {healed[-1]:.1f} s")
        world.ended.wait(world.rng.uniform(0, 1))
        world.check()
    print(f"  {len(healed)} rounds: {dict(counts)}")
    return healed


def tell(world, clients, healed):
    outcomes = sum((client.outcomes for client in clients), collections.Counter())
    print(f"  answers: {dict(outcomes)}")
    print(f"  bucket: {world.writer.made} blocks written, {len(world.writer.blocks)} there, "
          f"struck: {world.proxy.stats()}")
    for text, count in world.errors.most_common(12):
        print(f"  {count:5} x {text}")
    print(f"  healed after at most {max(healed):.1f} s, {sorted(healed)[len(healed) // 2]:.1f} s "
          f"in the middle; {world.store.starts} starts")
    assert outcomes["right"] > 10 * len(healed), "hardly anything was answered"
    world.store.check_resident(MEMORY_MIB + ROOM_MIB, "chaos")


def run(world, arguments):
    clients = [Client(world, f"{arguments.seed} {number}") for number in range(CLIENTS)]
    threads = [*clients, Writing(world)]
    try:
        heal(world)
        for thread in threads:
            thread.start()
        seconds = arguments.seconds or (LONG_S if arguments.long else SHORT_S)
        healed = chaos(world, seconds, arguments.only)
        world.ended.set()
        for thread in threads:
            thread.join()
        assert world.problem is None, world.problem
        tell(world, clients, healed)
    except BaseException:
        world.ended.set()
        keep = os.environ.get("CHAOS_LOG")
        print("\n".join(["--- history:", *world.history[-100:]]))
        print(f"--- seed {arguments.seed}")
        if keep:
            pathlib.Path(keep).write_text(world.store.log_text(), encoding="utf-8")
        raise


def bucket(stack, arguments, directory):
    """(objects, address, configuration by endpoint)"""
    if arguments.minio:
        minio = stack.enter_context(Minio(arguments.minio, directory / "minio"))
        return MinioObjects(minio), minio.address, lambda address: minio.config(endpoint=address)
    folder = directory / "bucket"
    folder.mkdir()
    s3 = stack.enter_context(PlainS3(folder))
    address = f"127.0.0.1:{s3.server.server_port}"
    return lb.Folder(folder), address, lambda proxy: s3.config().replace(address, proxy)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--minio")
    parser.add_argument("--only")
    arguments = parser.parse_args()
    print(f"--seed={arguments.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        objects, address, config = bucket(stack, arguments, directory)
        writer = lb.Writer(objects, random.Random(f"{arguments.seed} writer"))
        stack.callback(writer.close)
        proxy = stack.enter_context(Proxy(address))
        store = stack.enter_context(Store(arguments.build, directory, config(proxy.address)))
        run(World(store, writer, proxy, random.Random(arguments.seed)), arguments)


if __name__ == "__main__":
    main()
