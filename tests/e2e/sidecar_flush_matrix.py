#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each step of a flush (--shipper.flush-on-shutdown) goes wrong, in each way of
sidecar_matrix.py: a file operation fails, fails after it was done, is the first on a
full disk, or is the last before the process dies.

At no time is the block of the head in the bucket without its mark, or with less than all
of its files. The next start leaves no pin, no announcement, and no snapshot, unless the
process died before it could write down its name. Blocks and snapshots of others stay.

usage: sidecar_flush_matrix.py <blockhouse-sidecar> <libtests_crash_at.so> <golden> [EVERY]
       EVERY: try every so manyth case only, the first one by SEED; 1 unless told
"""
import collections
import concurrent.futures
import os
import random
import signal
import sys
import tempfile
import time

from sidecar_matrix import JOBS, PROBLEMS, SETTLE_S, Case, Run, Tally, modes_of
from daemon import wait_until
from fake_prometheus import FakePrometheus
from shipping import LABELS, compare, make_block

FLUSH = "--shipper.flush-on-shutdown"
NAME = "29991231T235959Z-0123456789abcdef"  # of this time, or later
MARK, ANNOUNCEMENT = "no-compact-mark.json", os.path.join("thanos", "flush.json")
# Steps that must have been told, or the flush was not seen.
STEPS = {f"rename data/{ANNOUNCEMENT}", f"unlink data/{ANNOUNCEMENT}"}

Tools = collections.namedtuple("Tools", "program library golden seed prometheus")


class Flush(Run):
    """A world of two blocks that are shipped, and a head."""

    def __init__(self, tools, directory):
        self.head = None
        prometheus = FakePrometheus(LABELS, self.snapshot)
        self.server = prometheus.server
        super().__init__(tools._replace(prometheus=prometheus), directory, "new")
        self.start()
        self.settle()
        self.stop()
        self.theirs = os.path.join(self.world.data, "snapshots", "20200101T000000Z-ffff")
        make_block(self.theirs, self.world.golden[0], [])

    def path(self, *names):
        return os.path.join(self.world.data, *names)

    def snapshot(self):
        """As Prometheus makes one: links to blocks, and the head."""
        folder = self.path("snapshots", NAME)
        for ulid in self.world.blocks:
            os.makedirs(os.path.join(folder, ulid, "chunks"))
            for rel_path in ("meta.json", "index", "chunks/000001"):
                os.link(self.path(ulid, rel_path), os.path.join(folder, ulid, rel_path))
        self.head = make_block(folder, self.world.golden[0], [50000], self.world.random)
        return NAME

    def flush(self, *flags, **plan):
        """Start, be told to end, end. Returns the exit status."""
        self.start(*flags, **plan)
        wait_until("the sidecar to be ready, or to die", lambda:
                   self.process.poll() is not None or self.says("status=ready"), SETTLE_S)
        self.process.terminate()
        return self.process.wait(timeout=40)

    def look(self):
        self.watcher.look()
        committed = set(os.listdir(self.world.bucket)) - set(self.world.blocks)
        for ulid in committed:
            folder = os.path.join(self.world.bucket, ulid)
            assert ulid == self.head, f"{ulid} is in the bucket"
            if os.path.exists(os.path.join(folder, "meta.json")):
                with open(os.path.join(folder, MARK), encoding="utf-8") as file:
                    assert f'"id":"{ulid}"' in file.read()

    def check_end(self, was_named):
        """After the next start."""
        self.look()
        assert not os.path.exists(self.path(ANNOUNCEMENT)), "the announcement is left"
        left = set(os.listdir(self.path("snapshots"))) - {os.path.basename(self.theirs)}
        assert not left or (left == {NAME} and not was_named), f"{left} is left"
        assert os.listdir(self.theirs), "a snapshot of somebody else is gone"
        head = os.path.join(self.world.bucket, self.head or "none")
        if os.path.exists(os.path.join(head, "meta.json")):
            os.rename(head, os.path.join(self.root, "head"))
        elif os.path.exists(head):
            os.rename(head, os.path.join(self.root, "partial"))
        compare(self.world)

    def was_named(self):
        """Whether it is written down which snapshot is ours, or none is left."""
        text = self.text(self.path(ANNOUNCEMENT))
        return NAME in text or not os.path.exists(self.path("snapshots", NAME))


def trace(tools, *flags):
    with tempfile.TemporaryDirectory() as directory:
        run = Flush(tools, directory)
        try:
            assert run.flush(*flags, CRASH_MODE="none") == 0
            assert bool(flags) == (run.head is not None)
            run.look()
            return collections.Counter(run.text(run.trace).splitlines())
        finally:
            run.end()
            run.server.shutdown()


def attempt(tools, case):
    """As that of sidecar_matrix."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        run = Flush(tools, directory)
        try:
            status = run.flush(FLUSH, CRASH_STEP=case.step, CRASH_NTH=str(case.nth),
                               CRASH_MODE=case.mode)
            assert status == (-signal.SIGKILL if case.mode in ("kill", "torn") and
                              run.was_hit() else 0), f"it ended with status {status}"
            was_named = run.was_named()
            run.look()
            run.start()
            run.settle()
            run.stop()
            run.check_end(was_named)
        except PROBLEMS as error:
            raise AssertionError(f"{case}: {error}\n{run.text(run.log)[-6000:]}\n"
                                 f"{run.text(run.trace)[-2000:]}") from error
        finally:
            run.end()
            run.server.shutdown()
        return run.was_hit(), time.monotonic() - began


def cases_of(tools, every):
    """Of the operations that only a run with a flush does. Of the same seed comes the
    same head."""
    usual, told = trace(tools), trace(tools, FLUSH)
    steps = told - usual
    assert STEPS <= set(steps), f"not seen: {STEPS - set(steps)}"
    cases = [Case("new", step, nth, mode) for step in steps
             for nth in sorted({usual[step] + 1, told[step]})
             for mode in modes_of(step) if mode != "gone"]
    print(f"{len(steps)} steps, {len(cases)} cases, every {every}. of which is tried")
    return cases[tools.seed % every::every]


def main():
    every = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    tools = Tools(*(os.path.abspath(path) for path in sys.argv[1:4]), seed, None)
    cases = cases_of(tools, every)
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        futures = {pool.submit(attempt, tools, case): case for case in cases}
        for future in concurrent.futures.as_completed(futures):
            tally.add(futures[future], future)
    tally.conclude(cases)


if __name__ == "__main__":
    main()
