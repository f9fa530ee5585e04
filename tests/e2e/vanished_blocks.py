#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks are deleted under the queries that want them. Where the served set already has
what they were compacted to, a query that has sent nothing begins again and is answered in
full; else its error says to try again, and soon that succeeds, long before the next look
at the bucket is due.

usage: vanished_blocks.py <blockhouse-store>
"""
import json
import os
import shutil
import socket
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from tiny_blocks import TinyBlocks, ulid_of  # noqa: E402

# So many that a reader who does not read holds its slot, and none has a slot of its own.
TIMES = 100
STREAMED, SAMPLES = rr.pb.ReadRequest.STREAMED_XOR_CHUNKS, rr.pb.ReadRequest.SAMPLES
FLOATS = ("__name__", "=~", "bits|const|gaps|gauge_f|odd")
AGAIN = "blockhouse_store_queries_superseded_total"
SYNCED = 'thanos_blocks_meta_synced{state="%s"}'


class Bucket:
    """Blocks of groups, which are external labels; all have the same series."""

    def __init__(self, directory):
        self.directory = os.path.join(directory, "bucket")
        os.makedirs(self.directory)
        self.blocks = TinyBlocks(self.directory)
        self.sources = {}  # by block

    def add(self, group, of=None):
        """One that was compacted of another one and a third that was never here."""
        name = ulid_of(len(self.blocks.ulids))
        self.blocks.meta["thanos"] = {"version": 1, "labels": {"group": group},
                                      "downsample": {"resolution": 0}, "source": "sidecar"}
        half_made = self.directory + ".new"
        os.makedirs(half_made)
        maker = TinyBlocks(half_made)
        maker.meta, maker.ulids = self.blocks.meta, self.blocks.ulids
        maker.add()
        self.sources[name] = [name]
        if of is not None:
            self.sources[name] = self.sources[of] + [ulid_of(1000 + len(self.sources))]
            path = os.path.join(half_made, name, "meta.json")
            with open(path, encoding="utf-8") as file:
                meta = json.load(file)
            meta["compaction"] = {"level": 2, "sources": self.sources[name]}
            with open(path, "w", encoding="utf-8") as file:
                json.dump(meta, file)
        os.rename(os.path.join(half_made, name), os.path.join(self.directory, name))
        os.rmdir(half_made)
        return name

    def delete(self, name):
        os.rename(os.path.join(self.directory, name), self.directory + ".gone")
        shutil.rmtree(self.directory + ".gone")


    def delete_chunks(self, name):
        """And its meta.json, as tools do first."""
        os.remove(os.path.join(self.directory, name, "meta.json"))
        shutil.rmtree(os.path.join(self.directory, name, "chunks"))


def body(group, accepted, more=()):
    wanted = [("group", "=", group), *more]
    return rr.encode([rr.query(wanted, 0, 1 << 60)] * TIMES, accepted)


def series_path(group):
    return "/api/v1/series?" + "&".join([f"match[]={{group='{group}'}}"] * TIMES)


ASKS = {"streamed": lambda store: rr.post(store, body("b", [STREAMED])),
        "sampled": lambda store: rr.post(store, body("b", [SAMPLES], [FLOATS])),
        "series": lambda store: store.request("GET", series_path("b"))}


class Asking(threading.Thread):
    def __init__(self, store, ask):
        super().__init__(daemon=True)
        self.store, self.ask, self.answer = store, ask, None
        self.start()

    def run(self):
        self.answer = self.ask(self.store)


def unread(store, group):
    """A request whose answer nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    connection.connect(("127.0.0.1", store.port))
    request = body(group, [STREAMED])
    connection.sendall(b"POST /api/v1/read HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
                       % len(request) + request)
    return connection


def inflight(store):
    """Queries that run or wait."""
    return sum(float(line.rsplit(" ", 1)[1])
               for line in store.request("GET", "/metrics").text.splitlines()
               if line.startswith(tuple(f'http_inflight_requests{{handler="{name}"'
                                        for name in ("read", "series"))))


def store_over(program, bucket, data, interval):
    return Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={data}",
                  f"--objstore.config={dir_bucket(bucket.directory)}",
                  "--http-unready-delay=0s", f"--sync-block-duration={interval}",
                  "--store.grpc.series-max-concurrency=1")


def check_replaced(store, bucket, name, block):
    """A query waits for its slot with a set of blocks of which one is replaced."""
    wanted = ASKS[name](store)
    assert wanted.status == 200 and wanted.body, (name, wanted.status, wanted.text[:300])
    before = store.metric(AGAIN)
    wait_until("that query to end", lambda: inflight(store) == 0)
    with unread(store, "a"):
        wait_until("the slot to be taken", lambda: inflight(store) == 1)
        asking = Asking(store, ASKS[name])
        wait_until("a query to wait", lambda: inflight(store) == 2)
        new = bucket.add("b", block)
        wait_until("the new block", lambda: store.metric(SYNCED % "duplicate") == 1)
        bucket.delete(block)
    asking.join()
    got = asking.answer
    assert got.status == 200, (name, got.status, got.text[:300])
    assert got.body == wanted.body, f"{name}: another answer than before"
    assert store.metric(AGAIN) == before + 1, name
    wait_until("the old block to be gone", lambda: store.metric(SYNCED % "duplicate") == 0)
    print(f"  {name}: begun again and answered, {len(got.body)} bytes")
    return new


def check_unknown(store, bucket, name, block, *, is_compacted):
    """A block is deleted, and no new set of blocks is there."""
    wanted = ASKS[name](store)
    assert wanted.status == 200, (name, wanted.status, wanted.text[:300])
    new = bucket.add("b", block) if is_compacted else None
    if is_compacted:
        bucket.delete(block)
    else:
        bucket.delete_chunks(block)
    failed = ASKS[name](store)
    assert failed.status == 503 and failed.headers["Retry-After"], (name, failed.status)
    assert block in failed.text and "try again" in failed.text, failed.text
    wait_until(f"{name} to be answered", lambda: ASKS[name](store).status == 200)
    got = ASKS[name](store)
    assert (got.body == wanted.body) == is_compacted, f"{name}: a wrong answer"
    print(f"  {name}: {failed.text.strip()[:300]}")
    return new


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        bucket = Bucket(directory)
        bucket.add("a")
        block = bucket.add("b")
        data = os.path.join(directory, "data")
        with store_over(program, bucket, data, "1s") as store:
            for name in ASKS:
                block = check_replaced(store, bucket, name, block)
        # A new store each: one that was asked for a look might take it in the next check.
        for name in ASKS:
            with store_over(program, bucket, data, "1h") as store:
                block = check_unknown(store, bucket, name, block, is_compacted=True)
        with store_over(program, bucket, data, "1h") as store:
            check_unknown(store, bucket, "streamed", block, is_compacted=False)


if __name__ == "__main__":
    main()
