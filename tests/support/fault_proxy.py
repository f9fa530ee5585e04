#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stand between an HTTP client and its server and let go wrong what a rule names.

usage: fault_proxy.py LISTEN UPSTREAM CONTROL [CERTIFICATE KEY]
       LISTEN, UPSTREAM, CONTROL: host:port      CERTIFICATE KEY: speak TLS to clients

Heads pass byte by byte, Host among them, so that signatures stay valid. CONTROL takes
one command a line and answers each with a line, "ok" or "error: ...":

  fault KIND [NAME=VALUE]...  a rule; of several the oldest that applies wins
  random SEED PERMILLE        from now on so many requests of a thousand suffer; which,
                              and how, depends on seed, request and how often it came
  limit RATE                  above RATE requests a second, answer SlowDown; 0: all pass
  clear                       forget all of these
  forget TEXT                 and only rules with part=TEXT
  settle TEXT                 answered when no request with TEXT in it is under way
  stats                       "name=count ..." since the start

Which requests a rule is about: method=GET, part=TEXT (in path or query), skip=N of
these pass first, times=N then suffer (0, the default: all), or so many of a thousand
(permille=N). It is counted as label=NAME.
Kinds, with what each knows besides; bytes count in the body, way=down is the answer:

  delay ms=N                  before the request goes on
  rate bytes=N                a second, both ways
  cut|reset|stall way= after=N  close, reset, or say no more; after=-1: in the head
  flip way= after=N           one bit; after=-2: anywhere
  hole                        read the request, tell nobody, never answer
  mute                        let the server do it, never answer
  lost                        let the server do it, close instead of the answer
  status status=N [code=] [retry_after=] [location=]   answer in the server's place
  foreign [length=other]      the answer's body is that of another object
  no_continue                 keep "100 Continue" from the client
"""
import asyncio
import collections
import random
import re
import socket
import ssl
import struct
import sys
import time
import urllib.parse

PIECE = 64 << 10
HEAD_MAX = 64 << 10
REMEMBERED = 16  # bodies that may be given for another one
FOREIGN_MAX = 1 << 20


class Broken(Exception):
    """The fault, named by its kind, ends the client's connection or falls silent on it."""


class Rule:
    DEFAULTS = {"method": "", "part": "", "skip": 0, "times": 0, "way": "down",
                "after": 0, "ms": 0, "bytes": 0, "status": 500, "code": "",
                "retry_after": "", "location": "", "length": "same", "label": "",
                "permille": 1000}
    KINDS = ("delay", "rate", "cut", "reset", "stall", "flip", "hole", "mute", "lost",
             "status", "foreign", "no_continue")

    def __init__(self, kind, **words):
        if kind not in self.KINDS or words.keys() - self.DEFAULTS.keys():
            raise ValueError(f"{kind} {words}")
        self.kind = kind
        for name, default in self.DEFAULTS.items():
            setattr(self, name, type(default)(words.get(name, default)))
        self.seen = 0

    def applies(self, request):
        if self.method not in ("", request.method) or self.part not in request.plain_target:
            return False
        if random.randrange(1000) >= self.permille:
            return False
        self.seen += 1
        return self.seen > self.skip and \
            (self.times == 0 or self.seen <= self.skip + self.times)

    @property
    def name(self):
        if self.label:
            return self.label
        if self.kind == "status":
            return f"status_{self.status}"
        if self.kind == "foreign":
            return f"foreign_{self.length}"
        if self.kind in ("cut", "reset", "stall", "flip"):
            return f"{self.kind}_{self.way}"
        return self.kind


