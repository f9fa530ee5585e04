# SPDX-License-Identifier: Apache-2.0
"""The servers of exact.py: Prometheus that writes, has or reads blocks, and who stands
between a reader and the store."""
import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import shutil
import threading
import urllib.parse

import remote_write
import snappy
from daemon import Daemon, dir_bucket, wait_until
from remote_read import SAMPLED_TYPE, STREAMED_TYPE, frames, pb

TO_WRITE = ("--web.enable-remote-write-receiver", "--web.enable-admin-api")
TO_HAVE = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h",
           "--storage.tsdb.retention.time=100y")
LEAVE_OVERLAPS = "--no-storage.tsdb.allow-overlapping-compaction"
XOR2 = {"chunk_encoding": {"floats": "xor2"}}
START_TIMES = "--enable-feature=st-storage"


class Prometheus(Daemon):
    """Keeps its data in directory / name; configuration is JSON, which is YAML, too."""

    ready_s = 60

    def __init__(self, program, directory, name, configuration, flags):
        self.data = directory / name
        self.name = name
        config = directory / f"{name}.yml"
        config.write_text(json.dumps(configuration))
        super().__init__(str(program), "--web.listen-address=127.0.0.1:{port}",
                         f"--config.file={config}", f"--storage.tsdb.path={self.data}", *flags)
        self.connection = None

    def ask(self, path, arguments, headers=()):
        """The body of an answer, over one connection."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.connection.request(
            "POST", f"/api/v1/{path}", body=urllib.parse.urlencode(arguments),
            headers={"Content-Type": "application/x-www-form-urlencoded", **dict(headers)})
        return self.connection.getresponse().read()


class Writer(Prometheus):
    """Takes what is days old, and later what is up to four hours older. Its blocks are of
    so many hours, compacted up to the longest."""

    def __init__(self, program, directory, name, *flags, hours=2, longest=2, tsdb=None):
        self.hours = hours
        super().__init__(
            program, directory, name,
            {"storage": {"tsdb": {"out_of_order_time_window": "4h", **(tsdb or {})}}},
            (*TO_WRITE, "--storage.tsdb.retention.time=100y", *flags,
             f"--storage.tsdb.min-block-duration={hours}h",
             f"--storage.tsdb.max-block-duration={max(hours, longest)}h"))

    def snapshot(self):
        """The directory of blocks that hold everything, once the head is compacted."""
        def is_compacted():
            span = self.metric("prometheus_tsdb_head_max_time_seconds") - \
                self.metric("prometheus_tsdb_head_min_time_seconds")
            return span <= 1.5 * 3600 * self.hours

        wait_until(f"{self.name} to compact its head", is_compacted, 60)
        answer = json.loads(self.ask("admin/tsdb/snapshot", {}))
        return self.data / "snapshots" / answer["data"]["name"]


def write_blocks(writers, batches):
    """The directories with the blocks of each. A batch is what each of them is told next."""
    with contextlib.ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(writers)))
        for batch in batches:
            list(pool.map(remote_write.write, writers, batch))
        return list(pool.map(Writer.snapshot, writers))


def fill_bucket(bucket, snapshot, labels):
    for block in snapshot.iterdir():
        copy = shutil.copytree(block, bucket / block.name, copy_function=os.link)
        meta = json.loads((block / "meta.json").read_text())
        meta["thanos"] = {"version": 1, "labels": labels, "downsample": {"resolution": 0},
                          "source": "sidecar"}
        (copy / "meta.json").unlink()
        (copy / "meta.json").write_text(json.dumps(meta))


def metas(bucket):
    return [json.loads(path.read_text()) for path in bucket.glob("*/meta.json")]


def relabelled(bucket, name, labels, mark=""):
    """A copy with other external labels, and ULIDs with this in them."""
    copy = bucket.parent / name
    for meta in metas(bucket):
        ulid = meta["ulid"][:10] + mark + meta["ulid"][10 + len(mark):]
        shutil.copytree(bucket / meta["ulid"], copy / ulid, copy_function=os.link)
        meta["ulid"] = ulid
        meta["compaction"]["sources"] = [ulid]
        meta["thanos"]["labels"] = labels
        (copy / ulid / "meta.json").unlink()
        (copy / ulid / "meta.json").write_text(json.dumps(meta))
    return copy


@contextlib.contextmanager
def serve(program, directory, bucket, *flags):
    """A store that has loaded every block of the bucket."""
    with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}",
                f"--objstore.config={dir_bucket(bucket)}", *flags) as store:
        wait_until("all blocks", lambda: store.metric(
            "thanos_bucket_store_blocks_loaded") == len(metas(bucket)))
        yield store


def reader(program, directory, name, url, external_labels=None, flags=()):
    """A Prometheus that has nothing of its own."""
    return Prometheus(program, directory, name, {
        "global": {"external_labels": external_labels or {}},
        "remote_read": [{"url": f"{url}/api/v1/read", "read_recent": True}]},
                      (*TO_HAVE, *flags))


class Disguise:
    """Passes requests of remote read on, changed: as from another client, or without the
    wish for a streamed answer. In the end, the answers must have been of these kinds:
    types of chunks, or SAMPLES."""

    SAMPLES = "samples"

    def __init__(self, store, kinds, user_agent=None):
        outer = self
        sampled = self.SAMPLES in kinds

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # an answer's head and body go together

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {"User-Agent": user_agent or self.headers["User-Agent"]}
                if sampled:
                    request = pb.ReadRequest.FromString(snappy.decompress(body))
                    del request.accepted_response_types[:]
                    body = snappy.compress(request.SerializeToString())
                answer = store.request("POST", self.path, body=body, headers=headers)
                outer.seen.update(kinds_of(answer))
                self.send_response(answer.status)
                for name in ("Content-Type", "Content-Encoding"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        self.kinds, self.seen = kinds, set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.server.shutdown()
        self.server.server_close()
        assert kind is not None or self.seen <= self.kinds, (self.seen, self.kinds)


def kinds_of(answer):
    if answer.headers["Content-Type"] != STREAMED_TYPE:
        yield Disguise.SAMPLES if answer.headers["Content-Type"] == SAMPLED_TYPE else answer.text
        return
    for message in frames(answer.body, check=False):
        for series in pb.ChunkedReadResponse.FromString(message).chunked_series:
            yield from {chunk.type for chunk in series.chunks}
