#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run libFuzzer targets, as many at a time as there are CPUs: each for some time, then
those of decoders and encoders again and again, until these have been executed so often
in all as is wanted. Status 1: a finding, or that was not reached in time.

usage: campaign.py [--seconds N] [--executions N] [--minutes N] <directory of the targets>
                   [<target>...]
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = os.path.join(HERE, "corpus")
# What turns the bytes of blocks and of the wire into values, or values into them.
CODECS = {"chunk", "chunk_aggr", "chunk_histogram", "chunk_histogram_writer", "chunk_xor",
          "chunk_xor2", "chunk_xor_writer", "index", "index_header", "postings",
          "remote_read", "remote_read_answer", "remote_read_request", "series", "snappy"}
GRACE_S = 120  # an input may take long, and the end is told


class Target:
    """executions and seconds: of all runs so far."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[len("fuzz_"):]
        self.executions = self.seconds = 0
        self.failed = False

    def run(self, seconds):
        """A line that tells of it; what inputs were found stays for the next run."""
        folder = os.path.dirname(self.path)
        found = os.path.join(folder, "corpus", self.name)
        os.makedirs(found, exist_ok=True)
        begin = time.monotonic()
        try:
            done = subprocess.run(
                [self.path, f"-max_total_time={seconds}", "-print_final_stats=1",
                 "-verbosity=0", f"-artifact_prefix={folder}/{self.name}-", found,
                 os.path.join(SEEDS, self.name)], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=seconds + GRACE_S, check=False)
            said, status = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as problem:
            said, status = (problem.stdout or b"").decode(errors="replace"), "none: it hangs"
        executed = re.search(r"stat::number_of_executed_units: +(\d+)", said)
        count = int(executed[1]) if executed else 0
        self.executions += count
        self.seconds += time.monotonic() - begin
        self.failed |= status != 0
        return f"{self.name}: {count} executions in {seconds} s" + (
            f", status {status}\n{said[-6000:]}" if status != 0 else "")


def run_all(targets, seconds):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(lambda target: target.run(seconds), targets):
            print(line, flush=True)


def total(targets):
    return sum(target.executions for target in targets)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--executions", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("directory")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    targets = [Target(path) for path in sorted(glob.glob(f"{options.directory}/fuzz_*"))
               if os.access(path, os.X_OK)]
    targets = [one for one in targets if not options.names or one.name in options.names]
    codecs = [one for one in targets if one.name in CODECS]
    run_all(targets, options.seconds)
    while codecs and total(codecs) < options.executions and time.monotonic() < end \
            and not any(one.failed for one in targets):
        run_all(codecs, options.seconds)
    for one in targets:
        print(f"{one.name:24}{one.executions:>12}  {one.executions / one.seconds:>9.0f}/s"
              f"{'  FAILED' if one.failed else ''}")
    print(f"Decoders and encoders: {total(codecs)} executions, {options.executions} wanted")
    return not targets or any(one.failed for one in targets) \
        or total(codecs) < options.executions


if __name__ == "__main__":
    sys.exit(main())