def chance(rng, request):
    """Any fault that a client has to live with. What changes a listing, or makes a
    DELETE look done, nobody could notice; so none of these."""
    is_object = request.method == "GET" and "?" not in request.target
    after = rng.choice((-1, 0, rng.randrange(1000), rng.randrange(1 << 17)))
    statuses = [(500, "InternalError"), (403, "AccessDenied"), (307, "TemporaryRedirect")]
    if rng.randrange(10) == 0:  # rarely: a client takes them to heart
        statuses = [(503, "SlowDown"), (503, ""), (429, "")]
    elif is_object or request.method == "HEAD":
        statuses.append((404, "NoSuchKey"))
    status, code = rng.choice(statuses)
    kinds = [("delay", {"ms": rng.randrange(200)}),
             ("rate", {"bytes": 1 << rng.randrange(18, 23)}),
             ("hole", {}), ("mute", {}), ("lost", {}), ("no_continue", {}),
             ("flip", {"way": "up", "after": abs(after)})]
    for way in ("up", "down"):
        kinds += [(kind, {"way": way, "after": after}) for kind in ("cut", "reset", "stall")]
    kinds += 4 * [("status", {"status": status, "code": code,
                              "location": "http://127.0.0.1:9/" if status == 307 else ""})]
    if is_object:
        kinds += [("flip", {"after": abs(after)}), ("foreign", {}),
                  ("foreign", {"length": "other"})]
    kind, words = rng.choice(kinds)
    return Rule(kind, **words)


