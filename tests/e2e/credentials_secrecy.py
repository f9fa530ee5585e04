#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets stay where they are: sidecar and store, told to log everything and to trace,
ship and read a block with credentials of each kind, then meet refusals that repeat what
was sent. Their own port asks for a password over TLS, and Prometheus for one of them. No
secret may be in their output, on their pages, in errors, metrics or arguments.

usage: credentials_secrecy.py <directory of the programs> [<folder of golden blocks>]
"""
import base64
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
import remote_read as rr  # noqa: E402
from aws_account import Account  # noqa: E402
from daemon import wait_until  # noqa: E402
from garbage_sidecar import GOOD, Prometheus  # noqa: E402
from secure_daemon import SecureDaemon, bcrypt, client_tls, login  # noqa: E402

SKIP = 77
LIFE_S = 3600
CUSTOMER_KEY = b"0123456789:;<=>?@ABCDEFGHIJKLMNO"
WEB_PASSWORD, WRONG_PASSWORD = "a-web-password/+", "a-wrong-password/+"
PROMETHEUS_SECRET = "a-prometheus-secret/+"
PAGES = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/read", "/api/v1/blocks",
         "/api/v1/labels", "/api/v1/sync", "/api/v1/sidecar/status", "/nonexistent",
         *(f"/api/v1/status/{name}" for name in ("config", "flags", "runtimeinfo", "store",
                                                 "buildinfo", "tsdb")))
REQUEST_LOGGING = "options: {level: DEBUG, decision: {log_start: true, log_end: true}}"
# How the sidecar logs in to Prometheus. Arguments of this kind stand in a file.
TO_PROMETHEUS = (
    "--prometheus.http-client={{basic_auth: {{username: u, password: {secret}}}}}",
    "--prometheus.http-client={{basic_auth: {{username: u, password_file: {file}}}}}",
    "--prometheus.http-client={{bearer_token: {secret}}}",
    "--prometheus.http-client={{bearer_token_file: {file}}}",
    "--prometheus.url=http://u:{quoted}@{host}",
)
# How the program comes by its keys, and what it says when it gets none that hold.
KINDS = {
    "config": (Account.use_config, "status 403"),
    "environment": (Account.use_environment, "status 403"),
    "file": (Account.use_file, "status 403"),
    "web identity": (lambda account: account.use_web_identity(LIFE_S),
                     "answered 400 ExpiredTokenException"),
    "container": (lambda account: account.use_container(LIFE_S),
                  "the credentials endpoint answered 401"),
    "instance": (lambda account: account.use_instance(LIFE_S, early_s=1),
                 "credentials of EC2 instance metadata"),
}


class Guarded(Account):
    """Refuses all at first, and repeats at last what it was sent."""

    def begin(self):
        self.keys, self.verifier.keys = self.verifier.keys, {}
        if self.metadata:
            self.tokens, self.metadata.tokens = self.metadata.tokens, ()
            self.metadata.is_down = not self.tokens  # there is nothing to refuse

    def accept(self):
        self.verifier.keys.update(self.keys)
        if self.metadata:
            self.metadata.tokens = self.tokens
            self.metadata.is_down = False

    def expect_other_secrets(self):
        for name, key in list(self.verifier.keys.items()):
            self.keys[name] = key
            self.verifier.keys[name] = key._replace(secret="another")

    def secrets(self):
        """What was shown to the servers, and what was signed with."""
        secrets = {CUSTOMER_KEY.decode()}
        for key in self.keys.values():
            secrets |= {key.secret, key.token}
        if self.metadata:
            secrets |= {*self.tokens, self.metadata.session}
        shown = self.verifier.shown
        assert base64.b64encode(CUSTOMER_KEY).decode() in shown, "there was no SSE-C"
        secrets |= {re.sub("^.*Signature=", "", value) for value in shown}
        return set().union(*map(spellings, secrets)) | {"Signature=", "Credential="}


def spellings(secret):
    """As it is, and as bodies, queries and dumps would have it."""
    raw = secret.encode()
    return {secret, urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""),
            secret.replace("/", "\\/"), base64.b64encode(raw).decode(), raw.hex()}


def told_by(daemon):
    """All that others get to see."""
    with open(f"/proc/{daemon.process.pid}/cmdline", encoding="utf-8") as arguments:
        told = daemon.log_text() + arguments.read()
    assert "HTTP exchange" in told and "REDACTED" in told, "nothing was traced"
    for path in PAGES:
        for headers in {}, None, login("web", WRONG_PASSWORD), login(WRONG_PASSWORD, "x"):
            page = daemon.ask(path, headers=headers)
            told += f"{page.headers}{page.text}"
    formats = {**daemon.headers, "Accept": "application/openmetrics-text"}
    return told + daemon.ask("/metrics", headers=formats).text


def check(what, told, secrets):
    for secret in secrets:
        at = told.find(secret)
        assert at < 0, f"{what} shows {secret!r}: {told[max(at - 200, 0):at + 200]}"


def work(account, refusal, sidecar, store):
    """Ship and read, among refusals."""
    for daemon in sidecar, store:
        wait_until("a refusal", lambda d=daemon: refusal in d.log_text())
    account.accept()
    wait_until("the block to be shipped", lambda: any(
        key.endswith("meta.json") for key in account.verifier.objects))
    wait_until("the store to be ready", store.is_ready)
    everything = rr.query([("__name__", "!=", "")], 0, 1 << 60)
    wait_until("the block to be read", lambda: rr.read_streamed(store, [everything]))
    account.expect_other_secrets()
    wait_until("another refusal", lambda: "SignatureDoesNotMatch" in store.log_text())


class Web:
    """The protection of the port of both daemons; the key stands in the file itself."""

    def __init__(self, directory):
        authority = certificate.Authority(directory, "web")
        cert, key = authority.issue("server", "IP:127.0.0.1")
        with open(key, encoding="utf-8") as file:
            self.key = file.read().splitlines()
        self.hash = bcrypt(WEB_PASSWORD)
        self.tls = client_tls(authority.cert)
        self.path = os.path.join(directory, "web.yml")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"tls_server_config:\n  cert_file: {cert}\n  key: |\n    "
                       + "\n    ".join(self.key) + "\n"
                       + f"basic_auth_users: {{web: {self.hash}}}\n")

    def secrets(self):
        known = {WEB_PASSWORD, WRONG_PASSWORD, PROMETHEUS_SECRET, f"web:{WEB_PASSWORD}",
                 f"u:{PROMETHEUS_SECRET}", f"web:{WRONG_PASSWORD}"}
        return set().union(*map(spellings, known)) | {self.hash, *self.key[1:-1]}


def to_prometheus(account, prometheus, number):
    """Arguments, in a file: those of the command line are there for all to see."""
    with open(account.path("prometheus-secret"), "w", encoding="utf-8") as file:
        file.write(PROMETHEUS_SECRET)
    with open(account.path("arguments"), "w", encoding="utf-8") as arguments:
        text = TO_PROMETHEUS[number % len(TO_PROMETHEUS)].format(
            secret=PROMETHEUS_SECRET, file=file.name,
            quoted=urllib.parse.quote(PROMETHEUS_SECRET, safe=""),
            host=prometheus.url.removeprefix("http://"))
        if "prometheus.url" not in text:
            text += f"\n--prometheus.url={prometheus.url}"
        arguments.write(text + "\n")
    return "@" + arguments.name


def run(programs, block, server_files, web, kind):
    use, refusal = KINDS[kind]
    with Guarded(server_files) as account:
        with open(account.path("sse-c"), "wb") as key:
            key.write(CUSTOMER_KEY)
        account.settings += [
            "trace: {enable: true}", f"sse_config: {{type: SSE-C, encryption_key: {key.name}}}",
            f"http_config: {{tls_config: {{ca_file: {server_files[0]}}}}}"]
        use(account)
        account.begin()
        prometheus = Prometheus()
        number = list(KINDS).index(kind)
        echo = login("u", PROMETHEUS_SECRET)["Authorization"]
        prometheus.answer = 401, f"{echo} {PROMETHEUS_SECRET}".encode()
        shutil.copytree(block, account.path("data/" + os.path.basename(block)))
        common = ["--http-address=127.0.0.1:{port}", "--log.level=debug",
                  f"--http.config={web.path}", f"--request.logging-config={REQUEST_LOGGING}",
                  f"--objstore.config-file={account.config_file()}"]
        secure = {"tls": web.tls, "headers": login("web", WEB_PASSWORD),
                  "ready": "/-/healthy", "environment": account.environment}
        with SecureDaemon(os.path.join(programs, "blockhouse-sidecar"), *common,
                          to_prometheus(account, prometheus, number),
                          "--prometheus.get_config_interval=200ms",
                          "--tsdb.path=" + account.path("data"), **secure) as sidecar, \
                SecureDaemon(os.path.join(programs, "blockhouse-store"), *common,
                             "--data-dir=" + account.path("store"),
                             "--sync-block-duration=1s", **secure) as store:
            store.ready = "/-/ready"
            wait_until("a refusal of Prometheus", lambda: "401" in sidecar.log_text())
            prometheus.answer = 200, GOOD
            work(account, refusal, sidecar, store)
            told = {daemon.command[0]: told_by(daemon) for daemon in (sidecar, store)}
        secrets = account.secrets() | web.secrets()
        for daemon in sidecar, store:
            check(f"{daemon.command[0]} by {kind}", told[daemon.command[0]], secrets)
            check(f"{daemon.command[0]} by {kind}", daemon.log_text(), secrets)
    return f"{kind}: none of {len(secrets)} texts in {sum(map(len, told.values()))} bytes"


# Configurations that are wrong near a secret.
WRONG = (
    "access_key: AKIA\n  secret_key: [{secret}]",
    "access_key: AKIA\n  secret_key: {secret}\n  session_token: {{a: {secret}}}",
    "access_key: AKIA\n  secret_key: {secret}\n  aws_sdk_auth: true",
    "session_token: {secret}",
    "secret_key: {secret}",
    "access_key: AKIA\n  secret_key: {secret}\n  secret_key: {secret}",
    "access_key: AKIA\n  secret_key: {secret}\n  {secret}",
    "access_key: AKIA\n  secret_key: '{secret}\n  x: y",
)


# The same of the web configuration.
WRONG_WEB = (
    "basic_auth_users: {{a: {secret}}}",
    "basic_auth_users: {{a: [{secret}]}}",
    "basic_auth_users: {secret}",
    "basic_auth_users:\n  a:{secret}",
    "basic_auth_users: {{a: {secret}, a: {secret}}}",
    "basic_auth_users: {{a: '{secret}\n  x: y",
    "tls_server_config: {{cert: {secret}, key: [{secret}]}}",
    "tls_server_config: {{cert: {secret}, key: {secret}}}",
    "tls_server_config: {{key: {secret}}}",
)


def refuses_web_quietly(store, directory):
    for wrong in WRONG_WEB:
        path = os.path.join(directory, "wrong-web.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(wrong.format(secret="a-planted-secret/+"))
        done = subprocess.run(
            [store, "--http-address=127.0.0.1:0", "--log.level=debug",
             f"--http.config={path}",
             f"--objstore.config={{type: FILESYSTEM, config: {{directory: {directory}/b}}}}"],
            capture_output=True, text=True, timeout=20, check=False, cwd=directory)
        assert done.returncode == 1, (wrong, done.stderr)
        assert "wrong-web.yml" in done.stderr, done.stderr
        check(wrong, done.stdout + done.stderr, spellings("a-planted-secret/+"))


def refuses_quietly(store, directory):
    for wrong in WRONG:
        text = wrong.format(secret="a-planted-secret/+")
        done = subprocess.run(
            [store, "--http-address=127.0.0.1:0", "--log.level=debug",
             "--objstore.config=type: S3\nconfig:\n  bucket: b\n  endpoint: 127.0.0.1:1\n"
             "  region: r\n  " + text],
            capture_output=True, text=True, timeout=20, check=False, cwd=directory)
        assert done.returncode == 1, (text, done.stderr)
        check(text, done.stdout + done.stderr, spellings("a-planted-secret/+"))


def main():
    if not certificate.can_make():
        print("SKIP: no openssl to make a certificate with")
        return SKIP
    golden = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "golden")
    [block] = glob.glob(os.path.join(golden, "xor", "0*"))
    with tempfile.TemporaryDirectory() as directory, \
            concurrent.futures.ThreadPoolExecutor(len(KINDS)) as pool:
        store = os.path.abspath(os.path.join(sys.argv[1], "blockhouse-store"))
        refuses_quietly(store, directory)
        refuses_web_quietly(store, directory)
        server_files, web = certificate.make(directory, "localhost"), Web(directory)
        for line in pool.map(lambda kind: run(sys.argv[1], block, server_files, web, kind),
                             KINDS):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
