#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sidecar beside a confused Prometheus and a data directory full of broken blocks
waits, ships the one good block, and names the others.

usage: garbage_sidecar.py <directory of the programs> [<folder of golden blocks>]
"""
import filecmp
import glob
import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from garbage_blocks import break_blocks  # noqa: E402

RESIDENT_LIMIT_MIB = 80
STATE = "thanos.shipper.json"


def config(yaml):
    return json.dumps({"status": "success", "data": {"yaml": yaml}}).encode()


GOOD = config("global:\n  external_labels:\n    cluster: eu1\n    replica: a\n")

# What Prometheus may say instead of its configuration: (status, body).
CONFUSED = [
    (200, b""),
    (200, b"<html>Please log in</html>"),
    (302, b""),
    (401, b"no"),
    (503, b"Service Unavailable"),
    (500, b"\x00\xff" * 100),
    (200, b"[" * 100000),
    (200, b'{"status":"success"}'),
    (200, b'{"status":"success","data":{"yaml":7}}'),
    (200, config("global: [unclosed")),
    (200, config("global: {external_labels: [a, b]}")),
    (200, config("a: &a [x, x]\nb: [*a, *a]\n")),
    (200, config("global: {}\n")),
    (200, b'{"status":"success","data":{"yaml":"' + b"#" * (64 << 20) + b'"}}'),
]


class Prometheus:
    """Answers /api/v1/status/config as told, and notes that it was asked."""

    def __init__(self):
        self.answer, self.asked = (200, b""), 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = (200, b"") if "config" not in self.path else outer.answer
                outer.asked += "config" in self.path
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def say(self, answer):
        """Change the answer; return when a request that began later has been made."""
        self.answer = answer
        before = self.asked
        wait_until("two requests of the sidecar", lambda: self.asked >= before + 2)


def survives_confusion(sidecar, prometheus):
    for answer in CONFUSED:
        prometheus.say(answer)
        assert sidecar.request("GET", "/-/healthy").status == 200, answer[1][:80]
        assert sidecar.request("GET", "/-/ready").status == 503, answer[1][:80]
    assert os.listdir(sidecar.bucket) == [], "shipped without external labels"
    sidecar.check_resident(RESIDENT_LIMIT_MIB,
                           f"{len(CONFUSED)} confused answers of Prometheus")


def state(sidecar):
    with open(os.path.join(sidecar.data, STATE), encoding="utf-8") as file:
        return json.load(file)


def status_is_complete(sidecar, good, broken):
    """Each block with its state, and why it failed, as JSON and on the page."""
    answer = json.loads(sidecar.request("GET", "/api/v1/sidecar/status").text)
    blocks = {block["ulid"]: block for block in answer["data"]["blocks"]}
    page = sidecar.request("GET", "/").text
    failed = {one for one in broken if one in blocks}
    return (blocks[good]["state"] == "shipped" and good in page and failed and
            all(blocks[one]["state"] == "failed" and blocks[one]["reason"] and
                one in page for one in failed))


def ships_the_good_block(sidecar, good, broken):
    name = os.path.basename(good)
    meta = os.path.join(sidecar.bucket, name, "meta.json")
    wait_until("the good block to be shipped", lambda: os.path.exists(meta))
    for file in ("index", "chunks/000001"):
        assert filecmp.cmp(os.path.join(good, file),
                           os.path.join(sidecar.bucket, name, file), shallow=False)
    wait_until("every broken block to be named",
               lambda: all(one in sidecar.log_text() for one in broken))
    wait_until("the status page to say the same",
               lambda: status_is_complete(sidecar, name, broken))
    shipped = set(os.listdir(sidecar.bucket)) - {name}
    assert not shipped, f"shipped: {[(one, broken.get(one)) for one in shipped]}"
    wait_until("the good block to be recorded",
               lambda: state(sidecar) == {"version": 1, "uploaded": [name]})
    print(f"  the good block shipped, {len(broken)} broken ones named")


def slow_clients(sidecar):
    held = [sidecar.connect() for _ in range(60)]
    for connection in held:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
    started = time.monotonic()
    assert sidecar.request("GET", "/-/ready").status == 200
    assert time.monotonic() - started < 2, "a probe waited for slow clients"
    for connection in held:
        connection.close()
    assert sidecar.request("POST", "/api/v1/read", body=b"x").status == 404
    assert sidecar.request("DELETE", "/metrics").status == 405


def main():
    program = os.path.join(sys.argv[1], "blockhouse-sidecar")
    golden = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "golden")
    [good] = glob.glob(os.path.join(golden, "xor", "0*"))
    with tempfile.TemporaryDirectory() as directory:
        data, bucket = os.path.join(directory, "data"), os.path.join(directory, "bucket")
        os.makedirs(bucket)
        shutil.copytree(good, os.path.join(data, os.path.basename(good)))
        broken = break_blocks(good, data)
        for name in ("01TOOSHORT", "wal", "01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation"):
            os.makedirs(os.path.join(data, name))
        write(os.path.join(data, "01ARZ3NDEKTSV4RRFFQ69G5FAW"), "a file")
        write(os.path.join(data, STATE), '{"version": 1, "uploaded": ["\0", 7, ')
        prometheus = Prometheus()
        with Daemon(program, "--http-address=127.0.0.1:{port}", f"--tsdb.path={data}",
                    f"--prometheus.url={prometheus.url}",
                    "--prometheus.get_config_interval=50ms",
                    f"--objstore.config={dir_bucket(bucket)}",
                    ready="/-/healthy") as sidecar:
            sidecar.data, sidecar.bucket = data, bucket
            survives_confusion(sidecar, prometheus)
            prometheus.say((200, GOOD))
            wait_until("readiness", lambda: sidecar.request("GET", "/-/ready").status == 200)
            ships_the_good_block(sidecar, good, broken)
            slow_clients(sidecar)
            sidecar.check_resident(RESIDENT_LIMIT_MIB, "slow clients")


if __name__ == "__main__":
    main()
