#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The alerts and dashboards of deploy/mixin name series that the daemons export, have a
runbook each, and are right: promtool checks them, and lets each alert fire and clear.

usage: mixin.py <directory of the programs>
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import mixin  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from shipping import LABELS  # noqa: E402

# Minutes: so long is it bad, and then good.
BAD, GOOD = 360, 420
HOUR_S = 3600
RULES = mixin.alerts(mixin.ALERTS)
SIDECAR = 'job="blockhouse-sidecar", instance="s:1"'
STORE = 'job="blockhouse-store", instance="s:2"'


def steady(bad, good=0):
    return f"{bad}+0x{BAD - 1} {good}+0x{GOOD}"


def grows(per_minute):
    """A counter that grows, then stands still."""
    return f"0+{per_minute}x{BAD - 1} {per_minute * BAD}+0x{GOOD}"


def follows():
    """A time that stands still, then is that of the moment."""
    return f"60+0x{BAD - 1} {BAD * 60}+60x{GOOD}"


OPERATION = f'{STORE}, bucket="b", operation="get"'
READ = f'{STORE}, method="post", handler="read"'

# Alert -> [(series, values)].
SERIES = {
    "BlockhouseSidecarDown": [(f"up{{{SIDECAR}}}", steady(0, 1))],
    "BlockhouseSidecarPrometheusUnreachable":
        [(f"thanos_sidecar_prometheus_up{{{SIDECAR}}}", steady(0, 1))],
    "BlockhouseSidecarNoExternalLabels":
        [(f'blockhouse_sidecar_prometheus_not_ready{{{SIDECAR}, reason="unlabeled"}}',
          steady(1))],
    "BlockhouseSidecarPrometheusCompacts":
        [(f"blockhouse_sidecar_prometheus_flags_unsuitable{{{SIDECAR}, "
          'reason="unequal_block_durations"}', steady(1))],
    "BlockhouseSidecarUploadsFailing":
        [(f'blockhouse_sidecar_failing_blocks{{{SIDECAR}, code="unavailable"}}', steady(2))],
    "BlockhouseSidecarBadBlocks":
        [(f'blockhouse_sidecar_failing_blocks{{{SIDECAR}, code="corrupt"}}', steady(1))],
    "BlockhouseSidecarBlockOverdue":
        [(f"blockhouse_sidecar_oldest_unshipped_block_age_seconds{{{SIDECAR}}}",
          steady(4 * HOUR_S, 100))],
    "BlockhouseSidecarNoUpload":
        [(f"blockhouse_sidecar_newest_shipped_block_timestamp_seconds{{{SIDECAR}}}",
          follows())],
    "BlockhouseSidecarPinsGrowing":
        [(f"blockhouse_sidecar_pinned_bytes{{{SIDECAR}}}", steady(1 << 20))],
    "BlockhouseSidecarBlocksUnpinned":
        [(f"blockhouse_sidecar_unpinned_blocks{{{SIDECAR}}}", steady(1))],
    "BlockhouseSidecarPassesFailing":
        [(f"thanos_shipper_dir_sync_failures_total{{{SIDECAR}}}", grows(2))],
    "BlockhouseStoreDown": [(f"up{{{STORE}}}", steady(0, 1))],
    "BlockhouseStoreNotReady":
        [(f'thanos_status{{{STORE}, component="store", check="ready"}}', steady(0, 1))],
    "BlockhouseStoreSyncFailing":
        [(f"thanos_blocks_meta_sync_failures_total{{{STORE}}}", grows(0.1))],
    "BlockhouseStoreViewOld":
        [(f"blockhouse_store_view_timestamp_seconds{{{STORE}}}", follows())],
    "BlockhouseStoreBlocksMissing":
        [(f'thanos_blocks_meta_synced{{{STORE}, state="corrupted-meta-json"}}', steady(3))],
    "BlockhouseStoreBlockLoadsFailing":
        [(f"thanos_bucket_store_block_load_failures_total{{{STORE}}}", grows(1))],
    "BlockhouseStoreBlockDamaged":
        [(f"blockhouse_store_block_damages_total{{{STORE}}}", grows(1))],
    "BlockhouseStoreGateRefuses":
        [(f'thanos_bucket_store_queries_dropped_total{{{STORE}, reason="gate"}}', grows(5))],
    "BlockhouseStoreGateSlow":
        [(f'thanos_bucket_store_series_gate_queries_duration_seconds_bucket{{{STORE}, '
          f'le="{le}"}}', grows(rate))
         for le, rate in (("1", 1), ("3", 2), ("6", 60), ("+Inf", 60))],
    "BlockhouseStoreLimitsRefuse":
        [(f'thanos_bucket_store_queries_dropped_total{{{STORE}, reason="series"}}',
          grows(5))],
    "BlockhouseStoreMemoryShort":
        [(f"blockhouse_store_memory_waiting_queries{{{STORE}}}", steady(2)),
         (f"blockhouse_store_memory_used_bytes{{{STORE}}}", steady(95, 50)),
         (f"blockhouse_store_memory_limit_bytes{{{STORE}}}", steady(100, 100))],
    "BlockhouseStoreErrors":
        [(f'http_requests_total{{{READ}, code="500"}}', grows(5)),
         (f'http_requests_total{{{READ}, code="200"}}', f"0+20x{BAD + GOOD}")],
    "BlockhouseBucketErrors":
        [(f"thanos_objstore_bucket_operation_failures_total{{{OPERATION}}}", grows(5)),
         (f"thanos_objstore_bucket_operations_total{{{OPERATION}}}", f"0+20x{BAD + GOOD}")],
    "BlockhouseBucketSlow":
        [(f'thanos_objstore_bucket_operation_duration_seconds_bucket{{{OPERATION}, '
          f'le="{le}"}}', grows(rate))
         for le, rate in (("1", 1), ("3", 2), ("6", 60), ("+Inf", 60))],
    "BlockhouseRestarts":
        [(f"process_start_time_seconds{{{STORE}}}", f"0+1x{BAD - 1} {BAD}+0x{GOOD}")],
}

