#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Label names, label values and series of the golden blocks, all in one bucket, are what
a naive reading of them finds, with every kind of matcher, limits and broken requests.

usage: discovery.py <blockhouse-store>
"""
import glob
import gzip
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
from daemon import Daemon, dir_bucket  # noqa: E402
from read_golden import MATCHERS, Golden, holds  # noqa: E402

# Of the blocks in turn. One has none, others hide labels of the series.
EXTERNAL = ({"cluster": "eu1", "replica": "a"}, {"cluster": "us1", "kind": "gauge"}, {},
            {"a": "1", "zz": "k\u00f6ln", "__name__": "p"})
TRUNCATED = ["results truncated due to limit"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def selector(matchers):
    return "{" + ",".join(f"{quoted(name)}{kind}{quoted(value)}"
                          for name, kind, value in matchers) + "}"


def ask(store, path, arguments, post=False):
    """arguments: [(name, value)]. The decoded answer, whole or an error."""
    encoded = urllib.parse.urlencode(arguments)
    if post:
        answer = store.request("POST", path, encoded, FORM)
    else:
        answer = store.request("GET", path + ("?" + encoded if encoded else ""))
    assert answer.headers["Content-Type"] == "application/json", answer.headers
    return answer.status, json.loads(answer.body)


def data(store, path, arguments, post=False):
    status, answer = ask(store, path, arguments, post)
    assert status == 200 and answer["status"] == "success", (path, arguments, answer)
    return answer["data"], answer.get("warnings")


class Model:
    """What the blocks hold: (first ms, last ms, [labels]) each."""

    def __init__(self, goldens):
        self.blocks = [(golden.begin, golden.end, list(golden.series.items()))
                       for golden in goldens]

    def selected(self, sets, begin, end):
        for first, last, series in self.blocks:
            if first > end or last < begin:
                continue
            for labels, chunks in series:
                if not sets or any(all(holds(one, dict(labels)) for one in matchers)
                                   for matchers in sets):
                    yield labels, chunks

    def names(self, sets, begin, end):
        return sorted({name for labels, _ in self.selected(sets, begin, end)
                       for name, _ in labels}, key=str.encode)

    def values(self, name, sets, begin, end):
        return sorted({dict(labels)[name] for labels, _ in self.selected(sets, begin, end)
                       if name in dict(labels)}, key=str.encode)

    def series(self, sets, begin, end):
        found = {labels for labels, chunks in self.selected(sets, begin, end)
                 if any(key[0] <= end and key[1] >= begin for key in chunks)}
        return [dict(labels) for labels in
                sorted(found, key=lambda one: [(n.encode(), v.encode()) for n, v in one])]


def path_of_values(name):
    return f"/api/v1/label/{urllib.parse.quote(name, safe='')}/values"


def check(store, model, name, sets, window, limit=0, post=False):
    begin, end = window
    arguments = [("match[]", selector(matchers)) for matchers in sets]
    arguments += [("start", begin / 1000), ("end", end / 1000)] + [("limit", limit)] * bool(limit)
    wanted = [("/api/v1/labels", model.names(sets, begin, end)),
              (path_of_values(name), model.values(name, sets, begin, end))]
    if sets:
        wanted.append(("/api/v1/series", model.series(sets, begin, end)))
    for path, whole in wanted:
        cut = whole[:limit] if limit else whole
        actual, warnings = data(store, path, arguments, post)
        assert actual == cut, f"{path} {arguments}:\n  wanted {cut}\n  got    {actual}"
        assert warnings == (TRUNCATED if len(cut) < len(whole) else None), \
            (path, arguments, warnings, len(whole))


def is_demanding(matchers):
    return any(not holds(one, {}) for one in matchers)


def agrees_with_the_model(store, model, names):
    whole = (min(block[0] for block in model.blocks), max(block[1] for block in model.blocks))
    asked = 0
    for name in names:
        check(store, model, name, [], whole)
        check(store, model, name, [], (whole[0], whole[0]))
    for matcher in MATCHERS:
        if is_demanding([matcher]):
            check(store, model, matcher[0], [[matcher]], whole)
            asked += 1
    choose = random.Random(1)
    points = sorted({ms + by for block in model.blocks for ms in block[:2]
                     for by in (-1, 0, 1)} | {choose.randint(*whole) for _ in range(20)})
    for turn in range(250):
        sets = [choose.sample(MATCHERS, choose.choice((1, 1, 2, 3)))
                for _ in range(choose.choice((1, 1, 2, 3)))]
        if all(map(is_demanding, sets)):
            check(store, model, choose.choice(names), sets,
                  sorted(choose.sample(points, 2)), choose.choice((0, 0, 1, 2, 5)), turn % 2)
            asked += 1
    print(f"  {len(names)} names, {asked} selections")


def understands_arguments(store, model):
    everything = (model.blocks[0][0] - 10 ** 12, model.blocks[0][1] + 10 ** 12)
    values, _ = data(store, "/api/v1/label/__name__/values", [])
    assert values == model.values("__name__", [], *everything)
    for arguments in ([("start", "1970-01-01T00:00:00Z"), ("end", "2100-01-01T00:00:00Z")],
                      [("start", "-292273086-05-16T16:47:06Z"),
                       ("end", "292277025-08-18T07:12:54.999999999Z")],
                      [("start", "-1e30"), ("end", "1e30")], [("start", ""), ("limit", "0")]):
        assert data(store, "/api/v1/label/__name__/values", arguments) == (values, None)
    for escaped in ("U__k8s_2e_pod_2e_name", "k8s.pod.name", "k8s%2Epod%2Ename"):
        actual, _ = data(store, f"/api/v1/label/{escaped}/values", [])
        assert actual == model.values("k8s.pod.name", [], *everything) != [], actual
    # In the body and in the query string at once.
    answer = store.request("POST", "/api/v1/series?match[]=p", "match[]=nh", FORM)
    assert json.loads(answer.body)["data"] == model.series(
        [[("__name__", "=~", "p|nh")]], *everything)
    print("  times, escaped names, forms")


def refuses(store):
    cases = [
        ("/api/v1/series", [], 400, "bad_data", "no match[] parameter provided"),
        ("/api/v1/series", [("match[]", "up{")], 400, "bad_data", "1:4: parse error"),
        ("/api/v1/series", [("match[]", "{}")], 400, "bad_data", "non-empty matcher"),
        ("/api/v1/labels", [("match[]", '{a=~".*"}')], 400, "bad_data", "non-empty matcher"),
        ("/api/v1/labels", [("match[]", '{a=~"("}')], 400, "bad_data", "match[]"),
        ("/api/v1/labels", [("start", "x")], 400, "bad_data",
         'invalid parameter "start": cannot parse "x" to a valid timestamp'),
        ("/api/v1/labels", [("end", "NaN")], 400, "bad_data", 'invalid parameter "end"'),
        ("/api/v1/labels", [("start", "0x10")], 400, "bad_data", 'invalid parameter "start"'),
        ("/api/v1/labels", [("limit", "-1")], 400, "bad_data", 'invalid parameter "limit"'),
        ("/api/v1/labels", [("limit", "1\0")], 400, "bad_data", 'invalid parameter "limit"'),
        ("/api/v1/labels", [("match[]", "up")] * 101, 400, "bad_data", "100 selectors"),
        ("/api/v1/labels", [("match[]", "{" + 'a="1",' * 1001 + "}")], 400, "bad_data",
         "1000 matchers"),
        ("/api/v1/label/%FF/values", [], 400, "bad_data", "invalid label name"),
        ("/api/v1/label/U__/values", [], 400, "bad_data", "invalid label name"),
    ]
    for (path, arguments, status, kind, text), post in itertools.product(cases, (0, 1)):
        actual, answer = ask(store, path, arguments, post)
        assert (actual, answer["status"], answer["errorType"]) == (status, "error", kind) \
            and text in answer["error"], (path, arguments, actual, answer)
    for method, path, status in (("DELETE", "/api/v1/series", 405),
                                 ("GET", "/api/v1/label/a/b/values", 404),
                                 ("GET", "/api/v1/label//values", 404),
                                 ("GET", "/api/v1/label/a%00b/values", 400)):
        assert store.request(method, path).status == status, (method, path)
    broken = store.request("GET", "/api/v1/labels?match[]=%zz")
    assert broken.status == 400 and "percent-encoding" in broken.text, broken.text
    with store.connect() as connection:
        connection.sendall(b"POST /api/v1/series HTTP/1.1\r\nHost: h\r\n"
                           b"Content-Length: %d\r\n\r\n" % ((1 << 20) + 1))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    print(f"  {len(cases)} bad requests")


def reads_nothing_without_selection(store):
    before = store.metric("blockhouse_store_fetches_total")
    for path in ("/api/v1/labels", "/api/v1/label/__name__/values",
                 '/api/v1/label/kind/values?match[]={kind=~"g.*"}',
                 "/api/v1/label/cluster/values", "/api/v1/label/nowhere/values?match[]=p"):
        data(store, path, [])
    assert store.metric("blockhouse_store_fetches_total") == before


def compresses(store):
    plain = store.request("GET", "/api/v1/series?match[]={__name__!=%22%22}")
    assert "Content-Encoding" not in plain.headers
    packed = store.request("GET", "/api/v1/series?match[]={__name__!=%22%22}",
                           headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    metrics = store.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert b"thanos_build_info" in gzip.decompress(metrics.body)


def limits_and_memory(program, bucket, directory):
    with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                f"--objstore.config={dir_bucket(bucket)}",
                "--store.limits.request-series=2") as store:
        for path in ("/api/v1/series", "/api/v1/labels", "/api/v1/label/kind/values"):
            status, answer = ask(store, path, [("match[]", '{__name__!=""}'),
                                               ("match[]", '{kind=~".+"}')])
            assert status == 422 and answer["errorType"] == "execution" \
                and "--store.limits.request-series" in answer["error"], (path, answer)
        assert store.metric("thanos_bucket_store_queries_dropped_total") == 3
        data(store, "/api/v1/labels", [])
    with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                f"--objstore.config={dir_bucket(bucket)}",
                "--store.query-memory-limit=100KiB") as store:
        status, answer = ask(store, "/api/v1/labels", [])
        assert status == 422 and answer["errorType"] == "execution" \
            and "query-memory-limit" in answer["error"], answer
    print("  limits")


def relabelled(folder, copy, external):
    """A copy of a golden block with other external labels."""
    shutil.copytree(folder, copy)
    [path] = glob.glob(os.path.join(copy, "0*", "meta.json"))
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    meta["thanos"]["labels"] = external
    with open(path, "w", encoding="utf-8") as file:
        json.dump(meta, file)
    return Golden(copy)


def main():
    program = sys.argv[1]
    folders = sorted(map(os.path.dirname, glob.glob(os.path.join(
        HERE, "..", "golden", "*", "expected.jsonl.gz"))))
    with tempfile.TemporaryDirectory() as directory:
        goldens = [relabelled(folder, os.path.join(directory, os.path.basename(folder)), labels)
                   for folder, labels in zip(folders, itertools.cycle(EXTERNAL))]
        model = Model(goldens)
        names = model.names([], -1 << 60, 1 << 60) + ["nowhere"]
        bucket = os.path.join(directory, "bucket")
        for golden in goldens:
            shutil.copytree(golden.block, os.path.join(bucket, os.path.basename(golden.block)),
                            ignore=shutil.ignore_patterns("tombstones"))
        with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                    f"--objstore.config={dir_bucket(bucket)}") as store:
            agrees_with_the_model(store, model, names)
            understands_arguments(store, model)
            refuses(store)
            reads_nothing_without_selection(store)
            compresses(store)
        limits_and_memory(program, bucket, directory)


if __name__ == "__main__":
    main()
