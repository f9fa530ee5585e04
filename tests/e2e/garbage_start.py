#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Command lines and configurations that no daemon should start with: each ends soon,
with the right status and a message that names what is wrong.

usage: garbage_start.py <directory of the programs>
"""
import os
import subprocess
import sys
import tempfile

USAGE, FAILED = 2, 1  # flags that cannot be read; anything else
SECONDS = 20

# (arguments, status, what the message says); {d} is a directory. Both daemons.
FLAGS = [
    (["--no-such-flag"], USAGE, "no-such-flag"),
    (["--no-such-flag=1"], USAGE, "no-such-flag"),
    (["-x"], USAGE, "-x"),
    (["stray"], USAGE, "stray"),
    (["--http-address"], USAGE, "http-address"),
    (["--log.level=loud"], USAGE, "log.level"),
    (["--log.format=xml"], USAGE, "log.format"),
    (["--http-grace-period=soon"], USAGE, "http-grace-period"),
    (["--http-grace-period=-1m"], USAGE, "http-grace-period"),
    (["--http-grace-period=99999999999999999999h"], USAGE, "http-grace-period"),
    (["--http-grace-period="], USAGE, "http-grace-period"),
    (["@{d}/no-such-file"], USAGE, "no-such-file"),
    (["--http-address=256.0.0.1:http"], FAILED, "--http-address: address \"256.0.0.1"),
    (["--http-address=127.0.0.1:99999"], FAILED, "--http-address: address \"127.0.0.1:99999"),
    (["--http-address=127.0.0.1"], FAILED, "127.0.0.1"),
    (["--objstore.config-file={d}/no-such-file"], FAILED, "no-such-file"),
    (["--objstore.config-file={d}"], FAILED, "{d}"),
    (["--objstore.config={type: FILESYSTEM, config: {directory: {d}/b}}",
      "--request.logging-config={options: {level: LOUD}}"], FAILED, "LOUD"),
    (["--objstore.config={type: FILESYSTEM, config: {directory: {d}/b}}",
      "--http.config={d}/no-such-web.yml"], FAILED, "no-such-web.yml"),
    (["--objstore.config=type: FILESYSTEM", "--objstore.config-file={d}/x"], FAILED,
     "objstore.config"),
]

STORE_FLAGS = [
    ([], FAILED, "objstore.config"),
    (["--sync-block-duration=1.5.5s"], USAGE, "sync-block-duration"),
    (["--sync-block-duration=-3s"], USAGE, "sync-block-duration"),
    (["--objstore-parquet.config=type: S3"], USAGE, "objstore-parquet.config"),
    (["--chunk-pool-size=2"], USAGE, "chunk-pool-size"),
    (["--selector.relabel-config=[{action: replace}]"], FAILED, "line 1: action"),
    (["--selector.relabel-config-file={d}/no-such-file"], FAILED, "no-such-file"),
    (["--index-cache.config=type: DISK"], FAILED, "DISK"),
    (["--store.caching-bucket.config={type: REDIS, config: {password: hunter2}}"], FAILED,
     "addr is missing"),
]

SIDECAR_FLAGS = [
    (["--hash-func=MD5"], USAGE, "MD5"),
    (["--prometheus.url=gopher://x"], USAGE, "gopher"),
    (["--prometheus.url="], USAGE, "prometheus.url"),
    (["--reloader.method=mail"], USAGE, "reloader.method"),
    (["--reloader.config-envsubst-file={d}/out.yml"], USAGE, "reloader.config-file"),
    (["--reloader.watch-interval=0", "--reloader.config-file={d}/gone.yml"], FAILED, "gone.yml"),
    (["--prometheus.http-client=basic_aut: {}"], FAILED,
     "-sidecar: --prometheus.http-client: line 1: unknown key \"basic_aut\""),
    (["--prometheus.http-client=proxy_url: http://u:hunter2@h:99999"], FAILED, "proxy"),
    (["--prometheus.http-client-file={d}/no-such-file"], FAILED, "no-such-file"),
]

DIR = "type: FILESYSTEM\nconfig:\n  directory: {d}\n"
S3 = "type: S3\nconfig:\n  bucket: b\n  endpoint: 127.0.0.1:1\n  secret_key: hunter2\n"
KEYED = S3 + "  access_key: me\n"

# (YAML, what the message says)
CONFIGS = [
    ("typ: FILESYSTEM\n", "typ"),
    ("type: FILESYSTEM\n", "directory"),
    ("type: FILESYSTEM\nconfig:\n  direktory: /x\n", "direktory"),
    ("type: FILESYSTEM\nconfig:\n  directory: ''\n", "directory"),
    ("type: FILESYSTEM\nconfig:\n  directory: [a]\n", "directory"),
    ("type: FILESYSTEM\nconfig: 7\n", "config"),
    (DIR + "type: FILESYSTEM\n", "type"),
    (DIR + "colour: red\n", "colour"),
    (DIR + "---\n" + DIR, "document"),
    ("- type: FILESYSTEM\n", "map"),
    ("just text\n", "map"),
    ("type: [unclosed\n", "line"),
    ("type: FILESYSTEM\n\tconfig: {}\n", "line"),
    ("type: $(BLOCKHOUSE_UNSET)\n", "BLOCKHOUSE_UNSET"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "line"),
    ("[" * 100000, ""),
    ("a: " * 1000, ""),
    ("\x01\x02\x03", ""),
    ("type: S3\nconfig: {}\n", "bucket"),
    ("type: S3\nconfig:\n  bucket: b\n", "endpoint"),
    (S3, "access_key"),
    (KEYED + "  insecure: maybe\n", "insecure"),
    (KEYED + "  http_config:\n    idle_conn_timeout: later\n", "idle_conn_timeout"),
    (KEYED + "  bucket_lookup_type: sideways\n", "sideways"),
    (KEYED + "  aws_sdk_auth: true\n", "line 7: aws_sdk_auth"),
    (KEYED + "  signature_version2: true\n  session_token: T\n", "signature_version2"),
    ("type: FLOPPY\nconfig: {}\n", "FLOPPY"),
    ("type: GCS\nconfig: {bucket: b}\n", "GCS"),
]

# Files that cannot be an argument.
CONFIG_FILES = [
    (b"type: FILESYSTEM\nconfig:\n  directory: /x\0y\n", "config.yml"),
    (b"type: \xff\xfe\x80\n", "config.yml"),
    (b"# long\n" * 2000000, "config.yml"),
]


class Run:
    def __init__(self, program, directory):
        self.program, self.directory, self.count = program, directory, 0

    def expect(self, arguments, status, word):
        arguments = [a.replace("{d}", self.directory) for a in arguments]
        word = word.replace("{d}", self.directory)
        environment = {k: v for k, v in os.environ.items() if k != "BLOCKHOUSE_UNSET"}
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True,
                              errors="replace", timeout=SECONDS, env=environment,
                              cwd=self.directory, check=False)
        shown = f"{self.program} {str(arguments)[:300]}\n-> {done.returncode}\n" \
                f"{done.stderr[-3000:]}"
        assert done.returncode == status, f"wanted status {status}: {shown}"
        assert word in done.stderr, f"wanted '{word}' in the message: {shown}"
        assert done.stderr.strip() and len(done.stderr) < 20000, f"message: {shown}"
        for report in ("AddressSanitizer", "runtime error", "ThreadSanitizer", "CHECK"):
            assert report not in done.stderr, shown
        assert "hunter2" not in done.stderr, f"a secret is shown: {shown}"
        self.count += 1

    def configurations(self, fixed):
        for text, word in CONFIGS:
            self.expect([*fixed, "--objstore.config=" + text], FAILED, word)
        path = os.path.join(self.directory, "config.yml")
        for content, word in CONFIG_FILES:
            with open(path, "wb") as file:
                file.write(content)
            self.expect([*fixed, "--objstore.config-file=" + path], FAILED, word)


def main():
    for name, more in (("store", STORE_FLAGS), ("sidecar", SIDECAR_FLAGS)):
        with tempfile.TemporaryDirectory() as directory:
            run = Run(os.path.join(os.path.abspath(sys.argv[1]), "blockhouse-" + name),
                      directory)
            fixed = ["--http-address=127.0.0.1:0"]
            good = "--objstore.config=" + DIR
            for arguments, status, word in FLAGS + more:
                own = arguments if "config" in str(arguments) + word else [good, *arguments]
                run.expect(own if "http-address" in str(own) else fixed + own, status, word)
            run.configurations(fixed)
            print(f"{run.program}: {run.count} wrong starts")


if __name__ == "__main__":
    main()
