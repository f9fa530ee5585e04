#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each step of shipping two blocks goes wrong, in each way: every file operation of the
sidecar below its data directory and in a directory bucket fails, fails after it was
done, is the first on a full disk, or is the last before the process dies. What
happens is told, and caused, by tests/support/crash_at.c.

After a failure the sidecar goes on and heals by itself; after a death or a full disk
it is started anew, once more after retention has taken a block away. In the
end the bucket holds each block once, byte for byte, the state file lists those that are
still local, and no pin is left; and at no time does a block in the bucket or the state
file promise what is not there.

usage: sidecar_matrix.py <blockhouse-sidecar> <libtests_crash_at.so> <golden> [EVERY]
       EVERY: try every so manyth case only, the first one by SEED; 1 unless told
"""
import collections
import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from shipping import LABELS, Watcher, World, arguments, compare, is_settled  # noqa: E402

# At once. Most of the time of one that heals is a pause of some seconds.
JOBS = 16
TRACES = 3
SETTLE_S = 90
# Operations that must have been told, or what is preloaded does not see them.
KINDS = {"open", "create", "openat2", "read", "pread", "write", "rename", "link", "unlink",
         "fsync", "mkdir", "close", "scandir", "readdir", "nftw", "stat", "fstat",
         "access"}
READING = {"open", "openat2", "read", "pread", "scandir", "readdir", "stat", "fstat", "access",
           "copy"}  # one that has moved something does not fail
GROWING = {"create", "write", "copy", "link", "mkdir", "fsync"}
# Nothing has run there; a former run has shipped a block; nothing has run there, and
# links to files of others are refused.
STARTS = ("new", "former", "copies")
# Of all steps: what one run does at the very end, another may leave out.
MOST_MISSED = 0.02
PROBLEMS = (AssertionError, OSError, ValueError, subprocess.SubprocessError)
REFUSAL = "blockhouse-sidecar: --objstore.config: object-store configuration: "

Case = collections.namedtuple("Case", "start step nth mode")


class Tools:
    def __init__(self, program, library, golden, seed):
        self.program, self.library, self.golden = program, library, golden
        self.seed = seed
        self.prometheus = FakePrometheus(LABELS)


class Run:
    """A world with two new blocks, as it is at the start."""

    def __init__(self, tools, directory, start):
        self.tools = tools
        self.refusals = {"CRASH_REFUSE": "link data/"} if start == "copies" else {}
        self.root = os.path.join(os.path.realpath(directory), "world")
        self.world = World(self.root, tools.golden, tools.seed)
        self.watcher = Watcher(self.world)
        self.trace = os.path.join(directory, "trace")
        self.log = os.path.join(directory, "log")
        self.former = 0  # characters of it
        self.process = None
        if start == "former":
            self.world.add_block()
            self.start()
            self.settle()
            self.stop()
        for _ in range(2):
            self.world.add_block()

    def start(self, *flags, **plan):
        command = [self.tools.program, *flags,
                   *(a.replace("{port}", "0") for a in arguments(self.world,
                                                                 self.tools.prometheus))]
        environment = dict(os.environ)
        if plan:
            environment.update(plan, **self.refusals, LD_PRELOAD=self.tools.library,
                               CRASH_ROOT=self.root, CRASH_LOG=self.trace)
        self.former = len(self.text(self.log))
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment)

    def text(self, path):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def was_hit(self):
        return "\nhit\n" in self.text(self.trace)

    def says(self, text):
        """The process of now."""
        return text in self.text(self.log)[self.former:]

    def is_over(self):
        """The process has died, or has started and has nothing left to do."""
        return self.process.poll() is not None or \
            (self.says("msg=started") and is_settled(self.world))

    def settle(self):
        wait_until("every block to be shipped and recorded", self.is_over, SETTLE_S)
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"

    def heal(self):
        """Go on by itself. A bucket that cannot be opened ends the start: start again."""
        wait_until("every block to be shipped and recorded", self.is_over, SETTLE_S)
        if self.process.poll() == 1 and self.says(REFUSAL):
            self.start()
        self.settle()

    def stop(self):
        self.process.terminate()
        status = self.process.wait(timeout=40)
        assert status == 0, f"it ended with status {status}"

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def die(self):
        """Be killed by the plan; if that is not reached, when all is done."""
        wait_until("the process to die", self.is_over, SETTLE_S)
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        assert status == -signal.SIGKILL, f"it ended with status {status}"

    def run_out_of_space(self):
        wait_until("the full disk to be noticed", lambda: self.is_over() or (
            self.was_hit() and self.says("level=error")), SETTLE_S)
        self.stop()


def trace(tools, start):
    """Steps without faults: Counter of lines. What is not told each time is left out."""
    total = None
    for _ in range(TRACES):
        with tempfile.TemporaryDirectory() as directory:
            run = Run(tools, directory, start)
            try:
                run.start(CRASH_MODE="none")
                run.settle()
                run.stop()
            finally:
                run.end()
            told = collections.Counter(run.text(run.trace).splitlines())
            total = told if total is None else total & told
    return total


def modes_of(step):
    """As in crash_at.c; gone: killed, and then retention takes a block away."""
    kind = step.split(" ", 1)[0]
    yield from ("kill", "gone", "error")
    if kind not in READING:
        yield "late"
    if kind == "write":
        yield "torn"
    if kind in GROWING:
        yield "full"


def play(run, case):
    run.start(CRASH_STEP=case.step, CRASH_NTH=str(case.nth),
              CRASH_MODE=case.mode.replace("gone", "kill"))
    if case.mode in ("error", "late"):
        run.heal()
        run.watcher.look()
        run.stop()
        return
    if case.mode == "full":
        run.run_out_of_space()
    else:
        run.die()
    run.watcher.look()
    if case.mode == "gone":
        run.world.apply_retention()
    run.start()
    run.settle()
    run.stop()


def attempt(tools, case):
    """Whether the step was reached, and the seconds that it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        run = Run(tools, directory, case.start)
        # Of a former run there is a state file: it must never be away.
        run.watcher.look()
        try:
            play(run, case)
            run.watcher.look()
            compare(run.world)
        except PROBLEMS as error:
            raise AssertionError(f"{case}: {error}\n{run.text(run.log)[-6000:]}\n"
                                 f"{run.text(run.trace)[-2000:]}") from error
        finally:
            run.end()
        return run.was_hit(), time.monotonic() - began


