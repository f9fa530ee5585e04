#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""While every slot of the store is taken by a reader that does not read, every place in
its queue is taken, too, and silent connections take the rest, probes and metrics are
answered, further queries are refused at once, and small ones are answered in their lane.

usage: full_house.py <blockhouse-store>
"""
import contextlib
import glob
import json
import os
import shutil
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402

SLOTS, QUEUE = 20, 80
SILENT = 300
# More than sockets take in.
REQUEST = rr.encode([rr.query([("__name__", "!=", "")], 0, 1 << 60)] * 100,
                    [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS])


def reader(store):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    connection.connect(("127.0.0.1", store.port))
    connection.sendall(b"POST /api/v1/read HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
                       % len(REQUEST) + REQUEST)
    return connection


def inflight(store):
    [line] = [line for line in store.request("GET", "/metrics").text.splitlines()
              if line.startswith('http_inflight_requests{handler="read"')]
    return float(line.rsplit(" ", 1)[1])


def is_alive(store):
    try:
        return store.request("GET", "/-/ready").status == 200
    except OSError:
        return False


def probes_answer(store, when):
    slowest = 0
    for path in ("/-/ready", "/-/healthy", "/metrics") * 5:
        begin = time.monotonic()
        assert store.request("GET", path).status == 200, path
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 1, f"{slowest} s {when}"
    print(f"  slowest probe {when}: {slowest * 1000:.0f} ms")


def queries_are_refused(store):
    begin = time.monotonic()
    answer = rr.post(store, REQUEST)
    assert answer.status == 503 and answer.headers["Retry-After"], answer.text
    everything = "&".join(["match[]={__name__=~'.%2B'}"] * 100)
    answer = store.request("GET", "/api/v1/labels?" + everything)
    assert answer.status == 503 and answer.headers["Retry-After"], answer.text
    assert json.loads(answer.body)["errorType"] == "unavailable", answer.text
    assert time.monotonic() - begin < 1


def small_queries_are_answered(store):
    answer = store.request("GET", "/api/v1/labels")
    assert answer.status == 200, answer.text
    answer = rr.post(store, rr.encode([rr.query([("__name__", "!=", "")], 0, 1 << 60)],
                                     [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS]))
    assert answer.status == 200, answer.text


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        for block in glob.glob(os.path.join(HERE, "..", "golden", "xor", "0*")):
            shutil.copytree(block, os.path.join(bucket, os.path.basename(block)))
        with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s",
                    f"--store.grpc.series-max-concurrency={SLOTS}") as store:
            with contextlib.ExitStack() as readers:
                for _ in range(SLOTS + QUEUE):
                    readers.enter_context(reader(store))
                wait_until("all to be in", lambda: inflight(store) == SLOTS + QUEUE)
                assert store.metric("thanos_bucket_store_series_gate_queries_in_flight") == SLOTS
                probes_answer(store, "beside all queries")
                queries_are_refused(store)
                small_queries_are_answered(store)
                for _ in range(SILENT):
                    readers.enter_context(store.connect())
                wait_until("room", lambda: is_alive(store))
                probes_answer(store, "beside silent connections, too")
                assert inflight(store) == SLOTS + QUEUE, "a reader was cut for a silent one"
            wait_until("all to be gone", lambda: inflight(store) == 0)
            assert store.request("GET", "/api/v1/labels").status == 200


if __name__ == "__main__":
    main()
