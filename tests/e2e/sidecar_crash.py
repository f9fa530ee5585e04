#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sidecar killed at random moments, over and over; sidecar_crash.sh says why.

usage: sidecar_crash.py <blockhouse-sidecar> <kills> <folder of golden blocks>
"""
import os
import random
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from shipping import (LABELS, Watcher, World, arguments, compare,  # noqa: E402
                      is_settled)

# A run lives for a part of this; shipping one block takes some ten milliseconds.
LONGEST_RUN_S = 0.25
BLOCKS_PER_RUN = 2


def run_and_kill(daemon, world):
    """Start, let blocks come and go, kill at a random moment."""
    with open(daemon.log.name, "a", encoding="utf-8") as log:
        process = subprocess.Popen(daemon.command, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
    kill_at = time.monotonic() + random.uniform(0, LONGEST_RUN_S)
    for _ in range(BLOCKS_PER_RUN):
        world.add_block()
    world.apply_retention()
    try:
        process.wait(timeout=max(0.0, kill_at - time.monotonic()))
        raise AssertionError("the sidecar ended by itself:\n" + daemon.log_text()[-4000:])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main():
    program, kills, golden = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"{kills} kills, SEED={seed}")
    random.seed(seed)
    prometheus = FakePrometheus(LABELS)
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, golden, seed)
        watcher = Watcher(world)
        watcher.start()
        killed = Daemon(program, *arguments(world, prometheus))
        for _ in range(kills):
            run_and_kill(killed, world)
            watcher.check()
        in_the_open = len(watcher.commits)
        with Daemon(program, *arguments(world, prometheus)) as sidecar:
            wait_until("every block to be shipped and recorded",
                       lambda: watcher.check() or is_settled(world), seconds=120)
            wait_until("the metric to say that no pin is left",
                       lambda: sidecar.metric("blockhouse_sidecar_pinned_blocks") == 0)
        watcher.finish()
        compare(world)
        print(f"{len(world.blocks)} blocks, {in_the_open} of them shipped between kills, "
              f"{len(world.local_blocks())} still local; {watcher.looks} looks at the bucket")


if __name__ == "__main__":
    main()