def cases_of(tools, every):
    cases, steps = [], 0
    for start in STARTS:
        told = trace(tools, start)
        kinds = {step.split(" ", 1)[0] for step in told}
        assert KINDS <= kinds, f"not seen: {KINDS - kinds}"
        assert ("copy" in kinds) == (start == "copies"), kinds
        steps += len(told)
        cases += [Case(start, step, nth, mode) for step in told
                  for nth in sorted({1, told[step]}) for mode in modes_of(step)]
    print(f"{steps} steps, {len(cases)} cases, every {every}. of which is tried")
    return cases[tools.seed % every::every]


class Tally:
    def __init__(self):
        self.modes, self.steps = collections.Counter(), set()
        self.slowest, self.problems = (0, None), 0

    def add(self, case, future):
        try:
            was_hit, seconds = future.result()
        except AssertionError as error:
            self.problems += 1
            print(error, flush=True)
            return
        self.slowest = max(self.slowest, (seconds, case))
        if was_hit:
            self.modes[case.mode] += 1
            self.steps.add((case.start, case.step))

    def conclude(self, cases):
        missed = {(case.start, case.step) for case in cases} - self.steps
        print(f"{len(cases)} cases, of which reached {self.modes.total()}: "
              f"{dict(self.modes)}; {self.problems} failed")
        print(f"the slowest took {self.slowest[0]:.1f} s: {self.slowest[1]}")
        for start, step in sorted(missed):
            print(f"never reached: {start}: {step}")
        assert not self.problems
        return len(missed)


def main():
    every = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    tools = Tools(*(os.path.abspath(path) for path in sys.argv[1:4]), seed)
    cases = cases_of(tools, every)
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        futures = {pool.submit(attempt, tools, case): case for case in cases}
        for future in concurrent.futures.as_completed(futures):
            tally.add(futures[future], future)
    missed = tally.conclude(cases)
    assert every > 1 or missed <= MOST_MISSED * len({c[:2] for c in cases}), missed


if __name__ == "__main__":
    main()
