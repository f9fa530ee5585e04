#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A store whose bucket is full of broken blocks, and whose clients are broken or hostile,
goes on serving the one good block, within bounded memory.

usage: garbage_store.py <directory of the programs> [<folder of golden blocks>]
"""
import concurrent.futures
import glob
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from garbage_blocks import break_blocks  # noqa: E402

READ = "/api/v1/read"
MAX_BODY = 8 << 20
MEMORY_LIMIT_MIB = 256
# The limit is on queries and caches; beside it there are stacks, the sockets' buffers,
# and what the allocator keeps.
RESIDENT_LIMIT_MIB = MEMORY_LIMIT_MIB + 96
EVERYTHING = [("__name__", "=~", ".*")]


class Subject:
    """The store and what it must go on answering."""

    def __init__(self, store):
        self.store = store
        self.right = self.read()
        assert self.right, "the good block is not served"

    def read(self):
        return rr.read_streamed(self.store, [rr.query(EVERYTHING, 0, 1 << 62)])

    def still_well(self, after):
        assert self.store.request("GET", "/-/healthy").status == 200, after
        assert self.store.request("GET", "/-/ready").status == 200, after
        assert self.read() == self.right, f"another answer after {after}"
        self.store.check_resident(RESIDENT_LIMIT_MIB, after)

    def refuses(self, body, statuses=(400,), word=""):
        answer = rr.post(self.store, body)
        assert answer.status in statuses, (answer.status, answer.text, body[:100])
        assert word in answer.text and answer.text.strip(), answer.text
        return answer

    def raw(self, data, seconds=5):
        """Send bytes, return what comes back until the end or silence."""
        with self.store.connect(seconds) as connection:
            received = b""
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    received += piece
            except (socket.timeout, ConnectionError):
                pass
            return received


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def wrong_methods(subject):
    store = subject.store
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"):
        answer = store.request(method, READ)
        assert answer.status == 405, (method, answer.status)
        assert "POST" in answer.headers["Allow"], answer.headers
    assert store.request("OPTIONS", READ).status == 204
    for path in ("/", "/metrics", "/-/ready", "/-/healthy"):
        assert store.request("POST", path, body=b"x").status == 405
        assert store.request("HEAD", path).status == 200
    for path in ("/api/v1/rea", "/api/v1/read/", "/../../etc/passwd", "//"):
        assert store.request("POST", path, body=b"x").status == 404, path
    for path in ("/%00", "/%", "/-/ready%00", "/api/v1/label/%zz/values"):
        assert store.request("POST", path, body=b"x").status == 400, path
    subject.still_well("wrong methods and paths")


def wrong_snappy(subject):
    subject.refuses(b"")
    subject.refuses(b"\xff" * 20)
    subject.refuses(b"sNaPpY and no block")
    subject.refuses(uvarint(100) + b"\x00")
    subject.refuses(uvarint(4) + b"\x01\xff\x00\x00")  # a copy from before the begin
    body = rr.encode([rr.query(EVERYTHING, 0, 1)], ())
    for encoding in ("gzip", "zstd", "snappy, gzip", "x" * 100):
        answer = subject.store.request("POST", READ, body=body,
                                       headers={"Content-Encoding": encoding})
        assert answer.status == 400, encoding
        assert f'Content-Encoding "{encoding[:32]}"' in answer.text, answer.text
        assert "in snappy only" in answer.text, answer.text
    for headers in ({}, {"Content-Encoding": "Snappy"}):
        assert subject.store.request("POST", READ, body=body, headers=headers).status == 200
    subject.still_well("wrong snappy")


def bombs(subject):
    for claimed in ((1 << 32) - 1, 1 << 32, (1 << 64) - 1, MAX_BODY + 1):
        subject.refuses(uvarint(claimed) + b"\x00" * 16, (400, 413))
    zeros = rr.snappy.compress(bytes(MAX_BODY))
    assert len(zeros) < MAX_BODY // 10
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for answer in pool.map(lambda _: rr.post(subject.store, zeros), range(48)):
            assert answer.status in (400, 413, 422, 429, 503), answer.text
    subject.still_well("snappy bombs")


def wrong_protobuf(subject):
    for message in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05\x08", b"\x00\x00",
                    b"\x0a\x02\x1a\x7f", b"\x0b" * 5000, b"plain text"):
        subject.refuses(rr.snappy.compress(message))
    wrong_type = rr.query(EVERYTHING, 0, 1)
    wrong_type.matchers[0].type = 9
    subject.refuses(rr.encode([wrong_type], []))
    subject.refuses(rr.snappy.compress(b"\x10\x07"))  # accepts answers of type 7 only
    subject.still_well("wrong protobuf")


def mutated_requests(subject):
    choose = random.Random(1)
    good = rr.pb.ReadRequest(
        queries=[rr.query([("__name__", "=~", "n.*|p"), ("a", "!=", "1")], 0, 1 << 62)],
        accepted_response_types=[1]).SerializeToString()
    for _ in range(500):
        message = bytearray(good)
        for _ in range(choose.randint(1, 4)):
            message[choose.randrange(len(message))] = choose.randrange(256)
        cut = bytes(message[:choose.randint(1, len(message))])
        answer = rr.post(subject.store, rr.snappy.compress(cut))
        assert answer.status in (200, 400, 422, 501), (answer.status, answer.text)
    subject.still_well("500 mutated requests")


def hostile_matchers(subject):
    def query(*matchers):
        return rr.encode([rr.query(matchers, 0, 1 << 62)], [1])

    for pattern in ("(", "a**", "[z-a]", "(?<!x)y", r"(a)\1", "a)|(b", r"\C", "(?P<n",
                    "x{1001}", "((a{100}){100}){100}", "(" * 20000, "a" * 5_000_000 + "("):
        answer = subject.refuses(query(("__name__", "=~", pattern)), (400, 413, 422))
        assert len(answer.text) < 10000, "the message repeats the whole pattern"
    subject.refuses(query(*[("__name__", "=~", f"a{i}.*b") for i in range(20000)]),
                    (400, 413, 422))
    subject.refuses(rr.encode([rr.query(EVERYTHING, 0, 1)] * 5000, [1]), (400, 413, 422))
    slow = rr.post(subject.store, query(("__name__", "=~", "(.*)*(.*)*(.*)*z")))
    assert slow.status == 200, slow.text
    reversed_range = rr.encode([rr.query(EVERYTHING, 1 << 62, 0)], [1])
    assert rr.post(subject.store, reversed_range).status in (200, 400)
    subject.still_well("hostile matchers")


def oversize_bodies(subject):
    head = f"POST {READ} HTTP/1.1\r\nHost: x\r\n"
    for length in (MAX_BODY + 1, 1 << 40, (1 << 64) - 1):
        answer = subject.raw(f"{head}Content-Length: {length}\r\n"
                             "Expect: 100-continue\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    for length in ("1" * 30, "-1", "x", "1 2"):
        answer = subject.raw(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413")), (length, answer[:99])
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    for _ in range(3):
        answer = subject.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
                             + piece * (2 * MAX_BODY // 0x10000))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413"), answer[:200]
    subject.still_well("oversize bodies")


def ambiguous_requests(subject):
    body = "\r\n\r\n0\r\n\r\n"
    for extra in ("Content-Length: 5\r\nTransfer-Encoding: chunked" + body,
                  "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                  "Transfer-Encoding: gzip" + body):
        answer = subject.raw(f"POST {READ} HTTP/1.1\r\nHost: x\r\n{extra}".encode(), 2)
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"501"), answer[:200]
    answer = subject.raw("GET /metrics HTTP/1.1\r\n\r\n".encode(), 2)
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
    long_header = f"GET /metrics HTTP/1.1\r\nHost: x\r\nX: {'y' * (1 << 20)}\r\n\r\n"
    for request in (long_header, "GET " + "/a" * (1 << 20) + " HTTP/1.1\r\n\r\n",
                    "\0\1\2\3\xff\xfe", "GET\r\n\r\n", "\r\n" * 1000,
                    "GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00"):
        answer = subject.raw(request.encode("latin-1"), 1)
        assert answer == b"" or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:200]
    subject.still_well("ambiguous and unreadable requests")


def slow_clients(subject):
    """Headers that dribble and bodies that never end hold a connection, nothing more."""
    held = []
    try:
        for i in range(60):
            connection = subject.store.connect()
            held.append(connection)
            connection.sendall(b"POST " + READ.encode() + b" HTTP/1.1\r\nHost: x\r\n")
            if i % 2:
                connection.sendall(b"Content-Length: 1000\r\n\r\nabc")
        for _ in range(5):
            for connection in held:
                connection.sendall(b"X: y\r\n")
            started = time.monotonic()
            assert subject.store.request("GET", "/-/ready").status == 200
            assert time.monotonic() - started < 2, "a probe waited for slow clients"
        subject.still_well("60 slow clients, still connected")
    finally:
        for connection in held:
            connection.close()
    subject.still_well("60 slow clients")


def readers_who_leave(subject):
    body = rr.encode([rr.query(EVERYTHING, 0, 1 << 62)], [1])
    request = (f"POST {READ} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
               .encode() + body)
    for i in range(100):
        with subject.store.connect() as connection:
            connection.sendall(request[:-1] if i % 3 == 0 else request)
            if i % 3 == 1:
                connection.recv(100)
            # Reset instead of an orderly close.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
    subject.still_well("100 readers who left")


def many_connections(subject):
    held = []
    try:
        for _ in range(700):
            try:
                held.append(subject.store.connect(2))
            except OSError:
                break
        print(f"  {len(held)} idle connections opened")
    finally:
        for connection in held:
            connection.close()

    def serves_again():
        try:
            return subject.store.request("GET", "/-/ready", timeout=2).status == 200
        except OSError:
            return False

    wait_until("probes after a flood of connections", serves_again, 10)
    subject.still_well("a flood of connections")


def broken_blocks_are_named(subject, broken):
    """Each is in the log or in a metric's state, and none is served."""
    log = subject.store.log_text()
    unnamed = [name for name, why in broken.items() if why and name not in log]
    assert not unnamed, f"not named in the log: {[(n, broken[n]) for n in unnamed]}"
    loaded = subject.store.metric("thanos_bucket_store_blocks_loaded")
    assert loaded == 1, f"{loaded} blocks loaded"
    print(f"  {len(broken)} broken blocks, all named, one good block served")


def main():
    program = os.path.join(sys.argv[1], "blockhouse-store")
    golden = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "golden")
    [good] = glob.glob(os.path.join(golden, "xor", "0*"))
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        shutil.copytree(good, os.path.join(bucket, os.path.basename(good)))
        broken = break_blocks(good, bucket)
        write(os.path.join(bucket, "README.txt"), "not a block")
        write(os.path.join(bucket, "debug", "metas", "x.json"), "{}")
        with Daemon(program, "--http-address=127.0.0.1:{port}",
                    f"--data-dir={directory}/data", "--sync-block-duration=1s",
                    f"--store.memory-limit={MEMORY_LIMIT_MIB}MiB",
                    f"--objstore.config={dir_bucket(bucket)}") as store:
            subject = Subject(store)
            broken_blocks_are_named(subject, broken)
            for trial in (wrong_methods, wrong_snappy, bombs, wrong_protobuf,
                          mutated_requests, hostile_matchers, oversize_bodies,
                          ambiguous_requests, slow_clients, readers_who_leave,
                          many_connections):
                trial(subject)


if __name__ == "__main__":
    main()
