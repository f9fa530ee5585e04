#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a read cost, as the store tells it to a client that asks, to its log and in its
metrics, is what the client, and the bucket, have counted.

usage: figures.py <blockhouse-store>
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from raw_reply import RawReply, read_to_end, request  # noqa: E402
from read_golden import ALL, Golden  # noqa: E402
from s3_verifier import Stored, Verifier  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "golden")
FIELD = "Blockhouse-Figures"
ASKED = {FIELD: "1"}
QUICK = "--http-unready-delay=0s"
READ = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Read-Version": "0.1.0"}
STREAMED = [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS, rr.pb.ReadRequest.SAMPLES]
SAMPLED = [rr.pb.ReadRequest.SAMPLES]
STAGES = ("gate_us", "postings_us", "series_us", "chunks_us", "send_us", "work_us")
PER_READ = [  # histograms with one observation for each read
    f"thanos_bucket_store_{name}{labels}" for name, labels in (
        ("series_get_all_duration_seconds", ""), ("series_merge_duration_seconds", ""),
        ("postings_fetch_duration_seconds", ""), ("series_fetch_duration_seconds", ""),
        ("chunks_fetch_duration_seconds", ""), ("series_blocks_queried", ""),
        ("series_result_series", ""), ("postings_size_bytes", ""),
        ("series_fetch_duration_sum_seconds", ""),
        ("chunks_fetch_duration_sum_seconds", ""))]
PER_READ += ["blockhouse_store_read_send_duration_seconds",
             "blockhouse_store_read_work_duration_seconds", "blockhouse_store_read_requests"]
PER_KIND = [f"thanos_bucket_store_series_data_{name}" for name in (
    "touched", "fetched", "size_touched_bytes", "size_fetched_bytes")]


class Reply(RawReply):
    """An answer that may have figures."""

    @property
    def place(self):
        """Where the figures are: "header", "trailer", or nowhere (None)."""
        assert not (FIELD in self.headers and FIELD in self.trailers)
        assert not self.is_whole or \
            (self.headers.get("Trailer") == FIELD) == (FIELD in self.trailers)
        return "header" if FIELD in self.headers else \
            "trailer" if FIELD in self.trailers else None

    @property
    def figures(self):
        text = self.headers.get(FIELD) or self.trailers[FIELD]
        return parse(text, ", ")


def parse(text, separator):
    return {name: int(value) for name, _, value in
            (one.partition("=") for one in text.split(separator))}


def exchange(store, method, path, body=b"", headers=None):
    with store.connect() as connection:
        connection.sendall(request(method, path, body, headers))
        return Reply(read_to_end(connection))


def read(store, golden, accepted=STREAMED, matchers=(ALL,), asked=True, times=1):
    queries = [rr.query(list(matchers), golden.begin, golden.end)] * times
    return exchange(store, "POST", "/api/v1/read", rr.encode(queries, accepted),
                    {**READ, **(ASKED if asked else {})})


def counted(reply):
    """(series, chunks, bytes of chunks) of a streamed answer."""
    series = [rr.pb.ChunkedReadResponse.FromString(frame).chunked_series[0]
              for frame in rr.frames(reply.body)]
    chunks = [chunk for one in series for chunk in one.chunks]
    return len(series), len(chunks), sum(len(chunk.data) for chunk in chunks)


def check_stages(figures):
    """Each microsecond is in one stage; each stage may have lost a fraction of one."""
    total = sum(figures[stage] for stage in STAGES)
    assert 0 <= figures["total_us"] - total <= len(STAGES), figures
    assert all(value >= 0 for value in figures.values()), figures
    assert figures["first_us"] <= figures["total_us"], figures


class Watch:
    """What the log and the metrics say of the reads since it was made."""

    def __init__(self, store):
        self.store = store
        self.before, self.lines = self.counts(), len(self.logged())

    def counts(self):
        text = self.store.request("GET", "/metrics").text
        return {name: sum(map(int, re.findall(rf"^{name}_count{{.*}} (\d+)$", text,
                                              re.MULTILINE)))
                for name in PER_READ + PER_KIND}

    def logged(self):
        return [line for line in self.store.log_text().splitlines()
                if 'msg="read answered"' in line]

    def expect(self, reads):
        """The lines of so many reads, and not more."""
        def is_done():
            return self.counts()[PER_READ[0]] == self.before[PER_READ[0]] + reads
        wait_until(f"{reads} reads to be counted", is_done)
        after = self.counts()
        for name in PER_READ:
            assert after[name] == self.before[name] + reads, name
        for name in PER_KIND:
            assert after[name] == self.before[name] + 3 * reads, name
        lines = self.logged()[self.lines:]
        assert len(lines) == reads, lines
        return lines


def logged_figures(line):
    return {name: int(value) for name, value in re.findall(r" (\w+)=(\d+)(?= )", line)}


