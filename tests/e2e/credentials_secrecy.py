#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets stay where they are: sidecar and store, told to log everything and to trace,
ship and read a block with credentials of each kind, then meet refusals that repeat what
was sent. No secret may be in their output, on their pages or in their arguments.

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
from daemon import Daemon, wait_until  # noqa: E402
from garbage_sidecar import GOOD, Prometheus  # noqa: E402

SKIP = 77
LIFE_S = 3600
CUSTOMER_KEY = b"0123456789:;<=>?@ABCDEFGHIJKLMNO"
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
    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/read",
                 "/api/v1/status/flags", "/api/v1/status/store", "/api/v1/sidecar/status"):
        page = daemon.request("GET", path)
        told += f"{page.headers}{page.text}"
    return told


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


def run(programs, block, server_files, kind):
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
        prometheus.answer = 200, GOOD
        shutil.copytree(block, account.path("data/" + os.path.basename(block)))
        common = ["--http-address=127.0.0.1:{port}", "--log.level=debug",
                  f"--objstore.config-file={account.config_file()}"]
        with Daemon(os.path.join(programs, "blockhouse-sidecar"), *common,
                    f"--prometheus.url={prometheus.url}",
                    "--tsdb.path=" + account.path("data"), ready="/-/healthy",
                    environment=account.environment) as sidecar, \
                Daemon(os.path.join(programs, "blockhouse-store"), *common,
                       "--data-dir=" + account.path("store"), "--sync-block-duration=1s",
                       ready="/-/healthy", environment=account.environment) as store:
            store.ready = "/-/ready"
            work(account, refusal, sidecar, store)
            told = {daemon.command[0]: told_by(daemon) for daemon in (sidecar, store)}
        secrets = account.secrets()
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
        refuses_quietly(os.path.abspath(os.path.join(sys.argv[1], "blockhouse-store")),
                        directory)
        server_files = certificate.make(directory, "localhost")
        for line in pool.map(lambda kind: run(sys.argv[1], block, server_files, kind), KINDS):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
