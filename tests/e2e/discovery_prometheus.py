#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever a real Prometheus answers to questions of discovery, a store over the same
blocks answers, good or bad; promtool cannot tell them apart.

usage: discovery_prometheus.py <blockhouse-store> <bench_make_data> <directory of peers>
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
from daemon import Daemon, dir_bucket  # noqa: E402
from discovery import path_of_values, ask  # noqa: E402

NAMES = ("__name__", "job", "instance", "kind", "k8s.pod.name", "ünï", "a", "pod", "nowhere")
SELECTORS = (
    "p", "nh", "nothing", '{job="service-0"}', '{job=~"service-[0-9]+"}', '{__name__=~".+"}',
    '{__name__!=""}', '{instance=~".*1",job!="service-1"}', '{__name__=~"api_.*"}',
    '{"http.requests/total"}', '{"k8s.pod.name"=~".+"}', "{kind='gauge',a=`1`}",
    '{a="\\x31",}', '{a!="1",kind=~"int|"  ,__name__=~"p|.*"} # c', "sum",
    "api_bytes_total", '{pod=~".*-0.*"}', '{namespace="team-1"}', '{node!~"node-1.*",job=~".+"}', '{"p", a="1"}', '{"p", "nh"}', 'p{__name__=~"p|nh"}', ":x:y",
    # Not selectors, or of no use.
    "", "{}", "up{", "up[5m]", "1", "up offset 5m", '{a="1" b="2"}', '{,}', '{a=~"("}',
    '{a="\\q"}', '{a="\\400"}', '{a="\\ud800"}', '{a==""}', '"up"', "{a}", "up+up",
    '{a=~".*"}', '{a="x\ny"}')
OTHERS = ([("start", "1763856000")], [("start", "2025-11-23T00:00:00Z")],
          [("start", "1763856000.5"), ("end", "1763859600.25")], [("start", "x")],
          [("end", "1e3"), ("start", "0")], [("start", "2025-11-23")], [("limit", "-1")],
          [("limit", "x")], [("limit", "")], [("start", "99999999999")])
ESCAPED = ("U__k8s_2e_pod_2e_name", "U____name____", "U__a_2", "U___d800_", "job")


def questions():
    for name in NAMES:
        yield path_of_values(name), []
    for name in ESCAPED:
        yield f"/api/v1/label/{name}/values", []
    yield "/api/v1/labels", []
    yield "/api/v1/series", []
    for limit in (1, 3, 100000):
        for path in ("/api/v1/labels", "/api/v1/label/instance/values", "/api/v1/series"):
            yield path, [("match[]", '{job=~"service-.*"}'), ("limit", limit)]
    for selector in SELECTORS:
        for path in ["/api/v1/labels", "/api/v1/series", *map(path_of_values, NAMES)]:
            yield path, [("match[]", selector)]
            yield path, [("match[]", selector), ("match[]", '{job="service-1",node="node-9"}')]
    for arguments in OTHERS:
        for path in ("/api/v1/labels", "/api/v1/series", "/api/v1/label/job/values"):
            yield path, [("match[]", '{__name__=~"p|web_.*"}'), *arguments]


def agrees(store, prometheus):
    asked = found = refused = 0
    seconds = {True: 0.0, False: 0.0}
    for path, arguments in questions():
        answers = []
        for peer in (store, prometheus):
            post = asked % 2 and "/label/" not in path
            begin = time.monotonic()
            answers.append(ask(peer, path, arguments, post))
            seconds[peer is store] += time.monotonic() - begin
        (status, ours), (wanted_status, theirs) = answers
        for answer in (ours, theirs):
            answer.pop("error", None)
        if ours.get("warnings"):
            # Which of them a limit leaves is up to the server; ours are the first.
            ours["data"], theirs["data"] = len(ours["data"]), len(theirs["data"])
        assert (status, ours) == (wanted_status, theirs), \
            f"{path} {arguments}\n  wanted {wanted_status} {str(theirs)[:2000]}\n" \
            f"  got    {status} {str(ours)[:2000]}"
        asked += 1
        found += bool(ours.get("data"))
        refused += status != 200
    assert found > asked / 4 and refused > asked / 10, (found, refused)
    print(f"  {asked} questions, {found} with an answer, {refused} refused by both; "
          f"ours {seconds[True]:.2f} s, Prometheus {seconds[False]:.2f} s")


def promtool_agrees(promtool, store, prometheus):
    for arguments in (["series", "--match={job=\"service-1\"}"], ["labels", "instance"],
                      ["series", "--match=p", "--match=nh"], ["labels", "nowhere"]):
        output = [subprocess.run([promtool, "query", *arguments[:1], *arguments[2:],
                                  "--start=0", "--end=4000000000",
                                  *(arguments[1:2] if arguments[0] == "series" else []),
                                  f"http://127.0.0.1:{peer.port}",
                                  *(arguments[1:2] if arguments[0] == "labels" else [])],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 check=False, text=True) for peer in (store, prometheus)]
        assert output[0].returncode == output[1].returncode == 0, output
        assert output[0].stdout == output[1].stdout, output
        print(f"  promtool query {' '.join(arguments)}: {output[0].stdout.count(chr(10))} lines")


def make_bucket(make_data, bucket):
    subprocess.run([make_data, "--series=2000", "--hours=4", "--step=60", "--block-hours=2",
                    bucket], check=True, stdout=subprocess.DEVNULL)
    for block in glob.glob(os.path.join(HERE, "..", "golden", "*", "0*")):
        shutil.copytree(block, os.path.join(bucket, os.path.basename(block)))
    # Prometheus adds no external labels to its own answers.
    for path in glob.glob(os.path.join(bucket, "*", "meta.json")):
        with open(path, encoding="utf-8") as file:
            meta = json.load(file)
        meta.pop("thanos", None)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(meta, file)


def main():
    program, make_data, peers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        make_bucket(make_data, bucket)
        shutil.copytree(bucket, os.path.join(directory, "prometheus"))
        with open(os.path.join(directory, "prometheus.yml"), "w", encoding="utf-8"):
            pass
        with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}") as store, \
            Daemon(os.path.join(peers, "prometheus"), "--web.listen-address=127.0.0.1:{port}",
                   f"--config.file={directory}/prometheus.yml",
                   f"--storage.tsdb.path={directory}/prometheus",
                   "--storage.tsdb.retention.time=100y") as prometheus:
            agrees(store, prometheus)
            promtool_agrees(os.path.join(peers, "promtool"), store, prometheus)


if __name__ == "__main__":
    main()
