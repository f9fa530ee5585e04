# SPDX-License-Identifier: Apache-2.0
"""A directory as an S3 bucket that is only read: what is asked is counted, and can be slowed
down, refused or held. It checks no signature."""
import collections
import contextlib
import email.utils
import http.server
import os
import pathlib
import re
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

BUCKET, PAGE = "blocks", 1000
ERROR = "<Error><Code>{}</Code><Message>{}</Message></Error>"


class PlainS3:
    """Context manager. rate: requests a second that are answered; 0: all of them."""

    def __init__(self, folder):
        self.folder, self.rate, self.is_down, self.delay_s = pathlib.Path(folder), 0, False, 0
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.keys = collections.Counter()
        self.bytes = 0  # of objects
        self.second = (0, 0)
        handler = type("Handler", (Handler,), {"s3": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that was killed has left
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def config(self):
        return (f"type: S3\nconfig:\n  bucket: {BUCKET}\n  insecure: true\n"
                f"  endpoint: 127.0.0.1:{self.server.server_port}\n  region: us-east-1\n"
                "  access_key: reader\n  secret_key: secret\n")

    def count(self, kind, key=""):
        with self.lock:
            self.counts[kind] += 1
            self.keys[key] += 1

    def take(self):
        """{kind: requests} since the last call; kinds are list, meta, mark, index, chunks."""
        with self.lock:
            counts, self.counts = self.counts, collections.Counter()
            self.keys.clear()
            return counts

    def take_reads(self):
        """How many reads of indexes and chunks there were since the last call, and how
        many bytes were sent."""
        with self.lock:
            reads, size = self.counts["index"] + self.counts["chunks"], self.bytes
            self.counts, self.bytes = collections.Counter(), 0
            return reads, size

    def requests(self):
        with self.lock:
            return sum(self.counts.values())

    def is_throttled(self):
        with self.lock:
            now = int(time.monotonic())
            second, used = self.second
            used = used + 1 if second == now else 1
            self.second = now, used
            return self.rate and used > self.rate

    def listing(self):
        """(key, size, time of change), in order, of one moment: what came before another
        thing went is in it if that is not."""
        found, before = self.look(), None
        while before is None or {key for key, *_ in found} != {key for key, *_ in before}:
            found, before = self.look(), found
        return found

    def look(self):
        """The same, but of many moments."""
        found = []
        for folder, folders, names in os.walk(self.folder):
            folders.sort()
            for name in sorted(names):
                path = pathlib.Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # deleted just now
                    status = path.stat()
                    found.append((str(path.relative_to(self.folder)), status.st_size,
                                  status.st_mtime))
        return sorted(found)


class Handler(http.server.BaseHTTPRequestHandler):
    s3 = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        time.sleep(self.s3.delay_s)
        if self.s3.is_down or self.s3.is_throttled():
            self.s3.count("refused")
            return self.reply(503, ERROR.format("SlowDown", "less").encode())
        url = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(url.path)[len(BUCKET) + 2:]
        return self.get(key) if key else self.list(dict(urllib.parse.parse_qsl(url.query)))

    def list(self, query):
        self.s3.count("list")
        if query.get("continuation-token", "") == "":
            self.s3.pages = self.s3.listing()
        begin = int(query.get("continuation-token") or 0)
        page = self.s3.pages[begin:begin + PAGE]
        end = begin + len(page)
        body = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>"
            + time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(changed))
            + f".000Z</LastModified><ETag>&quot;{size}&quot;</ETag><Size>{size}</Size></Contents>"
            for key, size, changed in page)
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{end}" \
               "</NextContinuationToken>" if end < len(self.s3.pages) \
            else "<IsTruncated>false</IsTruncated>"
        self.reply(200, f"<ListBucketResult><Name>{BUCKET}</Name>{more}{body}</ListBucketResult>"
                   .encode(), {"Content-Type": "application/xml"})

    def get(self, key):
        kind = {"meta.json": "meta", "deletion-mark.json": "mark"}.get(
            key.rpartition("/")[2], key.split("/")[1])
        self.s3.count(kind, key)
        path = self.s3.folder / key
        try:
            data, changed = path.read_bytes(), path.stat().st_mtime
        except FileNotFoundError:
            return self.reply(404, ERROR.format("NoSuchKey", key).encode())
        headers = {"ETag": f'"{len(data)}"',
                   "Last-Modified": email.utils.formatdate(changed, usegmt=True)}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return self.reply(200, data, headers)
        begin, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        with self.s3.lock:
            self.s3.bytes += end - begin
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
        return self.reply(206, data[begin:end], headers)

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
