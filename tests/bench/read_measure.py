# SPDX-License-Identifier: Apache-2.0
"""Asks servers in turns, so that other work of the machine meets them all, and keeps what
each took."""
import contextlib
import math
import statistics
import sys
import threading

BATCH_S = 0.2
MOST_IN_BATCH = 40
LOOK_S = 0.02


class Watch:
    """The largest private memory while something runs: the kernel keeps no peak of it."""

    def __init__(self, server):
        self.server, self.private = server, math.nan
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        self.private = self.server.memory_mib("RssAnon")
        while not self.over.wait(LOOK_S):
            self.private = max(self.private, self.server.memory_mib("RssAnon"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Took:
    """What one server took for one question. Seconds, MiB, CPU seconds of a request."""

    def __init__(self, name, question):
        self.name, self.question = name, question
        self.runs, self.cpu_total = [], 0
        self.idle = self.peak = self.private = 0
        self.requests = []  # to MinIO, for the first and for a later one, if counted
        self.first = None
        self.size, self.sizes = None, set()

    def begin(self, server):
        """Before the first request."""
        self.idle = max(self.idle, server.memory_mib("VmRSS"))
        server.forget_peak()

    def ask(self, server, runs=1):
        """Runs of which the time counts."""
        before = server.cpu_s()
        self.runs += self.ask_unclocked(server, runs)
        self.cpu_total += server.cpu_s() - before

    def ask_unclocked(self, server, runs=1):
        with Watch(server) as watch:
            found = server.ask(self.question, runs)
        self.private = max(self.private, watch.private)
        self.peak = max(self.peak, server.memory_mib("VmHWM"))
        self.sizes |= {run.size for run in found}
        return found

    def verify(self, server):
        """The answer is right; check() tells whether the others were like it."""
        self.size, *counts = server.verify(self.question)
        if counts != [self.question.series, self.question.samples]:
            sys.exit(f"{self.name}: {counts} series and samples for {self.question}")

    def check(self):
        if self.sizes != {self.size * self.question.at_once}:
            sys.exit(f"{self.name}: answers of {self.sizes} bytes, not of {self.size} each")

    def batch(self):
        """More at a time of the short ones: CPU time is counted in ticks of 10 ms."""
        return max(1, min(int(BATCH_S / self.first.seconds), MOST_IN_BATCH))

    @property
    def cpu(self):
        return self.cpu_total / len(self.runs)

    @property
    def min(self):
        return min(run.seconds for run in self.runs)

    @property
    def median(self):
        return statistics.median(run.seconds for run in self.runs)

    @property
    def first_byte(self):
        return min(run.first_byte_s for run in self.runs)


@contextlib.contextmanager
def counted(relay, took, runs=1):
    """Keep the number of requests to MinIO that each of the runs inside needs."""
    before = relay and relay.requests()
    yield
    if relay:
        took.requests.append((relay.requests() - before) // runs)


def by_name(found):
    for took in found:
        took.check()
    return {took.name: took for took in found}


def compare(question, servers, runs, relay=None):
    """{name: Took}. All of the servers run meanwhile, but only one has work at a time."""
    return compare_each([(server, question) for server in servers], runs, relay)


def compare_each(asked, runs, relay=None):
    """The same, where each server has a question of its own."""
    pairs = []
    with contextlib.ExitStack() as stack:
        for server, question in asked:
            took = Took(server.name, question)
            pairs.append((took, stack.enter_context(server)))
            took.begin(server)
            if relay:
                relay.settle()
            with counted(relay, took):
                (took.first,) = took.ask_unclocked(server)
            took.verify(server)
        for turn in range(runs):
            for took, server in pairs:
                with counted(relay if turn == 0 else None, took, took.batch()):
                    took.ask(server, took.batch())
    return by_name([took for took, _ in pairs])


def compare_afresh(question, makers, runs, relay):
    """{name: Took}, where each request is the first of a new process."""
    found = {}
    for _ in range(runs):
        for maker in makers:
            with maker() as server:
                relay.settle()
                took = found.setdefault(server.name, Took(server.name, question))
                took.begin(server)
                with counted(relay, took):
                    took.ask(server)
                took.verify(server)
    for took in found.values():
        took.first, took.requests = took.runs[0], [max(took.requests)]
    return by_name(list(found.values()))
