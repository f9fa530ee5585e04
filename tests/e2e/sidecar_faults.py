#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sidecar ships many small blocks through a network and a server of which three
requests in ten suffer, each in another way. Whenever a reader looks at the bucket, every
block that it sees is whole; in the end all are there, each sent once.

usage: sidecar_faults.py <directory of the programs> <bucket.yml> <control> [<blocks>]
       the bucket is empty, behind fault_proxy.py, whose control is host:port; the
       stack's own bucket.yml, beside it, leads past the proxy
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from fault_control import FaultControl  # noqa: E402
from tiny_blocks import OBJECTS, TinyBlocks  # noqa: E402

FAULTS_PERMILLE = 300
AT_ONCE = 8
# Blocks that wait at any time: a backlog, and new ones that come meanwhile.
BACKLOG = 20
LIMIT_S = 900


class Reader(threading.Thread):
    """Lists the bucket over and over, and reads each block when it is first seen."""

    def __init__(self, program, config):
        super().__init__(daemon=True)
        self.program, self.config = program, config
        self.seen, self.partial, self.looks, self.problem = set(), set(), 0, None
        self.stop_asked = threading.Event()

    def tool(self, command, *arguments):
        """Rows of what "blockhouse bucket" says."""
        done = subprocess.run(
            [self.program, "bucket", command, f"--objstore.config-file={self.config}",
             "--log.level=error", "--output=json", *arguments],
            text=True, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def run(self):
        try:
            while not self.stop_asked.is_set():
                self.look()
        except AssertionError as problem:
            self.problem = problem

    def finish(self):
        self.stop_asked.set()
        self.join()
        self.check()

    def check(self):
        if self.problem is not None:
            raise self.problem

    def look(self):
        rows = {row["ulid"]: row["state"] for row in self.tool("ls")}
        complete = {ulid for ulid, state in rows.items() if state == "complete"}
        self.partial |= rows.keys() - complete
        assert self.seen <= complete, f"{self.seen - complete} have gone"
        if complete > self.seen:
            self.verify(sorted(complete - self.seen))
        self.seen = complete
        self.looks += 1

    def verify(self, ulids=()):
        rows = self.tool("verify", *ulids)
        for row in rows:
            assert row["result"] == "ok", row
        return {row["ulid"] for row in rows}


def feed(blocks, reader, count):
    """Blocks appear while others are still on their way."""
    while len(blocks.ulids) < count:
        wait_until("blocks to arrive", lambda: reader.check()
                   or len(blocks.ulids) < len(reader.seen) + BACKLOG, LIMIT_S)
        blocks.add()


def main():
    programs, config, control = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 40
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"{count} blocks, SEED={seed}")
    proxy = FaultControl(control)
    reader = Reader(os.path.join(programs, "blockhouse"),
                    os.path.join(os.path.dirname(config), "bucket.yml"))
    prometheus = FakePrometheus({"cluster": "eu1", "replica": "a"})
    with tempfile.TemporaryDirectory() as data:
        blocks = TinyBlocks(data)
        with Daemon(os.path.join(programs, "blockhouse-sidecar"),
                    "--http-address=127.0.0.1:{port}", f"--tsdb.path={data}",
                    f"--prometheus.url={prometheus.url}",
                    f"--objstore.config-file={config}",
                    f"--shipper.block-concurrency={AT_ONCE}") as sidecar:
            proxy.tell(f"random {seed} {FAULTS_PERMILLE}")
            reader.start()
            feed(blocks, reader, count)
            wait_until("every block to be in the bucket", lambda: reader.check()
                       or sidecar.metric("thanos_shipper_uploads_total") == count, LIMIT_S)
            wait_until("every block to be recorded",
                       lambda: sidecar.metric("blockhouse_sidecar_pinned_blocks") == 0)
            reader.finish()
            failed = sidecar.metric("thanos_shipper_upload_failures_total")
    assert reader.verify() == set(blocks.ulids)
    struck = proxy.stats()
    requests = struck.pop("requests")
    print(f"{requests} requests, {sum(struck.values())} struck: {struck}")
    print(f"{failed:.0f} tries failed; {reader.looks} looks at the bucket, "
          f"{len(reader.partial)} blocks were seen half-sent, none half visible")
    assert sum(struck.values()) > count * OBJECTS / 10, "hardly a fault has struck"


if __name__ == "__main__":
    main()
