#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real failures below sidecar and store let the alerts of deploy/mixin, and those of
Thanos's own rules that concern the two, fire and clear again.

One real Prometheus scrapes itself and both daemons, evaluates the rules, and writes the
blocks that they ship and serve. Its rules are the real ones at another pace: ranges and
"for" become seconds, and an hour in a threshold HOUR_S. Thresholds of other kinds (2 s of
latency, 5 % of errors) are untouched.

usage: alerts.py <directory of the programs> [<directory with Thanos's alerts.yaml>]
"""
import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import mixin  # noqa: E402
import remote_read as rr  # noqa: E402
from daemon import Daemon, free_port, wait_until, write  # noqa: E402
from s3_verifier import Verifier, checksum  # noqa: E402
from shipping import new_ulid  # noqa: E402
from sidecar_bad_blocks import flip  # noqa: E402
from store_bucket_faults import Proxy  # noqa: E402

RANGE, FOR, HOUR_S = "5s", "1s", 4
PATIENCE_S = 90
BLOCK_S = 5
RETENTION = "15s"
POD = {"namespace": "monitoring", "pod": "prometheus-0"}

# What fires in which act; None: why it cannot.
THANOS = {
    "ThanosSidecarIsDown": "stopped",
    "ThanosStoreIsDown": "stopped",
    "ThanosSidecarBucketOperationsFailed": "bucket refuses",
    "ThanosStoreBucketHighOperationFailures": "bucket refuses",
    "ThanosSidecarNoConnectionToStartedPrometheus": "damage",
    "ThanosStoreObjstoreOperationLatencyHigh": "slow",
    "ThanosStoreSeriesGateLatencyHigh": "slow",
}
THANOS_CANNOT = {
    "ThanosStoreGrpcErrorRate": ("the store has no gRPC server yet",
                                 "grpc_server_started_total"),
}
OURS = {
    "BlockhouseStoreNotReady": "start",
    "BlockhouseSidecarPrometheusCompacts": "start",
    "BlockhouseSidecarDown": "stopped",
    "BlockhouseStoreDown": "stopped",
    "BlockhouseSidecarUploadsFailing": "bucket refuses",
    "BlockhouseSidecarBlockOverdue": "bucket refuses",
    "BlockhouseSidecarNoUpload": "bucket refuses",
    "BlockhouseSidecarPinsGrowing": "bucket refuses",
    "BlockhouseSidecarBlocksUnpinned": "bucket refuses",
    "BlockhouseSidecarPassesFailing": "bucket refuses",
    "BlockhouseStoreSyncFailing": "bucket refuses",
    "BlockhouseStoreViewOld": "bucket refuses",
    "BlockhouseStoreErrors": "bucket refuses",
    "BlockhouseBucketErrors": "bucket refuses",
    "BlockhouseSidecarPrometheusUnreachable": "damage",
    "BlockhouseSidecarBadBlocks": "damage",
    "BlockhouseStoreBlocksMissing": "damage",
    "BlockhouseStoreBlockLoadsFailing": "damage",
    "BlockhouseStoreBlockDamaged": "damage",
    "BlockhouseSidecarNoExternalLabels": "slow",
    "BlockhouseStoreGateRefuses": "slow",
    "BlockhouseStoreGateSlow": "slow",
    "BlockhouseStoreLimitsRefuse": "slow",
    "BlockhouseBucketSlow": "slow",
}
OURS_CANNOT = {
    "BlockhouseRestarts": "counts the starts of an hour; mixin.py has it",
    "BlockhouseStoreMemoryShort": "wants a load that store_hostile.py makes; mixin.py has it",
}
RECORDED = (":thanos_objstore_bucket_failures_per_operation:sum_rate",
            ":thanos_objstore_bucket_operation_duration_seconds:histogram_quantile")


def at_test_pace(groups):
    """The same rules, faster."""
    for group in groups:
        group.pop("interval", None)
        for rule in group["rules"]:
            expr = re.sub(r"\[\d+[smh]\]", f"[{RANGE}]", rule["expr"])
            rule["expr"] = re.sub(r"\b3600\b", str(HOUR_S), expr)
            if "for" in rule:
                rule["for"] = FOR
    return {"groups": groups}


def thanos_groups(directory):
    """Those that concern the sidecar and the store; each alert is in one of the tables."""
    groups = [group for name in ("alerts", "rules")
              for group in mixin.load(f"{directory}/{name}.yaml")["groups"]]
    absent = [group for group in groups if group["name"] == "thanos-component-absent"]
    for group in absent:
        group["rules"] = [rule for rule in group["rules"]
                          if re.search("Sidecar|Store", rule["alert"])]
    chosen = absent + [group for group in groups if re.match(
        r"thanos-(sidecar|store)(\.rules)?$", group["name"])]
    names = {rule["alert"] for group in chosen for rule in group["rules"] if "alert" in rule}
    assert names == THANOS.keys() | THANOS_CANNOT.keys(), names
    return chosen


class Prometheus(Daemon):
    """Scrapes at those addresses {job: host:port}, and writes blocks of BLOCK_S."""

    def __init__(self, root, jobs, rules):
        super().__init__(
            mixin.program("prometheus"), f"--config.file={root}/prometheus.yml",
            f"--storage.tsdb.path={root}/data", "--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.min-block-duration={BLOCK_S}s",
            f"--storage.tsdb.max-block-duration={BLOCK_S}s",
            f"--storage.tsdb.retention.time={RETENTION}")
        self.root, self.jobs, self.rules = root, jobs, rules
        self.configure({"cluster": "eu1"})

    def configure(self, external_labels):
        jobs = {"prometheus": f"127.0.0.1:{self.port}", **self.jobs}
        write(f"{self.root}/prometheus.yml", json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms",
                       "evaluation_interval": "500ms", "external_labels": external_labels},
            "rule_files": self.rules,
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target], "labels": POD}]}
                for job, target in jobs.items()]}))

    def reconfigure(self, external_labels):
        self.configure(external_labels)
        self.process.send_signal(signal.SIGHUP)

    def ask(self, path):
        return json.loads(self.request("GET", path).text)["data"]

    def firing(self):
        """{name: [alert]}"""
        found = {}
        for alert in self.ask("/api/v1/alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def has(self, expr):
        return bool(self.ask("/api/v1/query?query=" + urllib.parse.quote(expr))["result"])


@dataclasses.dataclass
class Stage:
    """Everything that the acts need."""
    root: str
    build: str
    s3: Verifier
    bucket: Proxy            # before s3
    jobs: dict
    prometheus: Prometheus
    before_prometheus: Proxy

    def config(self):
        text = self.s3.yaml("access_key: reader", "secret_key: secret")
        return text.replace(self.s3.endpoint, self.bucket.address)

    def daemon(self, job, program, *flags):
        """At the address where it is scraped."""
        daemon = Daemon(f"{self.build}/{program}", f"--http-address={self.jobs[job]}",
                        f"--objstore.config={self.config()}", *flags, ready="/-/healthy")
        daemon.port = int(self.jobs[job].rpartition(":")[2])
        return daemon

    def sidecar(self, *flags):
        return self.daemon("thanos-sidecar", "blockhouse-sidecar",
                           f"--tsdb.path={self.root}/data", "--shipper.spool-limit=1B",
                           "--prometheus.get_config_interval=200ms",
                           f"--prometheus.url=http://{self.before_prometheus.address}", *flags)

    def store(self):
        return self.daemon("thanos-store", "blockhouse-store",
                           f"--data-dir={self.root}/store", "--sync-block-duration=1s",
                           "--store.grpc.series-max-concurrency=1", "--index-cache-size=0",
                           "--store.queue-timeout=8s", "--store.limits.request-series=400",
                           "--http-unready-delay=0s")

    def wait_firing(self, act):
        """Until each alert of this act has been seen firing."""
        wanted = {name for table in (OURS, THANOS) for name in table if table[name] == act}
        if not self.has_thanos_rules():
            wanted -= THANOS.keys()
        seen = {}

        def look():
            seen.update(self.prometheus.firing())
            return wanted <= seen.keys()
        try:
            wait_until("the alerts", look, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(
                f"{act}: never fired: {sorted(wanted - seen.keys())}") from error
        for name, found in seen.items():
            check_texts(name, found)
        print(f"  {act}: {len(wanted)} alerts fired")

    def has_thanos_rules(self):
        return len(self.prometheus.rules) > 1

    def wait_clear(self, act):
        try:
            wait_until("silence", lambda: not self.prometheus.firing(), PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{act}: still firing: {sorted(self.prometheus.firing())}") \
                from error

    def objects_of(self, name):
        """Keys of that object in every block, oldest block first."""
        return sorted(key for key in list(self.s3.objects) if key.endswith("/" + name))


def check_texts(name, found):
    """Its texts are whole, and ours name the instance."""
    for alert in found:
        text = " ".join(alert["annotations"].values())
        assert "<no value>" not in text and "<error" not in text, text
        if name in OURS and "instance" in alert["labels"]:
            assert alert["labels"]["instance"] in alert["annotations"]["description"], text


def read(store, name):
    """Status of a remote read of that metric, or name@cluster; 0 if it was cut."""
    name, _, cluster = name.partition("@")
    matchers = [("__name__", "=~", name), ("cluster", "=~", cluster or ".*")]
    body = rr.encode([rr.query(matchers, 0, 1 << 60)],
                     [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS])
    try:
        return rr.post(store, body, timeout=60).status
    except OSError:
        return 0


class Readers:
    """Context manager: clients that read those names again and again."""

    def __init__(self, store, *names):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(store, name), daemon=True)
                        for name in names]

    def run(self, store, name):
        while not self.stop.is_set():
            read(store, name)
            self.stop.wait(0.2)

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def start(stage):
    """The store begins without its bucket; the sidecar is to flush and cannot."""
    stage.bucket.fault("status status=403 code=AccessDenied")
    with stage.sidecar("--shipper.flush-on-shutdown"), stage.store():
        stage.wait_firing("start")
        stage.bucket.tell("clear")
    stage.wait_firing("stopped")


def bucket_refuses(stage, store):
    """Until blocks wait that Prometheus has deleted, and others are without a pin."""
    stage.bucket.fault("status status=403 code=AccessDenied")
    with Readers(store, "up"):
        stage.wait_firing("bucket refuses")
        stage.bucket.tell("clear")
        stage.wait_clear("bucket refuses")
    for name in RECORDED if stage.has_thanos_rules() else ():
        assert stage.prometheus.has(f'{{__name__="{name}"}}'), f"nothing is recorded: {name}"


def put(stage, key, data):
    """In the place of that object, and newer."""
    stored = stage.s3.objects[key]
    stage.s3.objects[key] = stored._replace(data=data, mtime=stored.mtime + 1,
                                            etag=f'"{random.getrandbits(128):032x}"',
                                            checksum=checksum(data))


def add_bad_local(stage):
    """A block of Prometheus's, with the frame of a chunk broken."""
    golden = os.path.join(HERE, "..", "golden")
    source = next(os.path.join(golden, one, ulid) for one in sorted(os.listdir(golden))
                  if os.path.isdir(os.path.join(golden, one))
                  for ulid in sorted(os.listdir(os.path.join(golden, one)))
                  if ulid.startswith("0"))
    ulid = new_ulid()
    made = f"{stage.root}/{ulid}"
    shutil.copytree(source, made)
    with open(f"{made}/meta.json", encoding="utf-8") as file:
        meta = json.load(file)
    meta.update(ulid=ulid, compaction={"level": 1, "sources": [ulid]})
    write(f"{made}/meta.json", json.dumps(meta))
    flip(f"{made}/chunks/000001", 8)
    os.rename(made, f"{stage.root}/data/{ulid}")
    return ulid


def copy_block(stage, source, cluster, **changes):
    """A copy in the bucket under another id and label; changes: {object: function}."""
    ulid = new_ulid()
    for key in [key for key in list(stage.s3.objects) if key.startswith(source + "/")]:
        name = key.partition("/")[2]
        stage.s3.objects[f"{ulid}/{name}"] = stage.s3.objects[key]
        if name == "meta.json":
            meta = json.loads(stage.s3.objects[key].data)
            meta.update(ulid=ulid, compaction={"level": 1, "sources": [ulid]})
            meta["thanos"]["labels"]["cluster"] = cluster
            put(stage, f"{ulid}/{name}", json.dumps(meta).encode())
        if name in changes:
            put(stage, f"{ulid}/{name}", changes[name](stage.s3.objects[key].data))
    return ulid


def remove_block(stage, ulid):
    for key in [key for key in list(stage.s3.objects) if key.startswith(ulid + "/")]:
        del stage.s3.objects[key]


def damage(stage, store):
    """A bad block on the disk, three of them in the bucket, and Prometheus out of reach."""
    local = add_bad_local(stage)
    # The first blocks may hold alerts alone.
    source = stage.objects_of("meta.json")[-1].partition("/")[0]
    bad = [copy_block(stage, source, "meta", **{"meta.json": lambda data: data[:20]}),
           copy_block(stage, source, "index", index=lambda data: bytes(len(data))),
           copy_block(stage, source, "chunk", **{
               "chunks/000001": lambda data: data[:8] + bytes(len(data) - 8)})]
    stage.before_prometheus.fault("reset after=-1")
    with Readers(store, "up@index", "up@chunk"):
        stage.wait_firing("damage")
        stage.before_prometheus.tell("clear")
        for ulid in bad:
            remove_block(stage, ulid)
        shutil.rmtree(f"{stage.root}/data/{local}", ignore_errors=True)
        shutil.rmtree(f"{stage.root}/data/thanos/upload/{local}", ignore_errors=True)
        stage.wait_clear("damage")


def slow(stage, store):
    """Each read of the bucket takes 2.1 s below queries for one slot, some of which ask for
    too much; and Prometheus has lost its labels."""
    stage.prometheus.reconfigure({})
    stage.bucket.fault("delay ms=2100 method=GET part=index")
    with Readers(store, "up", "up", "up", ".+", ".+"):
        stage.wait_firing("slow")
        stage.bucket.tell("clear")
        stage.prometheus.reconfigure({"cluster": "eu1"})
    stage.wait_clear("slow")


def check_cannot(store):
    page = mixin.Series(store.request("GET", "/metrics").text)
    for name, (reason, metric) in THANOS_CANNOT.items():
        assert not page.has(metric, []), f"{name} could fire now; it did not as {reason}"


def play(stage):
    start(stage)
    with stage.sidecar(), stage.store() as store:
        wait_until("blocks to be served", lambda: store.metric(
            "thanos_bucket_store_blocks_loaded") >= 2, PATIENCE_S)
        stage.wait_clear("stopped")
        check_cannot(store)
        bucket_refuses(stage, store)
        damage(stage, store)
        slow(stage, store)


def rule_files(root, thanos):
    ours = mixin.load(mixin.ALERTS)["groups"]
    names = mixin.alerts(mixin.ALERTS).keys()
    assert names == OURS.keys() | OURS_CANNOT.keys(), names ^ OURS.keys()
    found = [("ours", ours)] + ([("thanos", thanos_groups(thanos))] if thanos else [])
    return [write(f"{root}/{name}.yaml", json.dumps(at_test_pace(groups)))
            for name, groups in found]


def main():
    build = os.path.abspath(sys.argv[1])
    thanos = sys.argv[2] if len(sys.argv) > 2 else None
    jobs = {job: f"127.0.0.1:{free_port()}" for job in ("thanos-sidecar", "thanos-store")}
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="blockhouse-alerts-"))
        s3 = Verifier()
        s3.add_key("reader", "secret")
        bucket = stack.enter_context(Proxy(s3.endpoint))
        prometheus = Prometheus(root, jobs, rule_files(root, thanos))
        before = stack.enter_context(Proxy(f"127.0.0.1:{prometheus.port}"))
        stack.enter_context(prometheus)
        play(Stage(root, build, s3, bucket, jobs, prometheus, before))


if __name__ == "__main__":
    main()
