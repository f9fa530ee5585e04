#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PromQL answers are the same bits, whether Prometheus has the blocks on its disk or reads
them from their bucket through the store.

Two clusters are written by two Prometheus servers of their own, one with XOR2 and start
times, one with the defaults; a third one, with the defaults, is told both with the external
labels in the series. The blocks of the first two are the bucket. Then exact.promql is asked
in pairs: of who has the blocks of "eu" or of both on its disk, and of who has nothing and
reads from the store; as streamed to Prometheus 3.16, as streamed to an older one, as samples
to either, and to Prometheus 2.42.

usage: exact.py <blockhouse-store> <prometheus 3.16> <prometheus 2.42 or nothing> [ONLY]
       ONLY: of the pairs, those whose name holds this
"""
import concurrent.futures
import contextlib
import functools
import os
import pathlib
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from exact_compare import (CLUSTERS, EVERYWHERE, NATIVE, NEW, TIMES, Comparison,  # noqa: E402
                           Pair, queries)
from exact_data import batches, eu, us  # noqa: E402
from exact_servers import (LEAVE_OVERLAPS, START_TIMES, TO_HAVE, XOR2, Disguise,  # noqa: E402
                           Prometheus, Writer, fill_bucket, reader, serve, write_blocks)

EU, US = {"cluster": "eu", "replica": "a"}, {"cluster": "us", "replica": "b"}
OLDER = "Prometheus/3.5.0"
NEW_FLAGS = (LEAVE_OVERLAPS, "--enable-feature=promql-experimental-functions")
OLD_KINDS, NEW_KINDS = {1, 2, 3}, {4, 5, 6}  # of chunks
USE_START_TIMES = {"X-Prometheus-Use-Start-Timestamps": "true"}


def write_clusters(program, directory):
    """The blocks of eu, of us, and of both with their external labels."""
    writers = (Writer(program, directory, "write-eu", START_TIMES, LEAVE_OVERLAPS, tsdb=XOR2),
               Writer(program, directory, "write-us", longest=6),
               Writer(program, directory, "write-both", longest=6))
    both = ((one, other, [({**labels, **extra}, *points)
                          for series, extra in ((one, EU), (other, US))
                          for labels, *points in series])
            for one, other in zip(batches(list(eu())), batches(list(us()))))
    return write_blocks(writers, both)


def kinds_of(snapshot):
    """Types of the chunks in it."""
    kinds = set()
    for path in snapshot.glob("*/chunks/*"):
        data, at = path.read_bytes(), 8
        while at < len(data):
            size = shift = 0
            while True:
                byte, at = data[at], at + 1
                size |= (byte & 0x7f) << shift
                shift += 7
                if byte < 0x80:
                    break
            kinds.add(data[at])
            at += 1 + size + 4
    return kinds


class Servers:
    """They run until the stack ends."""

    def __init__(self, stack, directory, snapshots, store):
        self.stack, self.directory, self.snapshots, self.store = \
            stack, directory, snapshots, store

    def have(self, program, cluster):
        name = f"{cluster}-of-{pathlib.Path(program).parent.name}"
        shutil.copytree(self.snapshots[cluster], self.directory / name, copy_function=os.link)
        return self.stack.enter_context(
            Prometheus(program, self.directory, name, {}, (*TO_HAVE, *flags(program))))

    def read(self, program, name, through=None, external_labels=None):
        url = through.url if through else f"http://127.0.0.1:{self.store.port}"
        return self.stack.enter_context(
            reader(program, self.directory, name, url, external_labels, flags(program)))

    def disguise(self, **how):
        return self.stack.enter_context(Disguise(self.store, **how))


def flags(program):
    return NEW_FLAGS if program == sys.argv[2] else ()


def pairs(servers, new, old):
    """Of each what makes it, so that only what is wanted is started."""
    known = (EVERYWHERE, NATIVE, NEW)
    on_disk = functools.cache(servers.have)

    def read(program, name, cluster, sections, through=None, **more):
        is_eu = cluster == "eu"
        return Pair(name, on_disk(program, cluster),
                    servers.read(program, name, through, EU if is_eu else None), sections,
                    **more)

    yield "streamed with start times", lambda name: read(
        new, name, "eu", (*known, TIMES), headers=USE_START_TIMES)
    yield "streamed of two clusters", lambda name: read(
        new, name, "both", (EVERYWHERE, NATIVE, CLUSTERS))
    yield "streamed to an older one", lambda name: read(
        new, name, "eu", known, servers.disguise(kinds=OLD_KINDS, user_agent=OLDER))
    # Prometheus loses the first histogram behind a float of a sampled series when it has
    # looked for a float twice in a row (concreteSeriesIterator.Seek of 3.16).
    yield "sampled", lambda name: read(
        new, name, "eu", known, servers.disguise(kinds={Disguise.SAMPLES}),
        leave_out="changed_type")
    if old:
        yield "Prometheus 2.42", lambda name: read(old, name, "both", (EVERYWHERE, CLUSTERS))


def main():
    store_program, new, old, *only = sys.argv[1:]
    sections = queries()
    count = sum(map(len, sections.values()))
    assert count >= 200, count
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as path, contextlib.ExitStack() as stack:
        directory = pathlib.Path(path)
        eu_blocks, us_blocks, both_blocks = write_clusters(new, directory)
        assert kinds_of(eu_blocks) == NEW_KINDS and kinds_of(us_blocks) == OLD_KINDS
        bucket = directory / "bucket"
        bucket.mkdir()
        fill_bucket(bucket, eu_blocks, EU)
        fill_bucket(bucket, us_blocks, US)
        print(f"{count} queries, {len(list(bucket.iterdir()))} blocks made in "
              f"{time.monotonic() - begin:.1f} s", flush=True)
        store = stack.enter_context(serve(store_program, directory / "store", bucket))
        servers = Servers(stack, directory, {"eu": eu_blocks, "both": both_blocks}, store)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))
        problems = 0
        for name, make in pairs(servers, new, old):
            if not only or only[0] in name:
                pair = make(name)
                problems += Comparison(pair, pool).run(pair.queries(sections))
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