def check_zeros(store):
    """Every family is there before the first read."""
    text = store.request("GET", "/metrics").text
    for name in PER_READ:
        assert f'{name}_count{{tenant="default-tenant"}} 0\n' in text, name
    for name in PER_KIND:
        for kind in ("postings", "series", "chunks"):
            line = f'{name}_count{{data_type="{kind}",tenant="default-tenant"}} 0\n'
            assert line in text, line
    for name in ("series_refetches_total", "chunk_refetches_total"):
        assert f'thanos_bucket_store_{name}{{tenant="default-tenant"}} 0\n' in text, name


def tells_who_asks(store, golden, bucket):
    """A small streamed answer, first from the bucket, then from the cache."""
    check_zeros(store)
    watch, before = Watch(store), bucket.accepted["AKID"]
    reply = read(store, golden)
    asked = bucket.accepted["AKID"] - before
    series, chunks, size = counted(reply)
    assert series == len(golden.series)
    figures = reply.figures
    assert (figures["blocks"], figures["series"], figures["chunks"],
            figures["chunk_bytes"]) == (1, series, chunks, size), figures
    assert figures["requests"] == asked > 0 and figures["cache_hits"] == 0, (figures, asked)
    assert figures["fetched_bytes"] == sum(figures[kind + "_bytes"] for kind in
                                           ("postings", "series", "chunks"))
    assert figures["chunks_bytes"] >= size, figures
    check_stages(figures)
    [line] = watch.expect(1)
    assert " op=read code=none " in line and 'matchers="{__name__!=' in line, line
    logged = logged_figures(line)
    assert all(logged[name] == figures[name] for name in figures
               if not name.endswith("_us")), (logged, figures)
    check_stages(logged)
    assert store.metric("thanos_bucket_store_sent_chunk_size_bytes_sum") == size
    assert store.metric("thanos_bucket_store_sent_chunk_size_bytes_count") == series
    assert store.metric("thanos_store_index_cache_hits_total") == 0
    needed = store.metric("thanos_store_index_cache_requests_total")
    assert needed > series, needed

    again = read(store, golden).figures
    assert again["requests"] == again["fetched_bytes"] == 0, again
    # What the matchers select is one answer of the cache, whatever postings it took.
    assert 1 < again["cache_hits"] < figures["requests"], again
    assert again["cached_bytes"] > 0 and again["chunk_bytes"] == size, again
    assert bucket.accepted["AKID"] == before + asked
    watch.expect(2)
    assert store.metric("thanos_store_index_cache_hits_total") == needed
    assert store.metric("thanos_store_index_cache_requests_total") == 2 * needed
    assert store.metric("thanos_store_index_cache_items_size_bytes") > 0
    print(f"  small: {reply.place} {figures}")


def tells_behind_what_is_streamed(store, golden):
    """One that is larger than a piece: behind it, as a trailer."""
    times = 20
    reply = read(store, golden, times=times)
    assert reply.place == "trailer" and reply.is_whole, reply.headers
    series, chunks, size = counted(reply)
    figures = reply.figures
    assert (figures["blocks"], figures["series"], figures["chunks"],
            figures["chunk_bytes"]) == (times, series, chunks, size), figures
    assert series == times * len(golden.series)
    check_stages(figures)
    print(f"  streamed: trailer {figures}")
    quiet = read(store, golden, times=times, asked=False)
    assert quiet.place is None and quiet.body == reply.body, quiet.headers


def tells_in_front_of_what_has_a_length(store, golden):
    floats = ("__name__", "=~", "p|const|count_.+")
    reply = read(store, golden, SAMPLED, [floats])
    assert reply.status == 200 and reply.place == "header", (reply.status, reply.headers)
    wanted = list(golden.selected([floats], golden.begin, golden.end))
    figures = reply.figures
    assert figures["series"] == len(wanted) > 0, figures
    assert figures["chunks"] == sum(len(keys) for _, keys in wanted), figures
    check_stages(figures)
    assert read(store, golden, SAMPLED, [floats], asked=False).place is None


def tells_of_discovery(store, golden):
    watch = Watch(store)
    for path, op in (("/api/v1/labels?match[]=%s", "label_names"),
                     ("/api/v1/label/__name__/values?match[]=%s", "label_values"),
                     ("/api/v1/series?match[]=%s", "series")):
        path = path % "%7Bcluster%3D%22eu1%22,__name__!%3D%22zz%22%7D"
        reply = exchange(store, "GET", path, headers={**ASKED, "Accept-Encoding": "gzip"})
        assert reply.status == 200 and reply.place == "header", (path, reply.headers)
        assert reply.figures["blocks"] == 1, reply.figures
        if op == "series":
            assert reply.figures["series"] == len(golden.series), reply.figures
        check_stages(reply.figures)
        assert exchange(store, "GET", path).place is None
        line = watch.expect(2)[0]
        assert f" op={op} code=none " in line and "cluster=" in line, line
        watch = Watch(store)


