#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/compose is right by the schema of Compose and in itself, and its command lines,
run without containers, make the whole journey: a block that one Prometheus writes is
shipped to MinIO by the sidecar, served by the store, and read by the other Prometheus.

What a container would do is done by names: each path of a volume and each host:port of a
service is replaced, in arguments and configurations, by one of this machine. Blocks take
BLOCK, not two minutes. Grafana alone does not run; what it is given is compared.

usage: compose.py <directory of the programs> <minio> <prometheus> <compose-spec.json>
"""
import contextlib
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import mixin  # noqa: E402 (it looks for yaml)
from daemon import Daemon, free_port, wait_until, write  # noqa: E402

try:
    import jsonschema
except ImportError:
    print("SKIP: no jsonschema module; the package python3-jsonschema has it")
    sys.exit(77)

FOLDER = os.path.join(mixin.ROOT, "deploy", "compose")
BLOCK = "5s"
PATIENCE_S = 120
# Where each image listens, if it is not told.
LISTENS = {"prom/prometheus": 9090, "blockhouse": 10902, "grafana/grafana": 3000,
           "minio/minio": 9000}
PINNED = re.compile(r"(blockhouse|docker\.io/[\w/-]+):v?[A-Z0-9]*\.?\d[\w.-]*\d(Z|$)")


def image_of(service):
    return re.sub(r"^docker\.io/|:[^:]*$", "", service["image"])


def load_compose():
    """With ${NAME:-default} replaced by the default."""
    with open(f"{FOLDER}/compose.yaml", encoding="utf-8") as file:
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", file.read())
    return mixin.yaml.safe_load(text)


def check_mounts(compose, name, service):
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/"), volume
        if source.startswith("."):
            assert os.path.exists(os.path.join(FOLDER, source)), f"{name}: no {source}"
            assert mode == ["ro"], f"{name} may write to the tree: {volume}"
        else:
            assert source in compose["volumes"], f"{name}: no volume {source}"


def check(compose, schema):
    """The schema, and what it cannot say."""
    with open(schema, encoding="utf-8") as file:
        jsonschema.Draft7Validator(json.load(file)).validate(compose)
    services, published = compose["services"], []
    for name, service in services.items():
        assert PINNED.match(service["image"]), f"{name}: {service['image']} is not pinned"
        check_mounts(compose, name, service)
        for port in service.get("ports", []):
            host, outer, inner = port.split(":")
            assert host == "127.0.0.1", f"{name}: {port} is open to others"
            assert int(inner) == LISTENS[image_of(service)], f"{name}: {port}"
            published.append(outer)
        needs = service.get("depends_on", {})
        for other in needs:
            healthy = isinstance(needs, dict) and \
                needs[other]["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in services[other], f"{name}: {other}"
    assert len(set(published)) == len(published), published
    used = {volume.split(":")[0] for service in services.values()
            for volume in service.get("volumes", []) if volume[0] != "."}
    assert used == compose["volumes"].keys(), used ^ compose["volumes"].keys()
    with open(f"{FOLDER}/compose.yaml", encoding="utf-8") as file:
        told = set(re.findall(r"^#.*?localhost:(\d+)|http://localhost:(\d+)/metrics",
                              file.read(), re.MULTILINE))
    assert {one for pair in told for one in pair if one} <= set(published), told


def check_grafana(compose):
    """Each data source is a service at its port; the dashboards are where it looks."""
    service = compose["services"]["grafana"]
    mounts = {target: os.path.join(FOLDER, source) for source, target, _ in
              (volume.split(":") for volume in service["volumes"])}
    sources = mixin.load(f"{FOLDER}/grafana/datasources.yaml")["datasources"]
    assert len({one["uid"] for one in sources}) == len(sources)
    assert sum(one.get("isDefault", False) for one in sources) == 1
    for one in sources:
        url = urllib.parse.urlparse(one["url"])
        target = compose["services"][url.hostname]
        assert url.port == LISTENS[image_of(target)], one
    for one in mixin.load(f"{FOLDER}/grafana/dashboards.yaml")["providers"]:
        found = glob.glob(mounts[one["options"]["path"]] + "/*.json")
        assert len(found) == 2, found


class Service(Daemon):
    """Ready when its healthcheck, if it has one, says so."""

    check = None

    def is_ready(self):
        if self.check is None or self.process.poll() is not None:
            return super().is_ready()
        return subprocess.run(self.check, env=self.environment, capture_output=True,
                              check=False, timeout=20).returncode == 0


class Stage:
    """Where each service's files and ports are on this machine."""

    def __init__(self, compose, root, programs):
        self.services, self.root, self.programs = compose["services"], root, programs
        self.ports = {name: free_port() for name in self.services}

    def folder(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        return path

    def mounts(self, name):
        """[(path in the container, path here)], configurations as copies."""
        service = self.services[name]
        found = [(one.partition(":")[0], self.folder(f"{name}-tmpfs"))
                 for one in service.get("tmpfs", [])]
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                found.append((target, self.copy(name, os.path.join(FOLDER, source))))
            else:
                found.append((target, self.folder(source)))
        return sorted(found, reverse=True)

    def copy(self, name, path):
        if os.path.isdir(path):
            return path
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if os.path.basename(path) != "alerts.yaml":
            text = re.sub(r"_interval: \d+s", "_interval: 1s", self.mapped(name, text))
        return write(os.path.join(self.folder(f"{name}-files"), os.path.basename(path)), text)

    def mapped(self, name, text):
        """host:port of services, and of the service itself, at this machine."""
        for other, service in self.services.items():
            inner = LISTENS[image_of(service)]
            text = re.sub(rf"\b{other}:{inner}\b", f"127.0.0.1:{self.ports[other]}", text)
        inner = LISTENS[image_of(self.services[name])]
        return re.sub(rf"(localhost|(?<![\w.])):{inner}\b", f"127.0.0.1:{self.ports[name]}",
                      text)

    def words(self, name, words):
        def mapped(word):
            word = self.mapped(name, word)
            for target, path in self.mounts(name):
                word = re.sub(rf"(?<![\w/]){target}(?=/|\s|$)", path, word)
            word = re.sub(r"(block-duration=).*", rf"\g<1>{BLOCK}", word)
            return re.sub(r"(sync-block-duration=).*", r"\g<1>1s", word)
        return [mapped(word) for word in words]

    def command(self, name):
        """Its command line, here."""
        service = self.services[name]
        words = self.words(name, [*service.get("entrypoint", []),
                                  *service.get("command", [])])
        address = f"127.0.0.1:{self.ports[name]}"
        image = image_of(service)
        if image == "blockhouse":
            words = [self.programs["blockhouse"], *words, f"--http-address={address}"]
        elif image == "prom/prometheus":
            words = [self.programs["prometheus"], *words, f"--web.listen-address={address}"]
        return words

    def daemon(self, name):
        service = self.services[name]
        environment = {"PATH": os.pathsep.join(
            [os.path.dirname(self.programs["minio"]), os.path.dirname(
                self.programs["prometheus"]), os.environ["PATH"]]),
            **service.get("environment", {})}
        daemon = Service(*self.command(name), environment=environment)
        daemon.port, daemon.ready_s = self.ports[name], PATIENCE_S
        check = service.get("healthcheck")
        if check:
            assert check["test"][0] == "CMD", check
            daemon.check = self.words(name, check["test"][1:])
        return daemon


def check_configs(stage):
    for name in ("prometheus", "reader"):
        option = next(word for word in stage.command(name)
                      if word.startswith("--config.file="))
        path = option.partition("=")[2]
        target = dict(stage.mounts(name)).get("/etc/prometheus/alerts.yaml")
        assert target is None or os.path.dirname(target) == os.path.dirname(path)
        mixin.promtool("check", "config", path)


def ask(prometheus, query, **more):
    """The result of a query, [] if it fails."""
    words = urllib.parse.urlencode({"query": query, **more})
    answer = json.loads(prometheus.request("GET", f"/api/v1/query?{words}").text)
    return answer.get("data", {}).get("result", [])


def check_journey(daemons):
    """What the reader says of a time comes from the store, and is what the writer says."""
    store, writer, reader = (daemons[name] for name in ("store", "prometheus", "reader"))
    for target in ("prometheus", "blockhouse-sidecar", "blockhouse-store"):
        wait_until(f"{target} to be up", lambda: ask(
            writer, f'up{{job="{target}"}} == 1'), PATIENCE_S)
    # The first blocks may hold what rules have recorded before, and no more.
    at = float(ask(writer, "time()")[1])
    wait_until("a later block", lambda: daemons["sidecar"].metric(
        "blockhouse_sidecar_newest_shipped_block_timestamp_seconds") > at, PATIENCE_S)
    wait_until("blocks in the store", lambda: store.metric(
        "thanos_bucket_store_blocks_loaded") > 0, PATIENCE_S)
    for query in ("up", 'max_over_time(up{job="prometheus"}[30s])'):
        query = {"query": query, "time": at}
        wait_until("the reader to answer", lambda: ask(reader, **query), PATIENCE_S)
        mine, theirs = ([(one["metric"], one["value"]) for one in ask(which, **query)]
                        for which in (reader, writer))
        labels = {"cluster": "laptop", "replica": "a"}
        theirs = [({**metric, **labels}, value) for metric, value in theirs]
        assert sorted(mine, key=str) == sorted(theirs, key=str), f"{mine}\n{theirs}"
    groups = json.loads(writer.request("GET", "/api/v1/rules").text)["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(mixin.alerts(mixin.ALERTS)), len(rules)


def play(compose, root, programs):
    stage = Stage(compose, root, programs)
    check_configs(stage)
    with contextlib.ExitStack() as stack:
        daemons = {}
        for name in ("minio", "prometheus", "sidecar", "store", "reader"):
            daemons[name] = stack.enter_context(stage.daemon(name))
        assert daemons.keys() | {"grafana"} == compose["services"].keys()
        check_journey(daemons)
    print(f"  {len(daemons)} services made the journey")


def main():
    build, minio, prometheus, schema = map(os.path.abspath, sys.argv[1:])
    compose = load_compose()
    check(compose, schema)
    check_grafana(compose)
    with tempfile.TemporaryDirectory(prefix="blockhouse-compose-") as root:
        play(compose, root, {"blockhouse": f"{build}/blockhouse", "minio": minio,
                             "prometheus": prometheus})


if __name__ == "__main__":
    main()