# What must not fire them, all the time.
HARMLESS = {
    "BlockhouseSidecarBadBlocks":
        [(f'blockhouse_sidecar_failing_blocks{{{SIDECAR}, code="unavailable"}}', "1+0x700")],
    "BlockhouseSidecarUploadsFailing":
        [(f'blockhouse_sidecar_failing_blocks{{{SIDECAR}, code="conflict"}}', "1+0x700")],
    "BlockhouseSidecarPrometheusCompacts":
        [(f"blockhouse_sidecar_prometheus_flags_unsuitable{{{SIDECAR}, "
          'reason="unusual_block_duration"}', "1+0x700")],
    "BlockhouseSidecarNoUpload":  # a run that has just begun has shipped nothing
        [(f"blockhouse_sidecar_newest_shipped_block_timestamp_seconds{{{SIDECAR}}}", "0+0x700"),
         (f"process_start_time_seconds{{{SIDECAR}}}", f"0+{HOUR_S}x11")],
    "BlockhouseStoreViewOld":  # nothing has been seen yet
        [(f"blockhouse_store_view_timestamp_seconds{{{STORE}}}", "0+0x700")],
    "BlockhouseStoreMemoryShort":  # caches may fill it
        [(f"blockhouse_store_memory_waiting_queries{{{STORE}}}", "0+0x700"),
         (f"blockhouse_store_memory_used_bytes{{{STORE}}}", "99+0x700"),
         (f"blockhouse_store_memory_limit_bytes{{{STORE}}}", "100+0x700")],
    "BlockhouseBucketSlow":
        [(f'thanos_objstore_bucket_operation_duration_seconds_bucket{{{STORE}, bucket="b", '
          f'operation="upload", le="{le}"}}', f"0+{rate}x700")
         for le, rate in (("1", 1), ("6", 60), ("+Inf", 60))],
}

# A second way to fire.
MORE = {
    "BlockhouseSidecarDown": [("nothing", "0+0x700")],
    "BlockhouseStoreDown": [("nothing", "0+0x700")],
    "BlockhouseSidecarNoUpload":
        [(f"blockhouse_sidecar_newest_shipped_block_timestamp_seconds{{{SIDECAR}}}",
          "0+0x700"), (f"process_start_time_seconds{{{SIDECAR}}}", "0+0x700")],
}


def minutes(duration):
    number, unit = re.fullmatch(r"(\d+)([mh])", duration).groups()
    return int(number) * {"m": 1, "h": 60}[unit]


def firing(name, minute, count):
    """A promtool test: so many alerts of that name fire at that minute."""
    return {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)',
            "eval_time": f"{minute}m", "exp_samples": [{"value": count, "labels": "{}"}]}


def case(name, series, *checks):
    """For promtool: one alert, alone, as all of them would take minutes."""
    return {"rules": {"groups": [{"name": "one", "rules": [RULES[name]]}]}, "test": {
        "interval": "1m", "promql_expr_test": checks,
        "input_series": [{"series": one, "values": values} for one, values in series]}}


def cases():
    for name, series in SERIES.items():
        pause = minutes(RULES[name].get("for", "0m"))
        checks = [firing(name, pause - 1, 0)] if pause else []
        yield case(name, series, *checks, firing(name, BAD - 1, 1),
                   firing(name, BAD + GOOD - 1, 0))
    for name, series in HARMLESS.items():
        yield case(name, series, *(firing(name, at, 0) for at in (100, 300, 600)))
    for name, series in MORE.items():
        yield case(name, series, firing(name, 600, 1))


