#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every flag of thanos sidecar and thanos store is there under its name and with its
default: it works, or has no effect and one warning says so, or it is refused because
ignoring it would do harm. The lists are those of Thanos at e103a81 (cmd/thanos/*.go).

usage: thanos_flags.py <directory of the programs>
"""
import json
import os
import re
import subprocess
import sys
import tempfile

WORKS, INERT, REFUSED = "works", "inert", "refused"
WARNING = "flags are without effect in this version"
BAD_BUCKET = "--objstore.config=type: NOPE"  # ends the start behind the warning
FAILED, USAGE = 1, 2
YAML = "{}"
NOTE = "a Thanos Querier cannot use this version"
VERSION = re.compile(r"blockhouse-\w+, version \d\S* \(branch: .*, revision: \S+\)\n"
                     r"(  \w[\w ]*: +\S.*\n)*  platform: +linux/\w+\n$")

# (name, default, a value to give or None for a bool, what becomes of it). A default of ""
# is none, or false.
COMMON = [
    ("log.level", "info", "warn", WORKS),
    ("log.format", "logfmt", "json", WORKS),
    ("http-address", "0.0.0.0:10902", "127.0.0.1:1", WORKS),
    ("http-grace-period", "2m", "1d", WORKS),
    ("http.config", "", "/web.yml", WORKS),
    ("objstore.config", "", YAML, WORKS),
    ("objstore.config-file", "", "/nonexistent", WORKS),
    ("grpc-address", "0.0.0.0:10901", ":1", INERT),
    ("grpc-grace-period", "2m", "1m", INERT),
    ("grpc-server-tls-cert", "", "/cert", INERT),
    ("grpc-server-tls-key", "", "/key", INERT),
    ("grpc-server-tls-client-ca", "", "/ca", INERT),
    ("grpc-server-tls-min-version", "1.3", "1.2", INERT),
    ("grpc-server-tls-ciphers", "", "a", INERT),
    ("grpc-server-tls-curves", "", "a", INERT),
    ("grpc-server-max-connection-age", "60m", "1h", INERT),
    ("request.logging-config", "", YAML, WORKS),
    ("request.logging-config-file", "", "/dev/null", WORKS),
    ("tracing.config", "", YAML, INERT),
    ("tracing.config-file", "", "/trace.yml", INERT),
    ("enable-auto-gomemlimit", "", None, INERT),
    ("auto-gomemlimit.ratio", "0.9", "0.5", INERT),
    ("debug.name", "", "n", WORKS),
    ("store.limits.request-series", "0", "1", {"store": WORKS, "sidecar": INERT}),
    ("store.limits.request-samples", "0", "1", {"store": WORKS, "sidecar": INERT}),
    ("min-time", "0000-01-01T00:00:00Z", "-2w", {"store": WORKS, "sidecar": INERT}),
]

SIDECAR = [
    ("prometheus.url", "http://localhost:9090", "http://h/p", WORKS),
    ("prometheus.ready_timeout", "10m", "1m", WORKS),
    ("prometheus.get_config_interval", "30s", "1s", WORKS),
    ("prometheus.get_config_timeout", "30s", "1s", WORKS),
    ("prometheus.http-client", "", YAML, WORKS),
    ("prometheus.http-client-file", "", "/dev/null", WORKS),
    ("tsdb.path", "./data", "/nonexistent", WORKS),
    ("reloader.config-file", "", "/p.yml", WORKS),
    ("reloader.config-envsubst-file", "", "/out.yml", WORKS),
    ("reloader.rule-dir", "", "/rules", WORKS),
    ("reloader.watch-interval", "3m", "1m", WORKS),
    ("reloader.retry-interval", "5s", "1s", WORKS),
    ("reloader.method", "http", "signal", WORKS),
    ("reloader.process-name", "prometheus", "p", WORKS),
    ("shipper.upload-compacted", "", None, WORKS),
    ("shipper.upload-concurrency", "0", "2", WORKS),
    ("shipper.meta-file-name", "thanos.shipper.json", "s.json", WORKS),
    ("shipper.ignore-unequal-block-size", "", None, WORKS),
    ("shipper.allow-out-of-order-uploads", "", None, WORKS),
    ("shipper.skip-corrupted-blocks", "", None, WORKS),
    ("hash-func", "", "SHA256", WORKS),
]

STORE = [
    ("data-dir", "./data", "/nonexistent", WORKS),
    ("cache-index-header", "true", None, INERT),
    ("objstore-parquet.config", "", "type: S3", REFUSED),
    ("objstore-parquet.config-file", "", "/p.yml", REFUSED),
    ("index-cache-size", "250MB", "1GB", WORKS),
    ("index-cache.config", "", "type: IN-MEMORY", WORKS),
    ("index-cache.config-file", "", "/dev/null", WORKS),
    ("store.caching-bucket.config", "", "type: IN-MEMORY", WORKS),
    ("store.caching-bucket.config-file", "", "/dev/null", WORKS),
    ("chunk-pool-size", "2GB", "1GB", INERT),
    ("store.grpc.touched-series-limit", "0", "1", WORKS),
    ("store.grpc.series-sample-limit", "0", "1", WORKS),
    ("store.grpc.downloaded-bytes-limit", "0", "1GB", WORKS),
    ("store.grpc.series-max-concurrency", "20", "0", WORKS),
    ("sync-block-duration", "15m", "1m", WORKS),
    ("block-discovery-strategy", "concurrent", "recursive", INERT),
    ("block-sync-concurrency", "20", "1", WORKS),
    ("block-meta-fetch-concurrency", "32", "1", WORKS),
    ("max-time", "9999-12-31T23:59:59Z", "1d", WORKS),
    ("selector.relabel-config", "", "[]", WORKS),
    ("selector.relabel-config-file", "", "/dev/null", WORKS),
    ("consistency-delay", "0s", "30m", WORKS),
    ("ignore-deletion-marks-delay", "24h", "1d", WORKS),
    ("store.enable-index-header-lazy-reader", "", None, INERT),
    ("store.index-header-lazy-download-strategy", "eager", "lazy", WORKS),
    ("store.index-header-lazy-reader-idle-timeout", "5m", "1m", INERT),
    ("store.index-header-posting-offsets-in-mem-sampling", "32", "1", INERT),
    ("store.enable-lazy-expanded-postings", "", None, INERT),
    ("store.posting-group-max-key-series-ratio", "100", "1.5", INERT),
    ("matcher-cache-size", "0", "1", INERT),
    ("web.disable", "", None, WORKS),
    ("web.external-prefix", "", "/p", WORKS),
    ("web.prefix-header", "", "X-Forwarded-Prefix", WORKS),
    ("web.disable-cors", "", None, INERT),
    ("bucket-web-label", "", "cluster", WORKS),
    ("disable-admin-operations", "", None, INERT),
    ("debug.series-batch-size", "10000", "1", INERT),
    ("debug.estimated-max-series-size", "65536", "1", INERT),
    ("debug.estimated-max-chunk-size", "16000", "1", INERT),
]

# Flags that are refused without another one.
COMPANIONS = {"reloader.config-envsubst-file": ["--reloader.config-file=/p.yml"]}

LISTS = {"sidecar": COMMON + SIDECAR, "store": COMMON + STORE}
OTHERS = {"help", "help-man", "version"}
ENTRY = re.compile(r"^`(?:-\w, )?--(?:\[no-\])?([^=`]+)(?:=[^`]*)?`\n:   (.*)$", re.MULTILINE)
DEFAULT = re.compile(r" Default `([^`]*)`\.")


def rows(daemon):
    for name, default, value, fate in LISTS[daemon]:
        yield name, default, value, fate if isinstance(fate, str) else fate[daemon]


def argument(name, value):
    return f"--{name}" if value is None else f"--{name}={value}"


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30,
                          check=False)


def sections(program):
    """{heading: {flag: its help}} of the man page."""
    found = {}
    for part in run(program, "--help-man").stdout.split("\n### ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = dict(ENTRY.findall(text))
    return found


def check_lists(program, daemon):
    listed = sections(program)
    working, idle = listed["Thanos flags"], listed["Thanos flags without effect"]
    for name, default, _, fate in rows(daemon):
        place = working if fate == WORKS else idle
        assert name in place, f"{daemon}: --{name} is not among those of its kind"
        shown = DEFAULT.search(place[name])
        assert (shown[1] if shown else "") == default, f"{daemon}: --{name}: {place[name]}"
    known = {row[0] for row in rows(daemon)} | OTHERS
    unknown = (set(working) | set(idle)) - known
    assert not unknown, f"{daemon}: not flags of Thanos: {unknown}"


def check_inert(program, daemon):
    """All at once: one warning names each."""
    wanted = [(name, value) for name, _, value, fate in rows(daemon) if fate == INERT]
    ended = run(program, BAD_BUCKET, *(argument(*one) for one in wanted))
    assert ended.returncode == FAILED and "NOPE" in ended.stderr, ended
    warning, = [line for line in ended.stderr.splitlines() if WARNING in line]
    for name, _ in wanted:
        assert re.search(rf'[ "=]--{re.escape(name)}[ "\n]', warning + "\n"), (name, warning)


def check_others(program, daemon):
    for name, _, value, fate in rows(daemon):
        if fate == REFUSED:
            ended = run(program, BAD_BUCKET, argument(name, value))
            assert ended.returncode == USAGE and name in ended.stderr, ended
            assert "Refused" in ended.stderr, ended
            assert run(program, BAD_BUCKET, f"--{name}=").returncode == FAILED, name
        if fate == WORKS:
            own = [] if name.startswith("objstore.config") else [BAD_BUCKET]
            ended = run(program, *own, *COMPANIONS.get(name, []), argument(name, value))
            assert ended.returncode == FAILED and WARNING not in ended.stderr, ended
            assert not own or "NOPE" in ended.stderr, ended


def check_booleans(program, daemon):
    for name, _, value, _ in rows(daemon):
        if value is None:
            for given in (f"--no-{name}", f"--{name}=false", f"--{name}"):
                ended = run(program, BAD_BUCKET, given)
                assert ended.returncode == FAILED and "NOPE" in ended.stderr, ended


def check_arguments(program):
    """Exit statuses, and arguments out of a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".args") as file:
        file.write(f"{BAD_BUCKET}\n\n# nothing\n--log.format\njson\n")
        file.flush()
        ended = run(program, f"@{file.name}", "--log.level=info")
    assert ended.returncode == FAILED and "NOPE" in ended.stderr, ended
    assert all(json.loads(line) for line in ended.stderr.splitlines()[:-1]), ended
    for wrong in (["--nonsense"], ["--log.level"], ["--log.level=loud"], ["word"],
                  ["@/nonexistent"], ["--http-grace-period=2"]):
        ended = run(program, *wrong)
        assert ended.returncode == USAGE and not ended.stdout, ended
        assert len(ended.stderr.splitlines()) == 1, ended


def check_log(program):
    ended = run(program, BAD_BUCKET, "--debug.name=a name")
    assert all('name="a name"' in line for line in ended.stderr.splitlines()[:-1]), ended
    if not os.path.exists("/run/systemd/journal/socket"):
        ended = run(program, "--log.format=journald")
        assert ended.returncode == FAILED and "no journal" in ended.stderr, ended


def check_answers(program, daemon):
    """What it says of itself, and that it says what it cannot do."""
    ended = run(program, "--version")
    assert ended.returncode == 0 and VERSION.match(ended.stdout), ended
    told = run(program, "--help")
    assert told.returncode == 0 and told.stdout == run(program, "--help-long").stdout
    thanos, _, own = told.stdout.partition("\nOur own flags:\n")
    own = own.partition("\nThanos flags")[0]
    for name, *_ in rows(daemon):
        assert not re.search(rf"^  --(\[no-\])?{re.escape(name)}[=\n]", own, re.MULTILINE), name
    assert NOTE in thanos and NOTE in run(program, BAD_BUCKET).stderr


def main():
    for daemon in LISTS:
        program = os.path.join(sys.argv[1], f"blockhouse-{daemon}")
        check_lists(program, daemon)
        check_inert(program, daemon)
        check_others(program, daemon)
        check_booleans(program, daemon)
        check_arguments(program)
        check_log(program)
        check_answers(program, daemon)
        print(f"  {daemon}: {len(LISTS[daemon])} flags")


if __name__ == "__main__":
    main()
