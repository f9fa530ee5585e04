#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""/metrics of both daemons in each format and encoding: a strict reader of OpenMetrics,
promtool, and a Prometheus that scrapes them over TLS with a password and a certificate.

usage: metrics_formats.py <directory of the programs> [<directory of prometheus>]
"""
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
import openmetrics  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from secure_daemon import SecureDaemon, bcrypt, client_tls, login  # noqa: E402

SKIP = 77
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPEN_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"
PROMETHEUS_2 = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
PROMETHEUS_3 = ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
                "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
PROTO = ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
         "encoding=delimited;q=0.9,text/plain;version=0.0.4;q=0.3,"
         "application/openmetrics-text;version=1.0.0;q=0.2")
ACCEPTS = [
    (None, TEXT), ("", TEXT), ("*/*", TEXT), ("text/plain", TEXT), ("text/*", TEXT),
    (PROMETHEUS_2, OPEN), (PROMETHEUS_3, OPEN), (PROTO, TEXT),
    ("application/openmetrics-text", OPEN),
    ("application/openmetrics-text; version=0.0.1", OPEN_0),
    ("application/openmetrics-text; version=9.0.0, text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=0, */*;q=0.1", TEXT),
    ("application/openmetrics-text;q=x, text/plain;q=0.1", TEXT),
    ("text/plain;q=0.5, application/openmetrics-text;q=0.5", TEXT),
    (" , ;;q=1 , application/openmetrics-text ; version = 1.0.0 ; q = 0.5 ,,", OPEN),
    ("text/html, application/json", TEXT),
]


def check_formats(daemon):
    for accept, wanted in ACCEPTS:
        headers = {} if accept is None else {"Accept": accept}
        answer = daemon.request("GET", "/metrics", headers=headers)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == wanted, \
            f"{accept!r}: {answer.headers['Content-Type']}"
        assert ("# EOF" in answer.text) == (wanted != TEXT)
        assert "Accept" in answer.headers.get_all("Vary")


def check_openmetrics(daemon, component):
    answer = daemon.request("GET", "/metrics", headers={"Accept": PROMETHEUS_3})
    families = openmetrics.parse(answer.text)
    assert families["http_requests"].type == "counter"
    assert families["http_request_duration_seconds"].type == "histogram"
    assert ("", {"component": component, "check": "healthy"}, 1.0) in \
        families["thanos_status"].samples
    # The text format says the same, counters by their full names.
    text = daemon.request("GET", "/metrics").text
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    mine = {n + "_total" if f.type == "counter" else n for n, f in families.items()}
    assert {n for n, f in families.items() if f.type == "unknown"} == \
        {"go_memstats_alloc_bytes_total"}, "counters without their type"
    assert names == mine, names ^ mine
    return len(families)


def check_encodings(daemon, name):
    plain = daemon.request("GET", "/metrics", headers={"Accept": PROMETHEUS_3})
    assert plain.headers["Content-Encoding"] is None
    packed = daemon.request("GET", "/metrics", headers={
        "Accept": PROMETHEUS_3, "Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    openmetrics.parse(gzip.decompress(packed.body).decode())
    packed = daemon.request("GET", "/metrics", headers={"Accept-Encoding": "zstd, gzip"})
    # The sidecar has no memory for zstd.
    assert packed.headers["Content-Encoding"] == ("zstd" if name == "store" else "gzip")
    assert packed.body[:4] == b"\x28\xb5\x2f\xfd" or name == "sidecar"
    assert len(packed.body) < len(plain.body) / 2


def check_promtool(daemon, prometheus):
    """3 is for names that it would choose otherwise; they are those of Thanos."""
    done = subprocess.run([os.path.join(prometheus, "promtool"), "check", "metrics"],
                          input=daemon.request("GET", "/metrics").body,
                          capture_output=True, check=False)
    assert done.returncode in (0, 3), done.stderr.decode()


def job(name, daemon):
    return f"""  - job_name: {name}
    scheme: https
    static_configs: [{{targets: ["127.0.0.1:{daemon.port}"]}}]
    basic_auth: {{username: prometheus, password: scrape}}
    tls_config: {{ca_file: authority.crt, cert_file: client.pem, key_file: client.key}}
"""


def check_scrapes(directory, prometheus, daemons):
    jobs = "".join(job(name, daemon) for name, daemon in daemons.items())
    config = write(f"{directory}/prometheus.yml",
                   f"global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}")
    with Daemon(os.path.join(prometheus, "prometheus"), f"--config.file={config}",
                f"--storage.tsdb.path={directory}/prom",
                "--web.listen-address=127.0.0.1:{port}") as server:
        def value(query):
            answer = server.request(
                "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
            result = json.loads(answer.text)["data"]["result"]
            return float(result[0]["value"][1]) if result else 0

        wait_until("both to be scraped", lambda: value("sum(up)") == len(daemons))
        wait_until("several scrapes", lambda: value(
            'min(http_requests_total{handler="metrics",code="200"})') >= 3)
        assert value("count(thanos_status)") == 2 * len(daemons)
        # Bounds are written as whole numbers with a fraction, so they went by OpenMetrics.
        assert value('count(http_request_duration_seconds_bucket{le="30.0"})') > 0


def start(programs, directory, authority):
    cert, key = authority.issue("server", "IP:127.0.0.1")
    pair = authority.issue("client", "DNS:client.test")
    for source, name in zip(pair, ("client.pem", "client.key")):
        os.rename(source, f"{directory}/{name}")
    pair = f"{directory}/client.pem", f"{directory}/client.key"
    config = write(f"{directory}/web.yml", f"""tls_server_config:
  cert_file: {cert}
  key_file: {key}
  client_ca_file: {authority.cert}
  client_auth_type: RequireAndVerifyClientCert
basic_auth_users:
  prometheus: {bcrypt("scrape")}
""")
    for folder in "bucket", "tsdb":
        os.mkdir(f"{directory}/{folder}")
    named = {"tls": client_tls(authority.cert, pair), "headers": login("prometheus", "scrape"),
             "ready": "/-/healthy"}
    common = "--http-address=127.0.0.1:{port}", f"--http.config={config}"
    bucket = "--objstore.config=" + dir_bucket(f"{directory}/bucket")
    return {"store": SecureDaemon(f"{programs}/blockhouse-store", *common, bucket,
                                  f"--data-dir={directory}/data", "--http-unready-delay=0s",
                                  **named),
            "sidecar": SecureDaemon(f"{programs}/blockhouse-sidecar", *common, bucket,
                                    f"--tsdb.path={directory}/tsdb", **named)}


def main(programs, prometheus=None):
    if not certificate.can_make():
        print("skipped: openssl is missing")
        return SKIP
    with tempfile.TemporaryDirectory() as directory:
        daemons = start(os.path.abspath(programs), directory,
                        certificate.Authority(directory))
        with daemons["store"] as store, daemons["sidecar"] as sidecar:
            for name, daemon in daemons.items():
                check_formats(daemon)
                count = check_openmetrics(daemon, name)
                check_encodings(daemon, name)
                if prometheus:
                    check_promtool(daemon, prometheus)
                print(f"passed: {name}, {count} families")
            if prometheus:
                check_scrapes(directory, prometheus, {"store": store, "sidecar": sidecar})
                print("passed: a Prometheus scrapes both")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