def check_rules(directory):
    assert RULES.keys() == SERIES.keys(), RULES.keys() ^ SERIES.keys()
    mixin.promtool("check", "rules", mixin.ALERTS)
    files = []
    for number, one in enumerate(cases()):
        rules = write(f"{directory}/{number}.rules.yaml", json.dumps(one["rules"]))
        files.append(write(f"{directory}/{number}.yaml", json.dumps(
            {"rule_files": [rules], "evaluation_interval": "1m", "tests": [one["test"]]})))
    mixin.promtool("test", "rules", *files)
    print(f"  {len(RULES)} alerts fire and clear, {len(files)} cases")


def options(build, words):
    printed = subprocess.run([f"{build}/blockhouse", *words, "--help"], capture_output=True,
                             text=True, check=True).stdout
    return set(re.findall(r"--(?:\[no-\])?([a-z][\w.-]*)", printed))


def check_runbook(path, name, known):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert text.startswith(f"# {name}\n"), path
    for part in ("\n## Look at\n", "\n```sh\n", "\n## Do\n"):
        assert part in text, f"{path}: no {part.strip()}"
    for flag in re.findall(r"--([a-z][\w.-]*\w)", text):
        assert flag in known, f"{path}: nobody has a flag --{flag}"
    for command in re.findall(r"^blockhouse (.*)$", text, re.MULTILINE):
        tool, verb = command.split()[:2]
        assert tool == "bucket" and verb in ("ls", "inspect", "verify"), command
    for other in re.findall(r"\bBlockhouse\w+", text):
        assert other in SERIES, f"{path}: no alert {other}"


def check_runbooks(build):
    """Each alert has one; its flags exist in a daemon, the tool, or Prometheus."""
    known = {"storage.tsdb.retention.time", "storage.tsdb.min-block-duration",
             "storage.tsdb.max-block-duration", "storage.tsdb.delay-compact-file.path",
             "web.enable-admin-api", "enable-feature", "previous"}
    for words in (["sidecar"], ["store"], ["bucket", "ls"]):
        known |= options(build, words)
    named = set()
    for name, rule in RULES.items():
        told = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert "$labels.instance" in told["description"], f"{name}: names no instance"
        assert "$value" in told["description"] or "absent(" in rule["expr"], name
        path = os.path.join(mixin.ROOT, told["runbook"])
        check_runbook(path, name, known)
        named.add(path)
    assert named == set(glob.glob(f"{mixin.ROOT}/docs/runbooks/Blockhouse*.md"))


def panels(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)["panels"]


def expressions(path):
    """Of a dashboard, with its variables replaced."""
    for panel in panels(path):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m") \
                .replace("$job", ".+").replace("$instance", ".+")


def check_dashboard(path, directory):
    """Grafana would take it: panels of their own ids and places, expressions that parse."""
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    all_panels = whole["panels"]
    variables = {one["name"] for one in whole["templating"]["list"]}
    assert {"datasource", "job", "instance"} == variables, variables
    assert whole["uid"] + ".json" == os.path.basename(path) and whole["title"]
    assert len({panel["id"] for panel in all_panels}) == len(all_panels)
    taken = set()
    for panel in all_panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
    rules = [{"record": f"r{number}", "expr": expr}
             for number, (_, expr) in enumerate(expressions(path))]
    text = json.dumps({"groups": [{"name": "panels", "rules": rules}]})
    mixin.promtool("check", "rules", write(f"{directory}/panels.yaml", text))
    return len(rules)


def check_series(where, expr, pages):
    """Each selector finds something in a page of metrics."""
    for name, matchers in mixin.selectors(expr):
        assert any(page.has(name, matchers) for page in pages), \
            f"{where}: no daemon exports {name} with {matchers}"


def scrape(build, root):
    """/metrics of sidecar and store."""
    bucket = f"--objstore.config={dir_bucket(root + '/bucket')}"
    os.mkdir(f"{root}/data")
    address = "--http-address=127.0.0.1:{port}"
    with Daemon(f"{build}/blockhouse-sidecar", address, f"--tsdb.path={root}/data", bucket,
                f"--prometheus.url={FakePrometheus(LABELS).url}") as sidecar, \
            Daemon(f"{build}/blockhouse-store", address, f"--data-dir={root}/store",
                   bucket) as store:
        wait_until("a pass", lambda: sidecar.metric("thanos_shipper_dir_syncs_total") > 0)
        return {name: mixin.Series(daemon.request("GET", "/metrics").text)
                for name, daemon in (("sidecar", sidecar), ("store", store))}


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="blockhouse-mixin-") as root:
        check_rules(root)
        check_runbooks(build)
        pages = scrape(build, root)
        for name, rule in RULES.items():
            check_series(name, rule["expr"], pages.values())
        for daemon, page in pages.items():
            path = f"{mixin.MIXIN}/dashboards/blockhouse-{daemon}.json"
            for title, expr in expressions(path):
                check_series(f"{daemon}: {title}", expr, [page])
            print(f"  blockhouse-{daemon}.json: {check_dashboard(path, root)} expressions")


if __name__ == "__main__":
    main()
