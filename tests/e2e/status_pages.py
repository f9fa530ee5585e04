#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people and programs see of both daemons over HTTP: pages that need nothing else
and take no harm from what is in the bucket, JSON of the same facts, flags without
secrets, and requests as the server of the bucket counts them.

usage: status_pages.py <directory of the programs>
"""
import collections
import glob
import html.parser
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from s3_verifier import Handler, Refused, Stored, Verifier  # noqa: E402
from tiny_blocks import ulid_of  # noqa: E402

[GOLDEN] = glob.glob(os.path.join(HERE, "..", "golden", "xor", "0*"))
HARMFUL = "<script src=\"http://evil.example/x.js\">alert('1')</script>&\"'"
MANY, MOST, USUAL = 1200, 1000, 100
COMMON = ["--http-address=127.0.0.1:{port}"]
VOID = {"meta", "input", "br"}


class Page(html.parser.HTMLParser):
    """Balanced tags, no script, nothing that is loaded from elsewhere."""

    def __init__(self, answer):
        super().__init__()
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        self.open, self.links, self.rows, self.texts = [], [], [], []
        self.size = len(answer.body)
        self.feed(answer.body.decode())
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "link", "iframe", "object"), tag
        for name, value in attrs:
            assert not name.startswith("on") and name != "src", (tag, name)
            if name == "href":
                assert not re.match("[a-z]*:|/", value), f"{value} is not relative"
                self.links.append(value)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(self.texts)

    def row(self, first):
        [row] = [row for row in self.rows if row and row[0] == first]
        return row


def ask(daemon, path):
    answer = daemon.request("GET", path)
    assert answer.status == 200, (path, answer.text)
    assert answer.headers["Content-Type"] == "application/json"
    document = json.loads(answer.body)
    assert document["status"] == "success"
    return document["data"]


def golden_meta():
    with open(os.path.join(GOLDEN, "meta.json"), encoding="utf-8") as file:
        return json.load(file)


def put_block(bucket, ulid, **thanos):
    """The golden block under another name; members of its thanos section may change."""
    meta = golden_meta()
    meta["ulid"] = ulid
    meta["compaction"]["sources"] = [ulid]
    meta["thanos"].update(thanos)
    folder = os.path.join(bucket, ulid)
    os.makedirs(os.path.join(folder, "chunks"))
    for name in "index", "chunks/000001":
        os.link(os.path.join(bucket, "..", "golden", name), os.path.join(folder, name))
    write(os.path.join(folder, "meta.json"), json.dumps(meta))
    return folder


def new_bucket(directory):
    shutil.copytree(GOLDEN, os.path.join(directory, "golden"))
    bucket = os.path.join(directory, "bucket")
    os.makedirs(bucket)
    return bucket


def store_of(programs, directory, *flags, environment=None):
    bucket = os.path.join(directory, "bucket")
    return Daemon(os.path.join(programs, "blockhouse-store"), *COMMON,
                  "--http-unready-delay=0s", f"--data-dir={directory}/data",
                  *(flags if any("objstore" in f for f in flags) else
                    [f"--objstore.config={dir_bucket(bucket)}", *flags]),
                  environment=environment)


def by_ulid(data):
    return {block["ulid"]: block for block in data["blocks"]}


def make_odd_blocks(bucket):
    names = "served harmful no_meta bad_meta bad_index marked".split()
    odd = dict(zip(names, map(ulid_of, range(len(names)))))
    put_block(bucket, odd["served"])
    put_block(bucket, odd["harmful"], labels={"cluster": HARMFUL, "replica": "b"})
    os.remove(os.path.join(put_block(bucket, odd["no_meta"]), "meta.json"))
    write(os.path.join(put_block(bucket, odd["bad_meta"]), "meta.json"),
          "{" + json.dumps(HARMFUL))
    index = os.path.join(put_block(bucket, odd["bad_index"], labels={"cluster": "x"}), "index")
    os.remove(index)
    write(index, "<b>too short</b>")
    folder = put_block(bucket, odd["marked"], labels={"cluster": "y"})
    write(os.path.join(folder, "deletion-mark.json"), json.dumps(
        {"id": odd["marked"], "version": 1, "deletion_time": 1700000000}))
    return odd


def tells_of_each_block(programs):
    with tempfile.TemporaryDirectory() as directory:
        odd = make_odd_blocks(new_bucket(directory))
        with store_of(programs, directory, "--bucket-web-label=cluster") as store:
            wait_until("the headers", lambda: all(
                b.get("header", "ready") == "ready" and
                (b["ulid"] != odd["bad_index"] or not b["served"])
                for b in ask(store, "/api/v1/status/store")["blocks"]))
            data = ask(store, "/api/v1/status/store")
            page = Page(store.request("GET", "/"))
            check_blocks(odd, data, page)
            check_facts(data, page, directory)
            check_disk(store, os.path.join(directory, "data"))
            check_thanos_shape(store, odd)
            finds_words(store, odd)
            refuses_wrong_arguments(store)
            for path in "/blocks", "/loaded":
                assert Page(store.request("GET", path)).row(odd["served"])
            assert store.request("HEAD", "/").status == 200
    print("  each block of an odd bucket is told, and harms nobody")


def check_blocks(odd, data, page):
    blocks = by_ulid(data)
    assert set(blocks) == set(odd.values())
    states = {name: blocks[ulid]["state"] for name, ulid in odd.items()}
    assert states == {"served": "loaded", "harmful": "loaded", "no_meta": "no-meta-json",
                      "bad_meta": "corrupted-meta-json", "bad_index": "failed",
                      "marked": "marked-for-deletion"}, states
    for name, ulid in odd.items():
        block, row = blocks[ulid], page.row(ulid)
        assert row[1] == block["state"] and row[-1] == block.get("reason", ""), row
        assert block["served"] == (name in ("served", "harmful"))
        assert block["served"] or block["reason"]
    meta, served = golden_meta(), blocks[odd["served"]]
    assert served["labels"] == meta["thanos"]["labels"]
    assert (served["minTime"], served["maxTime"], served["level"], served["resolution"]) == \
        (meta["minTime"], meta["maxTime"], 1, 0)
    for name in "numSeries", "numSamples", "numChunks":
        assert served[name] == meta["stats"][name]
    assert served["sizeBytes"] == sum(os.path.getsize(os.path.join(GOLDEN, name))
                                      for name in ("index", "chunks/000001"))
    assert blocks[odd["harmful"]]["labels"]["cluster"] == HARMFUL
    assert f"cluster={HARMFUL}" in "".join(page.row(odd["harmful"]))
    assert blocks[odd["marked"]]["markedForDeletionAt"] == 1700000000000
    assert "index" in blocks[odd["bad_index"]]["reason"]
    assert data["sync"]["states"]["loaded"] == 2, data["sync"]


def check_facts(data, page, directory):
    assert data["ready"] and data["reason"] == ""
    assert data["bucket"].endswith(os.path.join(directory, "bucket"))
    assert data["bucket"] in page.text
    sync = data["sync"]
    assert sync["begunAt"] <= sync["endedAt"] <= time.time() * 1000 < sync["nextAt"]
    assert not sync["ofSnapshot"] and sync["bucketReadAt"] == sync["begunAt"]
    memory = data["memory"]
    assert 0 <= memory["usedBytes"] <= memory["peakBytes"] <= memory["limitBytes"]
    assert data["queries"]["running"] == data["queries"]["waiting"] == 0
    assert "requests" not in data, "a directory is not asked by requests"
    assert "disk" not in data["caches"], "files of this machine are not kept on its disk"
    assert data["disk"]["usedBytes"]["cache"] == 0


def check_disk(store, folder):
    """What is told of the data directory is what is in it."""
    def size_of(pattern):
        return sum(map(os.path.getsize, glob.glob(os.path.join(folder, pattern))))

    wait_until("the headers to be counted", lambda: ask(store, "/api/v1/status/store")[
        "disk"]["usedBytes"]["headers"] == size_of("*.bhx") > 0)
    data, page = ask(store, "/api/v1/status/store"), Page(store.request("GET", "/"))
    used, limit = data["disk"]["usedBytes"], data["disk"]["limitBytes"]
    assert set(used) == {"headers", "snapshot", "cache"}
    assert used["snapshot"] == size_of("blocks.snapshot") > 0, used
    assert sum(used.values()) < limit
    assert page.row("all (--store.disk-limit)")[1:] == [size(sum(used.values())), size(limit)]
    assert page.row("index headers")[1] == size(used["headers"])


def size(count):
    """As pages show it."""
    if count < 1024:
        return f"{count} B"
    for unit in "KiB", "MiB", "GiB", "TiB":
        count /= 1024
        if count < 1024 or unit == "TiB":
            return f"{count:.1f} {unit}"


def check_thanos_shape(store, odd):
    for path in "/api/v1/blocks", "/api/v1/blocks?view=loaded":
        data = ask(store, path)
        assert set(data) == {"label", "blocks", "refreshedAt", "err"}
        assert data["label"] == "cluster" and data["err"] is None
        blocks = by_ulid(data)
        assert set(blocks) == {odd["served"], odd["harmful"]}
        want = golden_meta()
        want["ulid"], want["compaction"] = odd["served"], {"level": 1, "sources": [odd["served"]]}
        want["thanos"] = {name: want["thanos"][name]
                          for name in ("labels", "downsample", "source")}
        want["stats"] = {name: want["stats"][name]
                         for name in ("numSamples", "numSeries", "numChunks")}
        got = blocks[odd["served"]]
        assert got == {name: want[name] for name in got}, (got, want)
        assert set(got) == {"version", "ulid", "minTime", "maxTime", "stats", "compaction",
                            "thanos"}


def finds_words(store, odd):
    for words, names in (("loaded", ["served", "harmful"]), ("cluster=eu1 loaded", ["served"]),
                         ("state-that-is-not-there", []), (odd["marked"], ["marked"]),
                         ("level=1 resolution=raw cluster=x", ["bad_index"]),
                         (HARMFUL.split(" ", maxsplit=1)[0], ["harmful"])):
        query = urllib.parse.quote(words)
        data = ask(store, f"/api/v1/status/store?q={query}")
        assert set(by_ulid(data)) == {odd[name] for name in names}, (words, data["blocks"])
        assert data["blocksMatched"] == len(names) and data["blocksTotal"] == len(odd)
        page = Page(store.request("GET", f"/?q={query}"))
        assert {row[0] for row in page.rows if row and row[0].startswith("01")} == \
            {odd[name] for name in names}


def refuses_wrong_arguments(store):
    for wrong in "limit=1001", "limit=-1", "limit=", "offset=x", "offset=18446744073709551616":
        answer = store.request("GET", "/api/v1/status/store?" + wrong)
        error = json.loads(answer.body)
        assert answer.status == 400 and error["errorType"] == "bad_data", (wrong, error)
        assert wrong.partition("=")[0] in error["error"]
        assert store.request("GET", "/?" + wrong).status == 400


def keeps_nothing(store):
    """Of pages and JSON that take more than this room together."""
    def used():
        return ask(store, "/api/v1/status/store")["memory"]["usedBytes"]

    room, before = 512 << 10, used()
    for _ in range(20):
        assert len(store.request("GET", "/").body) > room // 20
        assert len(store.request("GET", "/api/v1/blocks").body) > room // 20
    wait_until("memory to be given back", lambda: used() < before + room)


def pages_many(programs):
    """More blocks than a page shows: every one is on one of them, and the memory that they
    take is given back."""
    with tempfile.TemporaryDirectory() as directory:
        bucket = new_bucket(directory)
        ulids = [ulid_of(number) for number in range(MANY)]
        for number, ulid in enumerate(ulids):
            put_block(bucket, ulid, labels={"cluster": f"c{number}", "pad": "p" * 100})
        with store_of(programs, directory, "--store.memory-limit=64MB") as store:
            newest_first, path, sizes = [], "/", []
            while path:
                page = Page(store.request("GET", path))
                sizes.append(page.size)
                newest_first += [r[0] for r in page.rows if r and r[0] in ulids]
                links = [link for link in page.links if f"offset={len(newest_first)}&" in link]
                path = "/" + links[0] if links else None
            assert newest_first == ulids[::-1], "not each block once, the newest first"
            assert len(sizes) == MANY // USUAL and max(sizes) < 100 << 10, sizes
            most = ask(store, f"/api/v1/status/store?limit={MOST}")
            rest = ask(store, f"/api/v1/status/store?limit={MOST}&offset={MOST}")
            assert len(most["blocks"]) == MOST and len(rest["blocks"]) == MANY - MOST
            assert set(by_ulid(most)) | set(by_ulid(rest)) == set(ulids)
            everything = ask(store, "/api/v1/blocks")
            assert set(by_ulid(everything)) == set(ulids)
            keeps_nothing(store)
    print(f"  {MANY} blocks in {len(sizes)} pages of at most {max(sizes) >> 10} KiB")


def tells_flags(programs):
    with tempfile.TemporaryDirectory() as directory:
        put_block(new_bucket(directory), ulid_of(1))
        with store_of(programs, directory, "--web.disable", "--store.replica-label=a,b",
                      "--store.replica-label=c",
                      "--store.query-timeout=90s", "--grpc-server-tls-curves=x",
                      "--grpc-server-tls-curves=y") as store:
            flags = ask(store, "/api/v1/status/flags")
            assert all(isinstance(value, str) for value in flags.values())
            for name, value in (("web.disable", "true"), ("store.replica-label", "a,b,c"),
                                ("store.query-timeout", "90s"), ("log.level", "info"),
                                ("grpc-server-tls-curves", "x,y"), ("grpc-address",
                                                                    "0.0.0.0:10901"),
                                ("data-dir", f"{directory}/data"),
                                ("sync-block-duration", "15m"), ("consistency-delay", "0s")):
                assert flags[name] == value, (name, flags[name])
            for path in "/", "/blocks", "/loaded":
                assert store.request("GET", path).status == 404, path
            assert by_ulid(ask(store, "/api/v1/blocks")) and ask(store, "/api/v1/status/store")
            build = ask(store, "/api/v1/status/buildinfo")
            assert set(build) == {"version", "revision", "branch", "buildUser", "buildDate",
                                  "goVersion"}
            assert f'version="{build["version"]}"' in store.request("GET", "/metrics").text
            runtime = ask(store, "/api/v1/status/runtimeinfo")
            assert runtime["CWD"] == os.getcwd() and runtime["goroutineCount"] > 3, runtime
            assert re.match(r"20\d\d-\d\d-\d\dT", runtime["startTime"])
    print("  flags are told as strings; --web.disable leaves JSON alone")


class Counting(Handler):
    """Counts what arrives, and is busy now and then."""

    def do_any(self):
        owner = self.server.owner
        query = self.path.partition("?")[2]
        kind = {"HEAD": "head", "DELETE": "delete", "GET": "get"}.get(self.command, "put")
        with owner.lock:
            owner.kinds["list" if kind == "get" and query else kind] += 1
            self.is_busy = sum(owner.kinds.values()) % 3 == 0
        super().do_any()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def perform(self, data):
        if self.is_busy:
            raise Refused(503, "SlowDown", "Please reduce your request rate.")
        return super().perform(data)


def counting_bucket():
    bucket = Verifier()
    bucket.server.RequestHandlerClass = Counting
    bucket.kinds = collections.Counter()
    bucket.add_key("AKID", "secret")
    return bucket


PRICES = "currency: EUR\nper_1000: {get: 1, head: 2, list: 3, put: 4, delete: 5}\n" \
         "per_gib_out: 0\n"


def check_requests(daemon, path, bucket):
    """All that the server has seen, tries that it refused included, and what a day costs."""
    def told():
        return ask(daemon, path)["requests"]

    wait_until("the counts to be those of the server", lambda: all(
        told()["sinceStart"][kind] == bucket.kinds[kind]
        for kind in ("get", "head", "list", "put", "delete")))
    requests = told()
    prices = dict(get=1, head=2, list=3, put=4, delete=5)
    cost = sum(requests["perDay"][kind] * price / 1000 for kind, price in prices.items())
    assert requests["costPerDay"]["currency"] == "EUR"
    assert abs(requests["costPerDay"]["amount"] - cost) <= 0.01 + cost / 1000, requests
    for kind in prices:
        per_day = requests["sinceStart"][kind] * 86400 / requests["perDayIsOfSeconds"]
        assert abs(requests["perDay"][kind] - per_day) <= 1, requests
    text = daemon.request("GET", "/metrics").text
    for kind in prices:
        assert f'blockhouse_objstore_requests_total{{kind="{kind}"}} ' \
            f'{requests["sinceStart"][kind]}\n' in text, kind
    page = Page(daemon.request("GET", "/"))
    assert "EUR" in page.text and "cost per day" in page.text
    return requests


# A member of "caches", and the metric that has the same value.
CACHES = {("ranges", "hits"): "range_cache_hits_total",
          ("ranges", "misses"): "range_cache_misses_total",
          ("ranges", "ghostHits"): "range_cache_ghost_hits_total",
          ("ranges", "evictions"): "range_cache_evictions_total",
          ("ranges", "count"): "range_cache_ranges",
          ("ranges", "bytes"): "range_cache_bytes",
          ("ranges", "sharedReads"): "shared_fetches_total",
          ("disk", "hits"): "disk_cache_hits_total",
          ("disk", "misses"): "disk_cache_misses_total",
          ("disk", "damages"): "disk_cache_damages_total",
          ("disk", "failures"): "disk_cache_failures_total",
          ("disk", "count"): "disk_cache_ranges",
          ("disk", "bytes"): "disk_used_bytes{kind=\"cache\"}"}


def caches_as_metrics(store):
    """What is told of the caches, if it is what the metrics say."""
    metrics = dict(line.rsplit(" ", 1) for line in
                   store.request("GET", "/metrics").text.splitlines() if line[:1] != "#")
    data = ask(store, "/api/v1/status/store")
    for (cache, member), metric in CACHES.items():
        value = float(metrics["blockhouse_store_" + metric])
        if data["caches"][cache][member] != value:
            return None
    return data


def check_caches(store, *positive):
    """Of the members, these have counted something."""
    wait_until(f"caches as in the metrics, with {positive}", lambda: (
        data := caches_as_metrics(store)) and all(
            data["caches"][cache][member] > 0 for cache, member in positive))
    caches = ask(store, "/api/v1/status/store")["caches"]
    assert 0 < caches["disk"]["bytes"] <= caches["disk"]["limitBytes"]
    assert caches["disk"]["off"] is False and caches["disk"]["failures"] == 0
    page = Page(store.request("GET", "/"))
    ranges, disk = caches["ranges"], caches["disk"]
    assert f'{ranges["hits"]} hits, {ranges["misses"]} misses, of which a cache of twice ' \
        f'the size might have had {ranges["ghostHits"]}' in page.text
    assert f'on disk: {disk["count"]} kept, {disk["hits"]} hits, {disk["misses"]} misses' \
        in page.text
    assert page.row("cache of ranges (--store.disk-cache)")[1] == size(disk["bytes"])


def counts_requests(programs):
    bucket = counting_bucket()
    config = "--objstore.config=" + bucket.yaml("access_key: AKID", "secret_key: secret",
                                                "max_retries: 20")
    prometheus = FakePrometheus({"cluster": "eu"})
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "tsdb")
        shutil.copytree(GOLDEN, os.path.join(data, os.path.basename(GOLDEN)))
        with Daemon(os.path.join(programs, "blockhouse-sidecar"), *COMMON, config,
                    f"--tsdb.path={data}", f"--prometheus.url={prometheus.url}",
                    f"--web.request-prices={PRICES}") as sidecar:
            wait_until("the block to be shipped", lambda: "shipped" in [
                b["state"] for b in ask(sidecar, "/api/v1/sidecar/status")["blocks"]])
            requests = check_requests(sidecar, "/api/v1/sidecar/status", bucket)
            assert requests["sinceStart"]["put"] >= 3, requests
            print(f"  a shipped block: {requests['sinceStart']}")
        bucket.kinds.clear()
        prices = "--web.request-prices-file=" + write(f"{directory}/prices.yml", PRICES)
        store_command = [os.path.join(programs, "blockhouse-store"), *COMMON, config,
                         "--http-unready-delay=0s", f"--data-dir={directory}/store"]
        with Daemon(*store_command, prices) as store:
            everything = rr.query([("__name__", "!=", "")], 0, 1 << 60)
            assert rr.read_streamed(store, [everything])
            requests = check_requests(store, "/api/v1/status/store", bucket)
            assert requests["sinceStart"]["list"] >= 1 and requests["sinceStart"]["get"] >= 3
            assert requests["sinceStart"]["receivedBytes"] >= 30000, requests
            print(f"  a block that was read: {requests['sinceStart']}")
            assert rr.read_streamed(store, [everything])
            check_caches(store, ("ranges", "hits"), ("ranges", "misses"),
                         ("disk", "misses"), ("disk", "count"))
        with Daemon(*store_command) as store:
            assert rr.read_streamed(store, [everything])
            check_caches(store, ("disk", "hits"), ("disk", "count"))
    bucket.close()


SECRET = "planted+Secret/{}"
PATHS = ["/", "/blocks", "/loaded", "/metrics", "/-/ready", "/-/healthy", "/api/v1/blocks",
         "/api/v1/status/store", "/api/v1/status/flags", "/api/v1/status/buildinfo",
         "/api/v1/status/runtimeinfo", "/api/v1/sidecar/status", "/nowhere", "/?limit=x"]


def spellings(secret):
    return {secret, urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""),
            secret.replace("/", "\\/")}


def check_secrecy(daemon, planted):
    told = daemon.log_text()
    for path in PATHS:
        answer = daemon.request("GET", path)
        told += f"{answer.headers}{answer.text}"
    for secret in planted:
        for text in spellings(secret):
            at = told.find(text)
            assert at < 0, f"{text} is shown: {told[max(at - 300, 0):at + 100]}"
    assert told.count("<secret>") >= 5, "there was nothing to hide"
    return len(told)


class Planting:
    """Secrets, each told once."""

    def __init__(self):
        self.planted = []

    def __call__(self):
        self.planted.append(SECRET.format(len(self.planted)))
        return self.planted[-1]


def hides_secrets(programs):
    plant = Planting()
    environment = {"PLANTED_KEY": plant(), "AWS_SECRET_ACCESS_KEY": plant(),
                   "AWS_SESSION_TOKEN": plant()}
    inert = [f"--request.logging-config=# {plant()}", f"--tracing.config=# {plant()}"]
    bucket = counting_bucket()
    bucket.add_key("AKID", environment["PLANTED_KEY"])
    config = "--objstore.config=" + bucket.yaml(
        "access_key: AKID", "secret_key: $(PLANTED_KEY)",
        "trace: {enable: true}")
    prometheus = FakePrometheus({"cluster": "eu"})
    url = prometheus.url.replace("//", f"//someone:{urllib.parse.quote(plant(), safe='')}@")
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "tsdb")
        shutil.copytree(GOLDEN, os.path.join(data, os.path.basename(GOLDEN)))
        with Daemon(os.path.join(programs, "blockhouse-sidecar"), *COMMON, config, *inert,
                    "--log.level=debug", f"--tsdb.path={data}", f"--prometheus.url={url}",
                    f"--web.request-prices=currency: EUR # {plant()}",
                    f"--prometheus.http-client=basic_auth: {{username: me, password: {plant()}}}",
                    environment=environment) as sidecar:
            wait_until("the block to be shipped", lambda: "shipped" in [
                b["state"] for b in ask(sidecar, "/api/v1/sidecar/status")["blocks"]])
            read = check_secrecy(sidecar, plant.planted)
            flags = ask(sidecar, "/api/v1/status/flags")
            assert flags["prometheus.url"].startswith("http://<secret>@127.0.0.1:"), flags
        with Daemon(os.path.join(programs, "blockhouse-store"), *COMMON, config, *inert,
                    "--http-unready-delay=0s", "--log.level=debug",
                    f"--data-dir={directory}/store",
                    f"--web.request-prices=currency: EUR # {plant()}",
                    f"--selector.relabel-config=# {plant()}",
                    "--index-cache.config=type: REDIS\nconfig:\n  addr: a:1\n  password: "
                    + plant(),
                    "--store.caching-bucket.config=type: REDIS\nconfig:\n  addr: a:1\n"
                    f"  password: {plant()}", environment=environment) as store:
            read += check_secrecy(store, plant.planted)
    bucket.close()
    print(f"  none of {len(plant.planted)} secrets in {read} bytes")


def main():
    tells_of_each_block(sys.argv[1])
    pages_many(sys.argv[1])
    tells_flags(sys.argv[1])
    counts_requests(sys.argv[1])
    hides_secrets(sys.argv[1])


if __name__ == "__main__":
    main()
