#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A day without the bucket, and retention of a quarter of it: every block arrives.

An hour is a part of a second. Blocks appear, retention deletes those that are six hours
old, shipped or not, and the sidecar is killed at random moments and stays away for up
to two hours, while the bucket closes connections or answers 503. Then the bucket comes
back, and in the end it holds each block once, byte for byte.

usage: sidecar_outage.py <blockhouse-sidecar> <folder of golden blocks>
"""
import collections
import os
import random
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import s3_verifier  # noqa: E402
from daemon import Daemon, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from shipping import (LABELS, Watcher, World, arguments, compare,  # noqa: E402
                      delete_block, is_settled)

HOUR_S = 0.7
DAY_HOURS = 24
RETENTION_HOURS = 6
LONGEST_AWAY_HOURS = 2
BLOCKS_PER_HOUR = 2
KILLS = 6
KEYS = "AKIAOUTAGE", "secret-of-outage"


class Unreliable(s3_verifier.Handler):
    """Down, it closes each other connection without a word and answers 503 to the rest."""

    def parse_request(self):
        bucket = self.server.owner
        if not super().parse_request():
            return False
        if not bucket.is_down:
            return True
        bucket.failed += 1
        self.close_connection = True
        if bucket.failed % 2 == 0:
            self.send_error(503)
        return False


class Bucket(s3_verifier.Verifier):
    def __init__(self):
        super().__init__()
        self.is_down, self.failed = False, 0
        self.server.RequestHandlerClass = Unreliable
        self.add_key(*KEYS)
        self.mirrored = {}

    def mirror(self, directory):
        """Write down what is new; a block's meta.json is new only once."""
        for key, stored in dict(self.objects).items():
            if self.mirrored.get(key) is stored:
                continue
            assert key not in self.mirrored or not key.endswith("/meta.json"), \
                f"{key}: committed a second time"
            self.mirrored[key] = stored
            path = os.path.join(directory, key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(stored.data)


class Day:
    """What happens when, in hours since the day began."""

    def __init__(self, rng):
        self.events = collections.deque(sorted(
            [(n / BLOCKS_PER_HOUR, "block") for n in range(DAY_HOURS * BLOCKS_PER_HOUR)]
            + list(self.absences(rng))))
        self.start = time.monotonic()

    @staticmethod
    def absences(rng):
        """The last ends two hours before the bucket comes back."""
        each = (DAY_HOURS - LONGEST_AWAY_HOURS) / KILLS
        for n in range(KILLS):
            at = n * each + rng.uniform(0, each - LONGEST_AWAY_HOURS)
            yield at, "kill"
            yield at + rng.uniform(0, LONGEST_AWAY_HOURS), "start"

    def now(self):
        return (time.monotonic() - self.start) / HOUR_S

    def wait(self, hours):
        wait_until(f"hour {hours}", lambda: self.now() >= hours, DAY_HOURS * HOUR_S)


class Outage:
    def __init__(self, directory, program, golden, rng):
        self.world = World(directory, golden, rng.random())
        self.watcher = Watcher(self.world)
        self.bucket = Bucket()
        self.born = {}  # ULID: hour, of those that are still there
        bucket = self.bucket.yaml(f"access_key: {KEYS[0]}", f"secret_key: {KEYS[1]}")
        self.command = program, *arguments(self.world, FakePrometheus(LABELS), bucket)
        self.sidecar = None

    def run(self, day):
        for hour, event in day.events:
            day.wait(hour)
            if event == "block":
                self.born[self.world.add_block()] = hour
                self.apply_retention(hour)
            elif event == "start":
                self.launch()
            else:
                self.kill()
            self.look()
        day.wait(DAY_HOURS)

    def apply_retention(self, hour):
        for ulid in [u for u in self.born if self.born[u] <= hour - RETENTION_HOURS]:
            delete_block(self.world.data, ulid)
            del self.born[ulid]

    def launch(self):
        self.sidecar = Daemon(*self.command, ready="/-/healthy")
        self.sidecar.__enter__()

    def kill(self):
        if self.sidecar is not None:
            self.sidecar.process.kill()
            self.sidecar.process.wait()

    def look(self):
        self.bucket.mirror(self.world.bucket)
        self.watcher.look()

    def is_settled(self):
        self.look()
        return is_settled(self.world)

    def settle(self):
        wait_until("every block to arrive", self.is_settled, seconds=120)


def play(outage, rng):
    outage.launch()
    outage.world.add_block()
    outage.settle()
    outage.bucket.is_down = True
    outage.run(Day(rng))
    world = outage.world
    assert len(os.listdir(world.bucket)) == 1, "a block arrived during the outage"
    gone = len(world.blocks) - len(world.local_blocks())
    assert gone >= (DAY_HOURS - RETENTION_HOURS - 1) * BLOCKS_PER_HOUR, gone
    outage.bucket.is_down = False
    back = time.monotonic()
    outage.settle()
    compare(world)
    print(f"{len(world.blocks)} blocks, {gone} of them deleted before the bucket came back, "
          f"{outage.bucket.failed} requests in vain; all there "
          f"{time.monotonic() - back:.1f} s after")


def main():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        outage = Outage(directory, *(os.path.abspath(path) for path in sys.argv[1:3]), rng)
        try:
            play(outage, rng)
            assert outage.sidecar.stop() == 0, "it did not end well"
        except BaseException:
            if outage.sidecar is not None:
                print(outage.sidecar.log_text()[-6000:])
            raise
        finally:
            outage.kill()


if __name__ == "__main__":
    main()
