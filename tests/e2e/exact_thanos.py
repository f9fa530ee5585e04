#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Thanos's compactor has made of blocks is answered like what it was made of.

PromQL (exact.promql) through the store is the same before and after the compactor has merged
blocks: one after another, out-of-order ones into the others, and replicas into one.

usage: exact_thanos.py <blockhouse-store> <prometheus> <thanos> [ONLY]
       ONLY: of the parts, those whose name holds this
"""
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from daemon import dir_bucket, free_port  # noqa: E402
from exact_compare import EVERYWHERE, NATIVE, NEW, Comparison, Pair, queries  # noqa: E402
from exact_data import batches, eu  # noqa: E402
from exact_downsampled import downsampled  # noqa: E402
from exact_servers import (LEAVE_OVERLAPS, Writer, fill_bucket, metas,  # noqa: E402
                           reader, relabelled, serve, write_blocks)

CLUSTER = {"cluster": "eu"}
KNOWN = (EVERYWHERE, NATIVE, NEW)
# Empty buckets count as a change; which ones there are is up to who writes the chunk.
LAYOUT = "changes(late_native"
FLAGS = (LEAVE_OVERLAPS, "--enable-feature=promql-experimental-functions")


class World:
    def __init__(self, stack, directory, programs):
        self.stack, self.directory = stack, directory
        self.store, self.prometheus, self.thanos = programs
        self.pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))

    def compact(self, bucket, *flags):
        """All that the compactor finds to do. It reads no XOR2."""
        self.run("compact", bucket, "--consistency-delay=0s", "--delete-delay=0s",
                 f"--data-dir={bucket}-compact", f"--http-address=127.0.0.1:{free_port()}",
                 *flags)

    def run(self, command, bucket, *flags):
        config = bucket.with_suffix(".yml")
        config.write_text(dir_bucket(bucket))
        done = subprocess.run([self.thanos, *command.split(),
                               f"--objstore.config-file={config}", *flags],
                              stderr=subprocess.PIPE, text=True, check=False, timeout=300)
        assert done.returncode == 0 and "level=error" not in done.stderr, done.stderr[-4000:]

    @staticmethod
    def copy_bucket(bucket, name):
        return shutil.copytree(bucket, bucket.parent / name, copy_function=os.link,
                               dirs_exist_ok=True)

    def start_store(self, bucket, *flags):
        return self.stack.enter_context(serve(self.store, f"{bucket}-store", bucket, *flags))

    def read(self, bucket, labels, *flags):
        """A Prometheus that reads from a store over the bucket."""
        store = self.start_store(bucket, *flags)
        return self.stack.enter_context(reader(
            self.prometheus, self.directory, bucket.name + "-reader",
            f"http://127.0.0.1:{store.port}", labels, FLAGS))


def one_copy(world):
    """A bucket with out-of-order blocks beside the others."""
    writer = Writer(world.prometheus, world.directory, "writer", LEAVE_OVERLAPS)
    (blocks,) = write_blocks([writer], ((batch,) for batch in batches(list(eu()))))
    bucket = world.directory / "one"
    bucket.mkdir()
    fill_bucket(bucket, blocks, CLUSTER)
    return bucket


def merged(world, bucket):
    """One after another, and out-of-order ones into the others."""
    after = world.copy_bucket(bucket, "merged")
    world.compact(after, "--compact.enable-vertical-compaction")
    assert len(metas(after)) < len(metas(bucket)) / 4
    return Pair("merged", world.read(bucket, CLUSTER), world.read(after, CLUSTER), KNOWN,
                leave_out=LAYOUT)


def replicas_alike(world, bucket):
    """Two replicas that have seen the same become one."""
    before = relabelled(bucket, "alike", {**CLUSTER, "replica": "a"})
    after = world.copy_bucket(before, "alike-merged")
    world.copy_bucket(relabelled(bucket, "other", {**CLUSTER, "replica": "b"}, "BBBB"), after)
    world.compact(after, "--deduplication.replica-label=replica")
    assert {len(meta["thanos"]["labels"]) for meta in metas(after)} == {1}
    return Pair("replicas alike", world.read(before, {**CLUSTER, "replica": "a"}),
                world.read(after, CLUSTER), KNOWN, leave_out=LAYOUT)


def same_answers(world, only):
    """Number of differences between PromQL answers."""
    bucket = one_copy(world)
    problems = 0
    for part in (merged, replicas_alike):
        if only in part.__name__:
            pair = part(world, bucket)
            problems += Comparison(pair, world.pool).run(pair.queries(queries()))
    return problems


def main():
    *programs, only = sys.argv[1:] if len(sys.argv) == 5 else (*sys.argv[1:], "")
    with tempfile.TemporaryDirectory() as path, contextlib.ExitStack() as stack:
        world = World(stack, pathlib.Path(path), programs)
        problems = same_answers(world, only) if only != "downsampled" else 0
        if only in "downsampled":
            downsampled(world)
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