def tells_what_a_refusal_cost(store, golden):
    watch = Watch(store)
    reply = read(store, golden, matchers=[("a", "=~", "(")])
    assert (reply.status, reply.place) == (400, "header"), reply.headers
    assert reply.figures["series"] == reply.figures["requests"] == 0
    assert read(store, golden, matchers=[("a", "=~", "(")], asked=False).place is None
    assert all(" code=invalid " in line for line in watch.expect(2))


def notices_who_left(store, golden):
    """An answer that no socket holds, to a client that takes its first bytes."""
    watch = Watch(store)
    body = rr.encode([rr.query([ALL], golden.begin, golden.end)] * 100, STREAMED)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", store.port))
        connection.sendall(b"POST /api/v1/read HTTP/1.1\r\nHost: h\r\n"
                           b"Content-Encoding: snappy\r\nContent-Length: %d\r\n\r\n"
                           % len(body) + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    [line] = watch.expect(1)
    assert " code=cancelled " in line, line


def ask_curl(store, golden):
    """A client that was not made for this sees the trailer, too."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(rr.encode([rr.query([ALL], golden.begin, golden.end)] * 20, STREAMED))
        body.flush()
        headers = [word for name, value in {**READ, **ASKED}.items()
                   for word in ("-H", f"{name}: {value}")]
        result = subprocess.run(
            ["curl", "-sS", "-m", "30", "-D", "-", "-o", os.devnull, *headers, "--data-binary",
             f"@{body.name}", f"http://127.0.0.1:{store.port}/api/v1/read"],
            check=True, capture_output=True, text=True)
    [trailer] = re.findall(rf"^{FIELD}: (.*)$", result.stdout, re.MULTILINE)
    assert parse(trailer.strip(), ", ")["blocks"] == 20, trailer


def with_a_bucket_that_counts(program, golden):
    bucket = Verifier()
    bucket.add_key("AKID", "secret")
    for name in ("chunks/000001", "index", "meta.json"):
        with open(os.path.join(golden.block, name), "rb") as file:
            bucket.objects[f"{os.path.basename(golden.block)}/{name}"] = \
                Stored(file.read(), '"etag"', None, time.time())
    with tempfile.TemporaryDirectory() as directory, \
            Daemon(program, "--http-address=127.0.0.1:{port}", QUICK, f"--data-dir={directory}",
                   "--log.level=debug", "--objstore.config=" + bucket.yaml(
                       "access_key: AKID", "secret_key: secret")) as store:
        tells_who_asks(store, golden, bucket)
        tells_behind_what_is_streamed(store, golden)
        tells_in_front_of_what_has_a_length(store, golden)
        tells_of_discovery(store, golden)
        tells_what_a_refusal_cost(store, golden)
        notices_who_left(store, golden)
        ask_curl(store, golden)
    bucket.close()


def says_nothing_behind_what_is_cut(program, golden):
    """The last chunk of the segment is damaged: an answer that begins well is aborted."""
    with tempfile.TemporaryDirectory() as directory:
        block = os.path.join(directory, "bucket", os.path.basename(golden.block))
        shutil.copytree(golden.block, block)
        segment = os.path.join(block, "chunks", "000001")
        with open(segment, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))
        with Daemon(program, "--http-address=127.0.0.1:{port}", QUICK, "--log.level=debug",
                    f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(os.path.join(directory, 'bucket'))}"
                    ) as store:
            watch = Watch(store)
            sound = [(name, "=", value) for name, value in next(iter(golden.series))]
            queries = [rr.query(sound, golden.begin, golden.end)] * 90
            queries.append(rr.query([ALL], golden.begin, golden.end))
            reply = exchange(store, "POST", "/api/v1/read", rr.encode(queries, STREAMED),
                             {**READ, **ASKED})
            assert reply.status == 200 and reply.headers["Trailer"] == FIELD, reply.headers
            assert not reply.is_whole and reply.place is None
            [line] = watch.expect(1)
            assert " code=corrupt " in line, line


def leaves_lines_out_unless_asked(program, golden):
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        shutil.copytree(golden.block, os.path.join(bucket, os.path.basename(golden.block)))
        with Daemon(program, "--http-address=127.0.0.1:{port}", QUICK, "--log.format=json",
                    f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}") as store:
            assert read(store, golden).figures["series"] == len(golden.series)
            assert not any(json.loads(line)["msg"] == "read answered"
                           for line in store.log_text().splitlines())


def main():
    golden = Golden(os.path.join(GOLDEN, "xor"))
    with_a_bucket_that_counts(sys.argv[1], golden)
    says_nothing_behind_what_is_cut(sys.argv[1], golden)
    leaves_lines_out_unless_asked(sys.argv[1], golden)


if __name__ == "__main__":
    main()