class Faults:
    """What goes wrong, and what went wrong."""

    def __init__(self):
        self.stats = collections.Counter()
        self.random = random.Random(0)
        self.bodies = collections.OrderedDict()  # path: a body that the server sent
        self.under_way = []  # requests
        self.clear()

    def clear(self):
        self.rules = []
        self.seed, self.permille = 0, 0
        self.came = collections.Counter()
        self.limit, self.tokens, self.filled = 0, 0.0, time.monotonic()

    async def command(self, line):
        name, *words = line.split()
        if name == "fault":
            self.rules.append(Rule(words[0], **dict(word.split("=", 1) for word in words[1:])))
        elif name == "random":
            self.seed, self.permille = int(words[0]), int(words[1])
        elif name == "limit":
            self.limit = self.tokens = int(words[0])
        elif name == "clear":
            self.clear()
        elif name == "forget":
            self.rules = [rule for rule in self.rules if rule.part != words[0]]
        elif name == "settle":
            while any(words[0] in request.plain_target for request in self.under_way):
                await asyncio.sleep(0.005)
        elif name == "stats":
            return " ".join(f"{name}={count}" for name, count in sorted(self.stats.items()))
        else:
            raise ValueError(line)
        return "ok"

    def is_over_limit(self):
        now = time.monotonic()
        self.tokens = min(self.tokens + (now - self.filled) * self.limit,
                          max(1, self.limit / 10))
        self.filled = now
        if self.limit == 0 or self.tokens >= 1:
            self.tokens -= 1
            return False
        return True

    def choose(self, request):
        self.stats["requests"] += 1
        if self.is_over_limit():
            return Rule("status", status=503, code="SlowDown")
        for rule in self.rules:
            if rule.applies(request):
                return rule
        what = f"{request.method} {request.target}"
        self.came[what] += 1
        rng = random.Random(f"{self.seed} {what} {self.came[what]}")
        return chance(rng, request) if rng.randrange(1000) < self.permille else None

    def remember(self, path, body):
        self.bodies[path] = body
        self.bodies.move_to_end(path)
        if len(self.bodies) > REMEMBERED:
            self.bodies.popitem(last=False)

    def other_body(self, path, size, same_length):
        """The bytes of another object, or None."""
        for other, body in self.bodies.items():
            if other != path and body:
                body = (body * (size // len(body) + 1))[:size]
                return body if same_length else body[:size // 2]
        return None


class Head:
    """First line and fields of a request or an answer."""

    def __init__(self, raw):
        self.raw = raw
        first, *lines = raw.decode("latin-1").split("\r\n")
        self.words = first.split(" ")
        self.fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.fields[name.lower()] = value.strip()
        self.method, self.target = self.words[0], self.words[1]
        self.plain_target = urllib.parse.unquote(self.target)

    @property
    def size(self):
        return int(self.fields.get("content-length", 0))

    @property
    def is_chunked(self):
        return "chunked" in self.fields.get("transfer-encoding", "").lower()

    @property
    def status(self):
        return int(self.words[1])


async def read_head(reader):
    """None when there is no more."""
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def data_of(reader, size):
    while size > 0:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise ConnectionError("it ended early")
        size -= len(piece)
        yield True, piece


async def pieces_of(reader, head, until_close=False):
    """Yields (is data, bytes); what is no data frames it."""
    if head.is_chunked:
        size = 1
        while size > 0:
            line = await reader.readline()
            yield False, line
            size = int(line.split(b";")[0], 16)
            async for piece in data_of(reader, size):
                yield piece
            while size == 0 and line not in (b"\r\n", b""):
                line = await reader.readline()  # trailers
                yield False, line
            if size > 0:
                yield False, await reader.readexactly(2)
    elif "content-length" in head.fields or not until_close:
        async for piece in data_of(reader, head.size):
            yield piece
    else:
        while piece := await reader.read(PIECE):
            yield True, piece


class Damage:
    """Copies one body in one direction, with the rule's fault in it."""

    def __init__(self, exchange, way, size):
        rule = exchange.rule
        self.exchange = exchange
        self.kind = rule.kind if rule and (rule.way == way or rule.kind == "rate") else ""
        self.rule = rule
        self.after = rule.after if rule else -1
        if self.after == -2 and size > 0:
            self.after = exchange.faults.random.randrange(size)
        self.seen = 0

    async def copy(self, pieces, writer):
        async for is_data, piece in pieces:
            if is_data:
                piece = await self.hurt(piece, writer)
            writer.write(piece)
            await writer.drain()

    async def hurt(self, piece, writer):
        at = self.after - self.seen
        self.seen += len(piece)
        if self.kind == "rate":
            self.exchange.count()
            step = self.rule.bytes // 20 + 1
            for begin in range(0, len(piece), step):
                await asyncio.sleep(len(piece[begin:begin + step]) / self.rule.bytes)
                writer.write(piece[begin:begin + step])
                await writer.drain()
            return b""
        if self.kind not in ("cut", "reset", "stall", "flip") or not 0 <= at < len(piece):
            return piece
        self.exchange.count()
        if self.kind == "flip":
            return piece[:at] + bytes([piece[at] ^ 1 << at % 8]) + piece[at + 1:]
        writer.write(piece[:at])
        await writer.drain()
        raise Broken(self.kind)


class Exchange:
    """One request and its answer."""

    def __init__(self, connection, request):
        self.connection = connection
        self.faults = connection.faults
        self.client_reader, self.client = connection.reader, connection.writer
        self.request = request
        self.path = request.target.partition("?")[0]
        self.rule = self.faults.choose(request)
        self.is_counted = False

    def count(self):
        if not self.is_counted:
            self.faults.stats[self.rule.name] += 1
        self.is_counted = True

    def has(self, kind, way="down", in_head=False):
        return self.rule is not None and self.rule.kind == kind and \
            (not in_head or (self.rule.way == way and self.rule.after == -1))

    async def run(self):
        """Returns whether both connections can be used again."""
        if self.has("status"):
            return await self.answer_myself()
        if self.has("delay"):
            self.count()
            await asyncio.sleep(self.rule.ms / 1000)
        for kind in ("cut", "reset", "stall"):
            if self.has(kind, "up", in_head=True):
                self.count()
                raise Broken(kind)
        if self.has("hole"):
            self.count()
            raise Broken("hole")
        return await self.forward()

    async def answer_myself(self):
        self.count()
        expects = "expect" in self.request.fields
        if not expects:
            async for _ in pieces_of(self.client_reader, self.request):
                continue
        rule = self.rule
        body = b""
        if self.request.method != "HEAD" and rule.code:
            body = f"<Error><Code>{rule.code}</Code><Message>as the test wants it" \
                   "</Message><RequestId>FAULT</RequestId></Error>".encode()
        lines = [f"HTTP/1.1 {rule.status} Fault", f"content-length: {len(body)}",
                 "x-amz-request-id: FAULT"]
        if rule.retry_after:
            lines.append(f"retry-after: {rule.retry_after}")
        if rule.location:
            lines.append(f"location: {rule.location}")
        if expects:
            lines.append("connection: close")
        self.client.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.client.drain()
        return not expects

    async def forward(self):
        reader, writer = await self.connection.upstream()
        writer.write(self.request.raw)
        upload = asyncio.create_task(
            Damage(self, "up", self.request.size).copy(pieces_of(self.client_reader, self.request), writer))
        download = asyncio.create_task(self.take_answer(reader))
        try:
            await asyncio.wait((upload, download), return_when=asyncio.FIRST_COMPLETED)
            if upload.done() and isinstance(upload.exception(), Broken):
                upload.result()
            # One that fails by itself has a server that answered early, or no client.
            if upload.done() and upload.exception() is not None:
                return await asyncio.wait_for(download, 1) and False
            is_reusable = await download
            await asyncio.wait((upload,), timeout=1)
            return is_reusable and upload.done() and upload.exception() is None
        except Broken:
            self.connection.close_upstream()
            raise
        finally:
            for task in (upload, download):
                task.cancel()
            await asyncio.gather(upload, download, return_exceptions=True)

    async def take_answer(self, reader):
        while True:
            answer = await read_head(reader)
            if answer is None:
                raise ConnectionError("the server has gone")
            if answer.status >= 200:
                break
            if self.has("no_continue"):
                self.count()
            else:
                self.client.write(answer.raw)
        for kind in ("mute", "lost"):
            if self.has(kind):
                self.count()
                raise Broken(kind)
        for kind in ("cut", "reset", "stall"):
            if self.has(kind, in_head=True):
                self.count()
                self.client.write(answer.raw[:len(answer.raw) // 2])
                await self.client.drain()
                raise Broken(kind)
        await self.give_answer(reader, answer)
        return "close" not in answer.fields.get("connection", "").lower()

    async def give_answer(self, reader, answer):
        if self.request.method == "HEAD" or answer.status in (204, 304):
            self.client.write(answer.raw)
            await self.client.drain()
            return
        pieces = pieces_of(reader, answer, until_close=True)
        if self.request.method == "GET" and "?" not in self.request.target and \
                answer.status in (200, 206) and 0 < answer.size <= FOREIGN_MAX:
            body = b"".join([piece async for _, piece in pieces])
            body, answer = self.exchange_body(body, answer)
            pieces = in_memory(body)
        self.client.write(answer.raw)
        await Damage(self, "down", answer.size).copy(pieces, self.client)

    def exchange_body(self, body, answer):
        self.faults.remember(self.path, body)
        if not self.has("foreign"):
            return body, answer
        other = self.faults.other_body(self.path, len(body), self.rule.length == "same")
        if other is None or other == body:
            return body, answer
        self.count()
        raw = re.sub(rb"(?im)^(content-length: *)\d+", rb"\g<1>%d" % len(other), answer.raw)
        return other, Head(raw)


async def in_memory(body):
    for at in range(0, len(body), PIECE):
        yield True, body[at:at + PIECE]


class Connection:
    """A client, and its connection to the server."""

    def __init__(self, faults, address, reader, writer):
        self.faults, self.address = faults, address
        self.reader, self.writer = reader, writer
        self.server = None

    async def upstream(self):
        if self.server is None:
            self.server = await asyncio.open_connection(*self.address, limit=HEAD_MAX)
        return self.server

    def close_upstream(self):
        if self.server is not None:
            self.server[1].transport.abort()
            self.server = None

    async def break_off(self, kind):
        """The server never gets the rest of a request."""
        self.close_upstream()
        if kind in ("hole", "mute", "stall"):
            try:
                while await self.reader.read(PIECE):
                    continue
            except ConnectionError:
                pass
        if kind == "reset":
            plain = self.writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()

    async def run(self):
        try:
            while request := await read_head(self.reader):
                self.faults.under_way.append(request)
                try:
                    if not await Exchange(self, request).run():
                        break
                finally:
                    self.faults.under_way.remove(request)
        except Broken as broken:
            await self.break_off(str(broken))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        finally:
            self.close_upstream()
            self.writer.close()


def address_of(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def control(faults, reader, writer):
    while line := await reader.readline():
        try:
            answer = await faults.command(line.decode())
        except (ValueError, LookupError, TypeError) as problem:
            answer = f"error: {problem}"
        writer.write(answer.encode() + b"\n")
        await writer.drain()
    writer.close()


async def serve(listen, upstream, controlled, certificate=None, key=None):
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
    faults = Faults()
    tasks = set()  # the loop itself refers to them weakly

    async def on_client(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await Connection(faults, address_of(upstream), reader, writer).run()
        finally:
            tasks.discard(asyncio.current_task())

    async def on_control(reader, writer):
        await control(faults, reader, writer)

    await asyncio.start_server(on_client, *address_of(listen), ssl=tls, limit=HEAD_MAX)
    await asyncio.start_server(on_control, *address_of(controlled))
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 6):
        sys.exit(__doc__)
    asyncio.run(serve(*sys.argv[1:]))
