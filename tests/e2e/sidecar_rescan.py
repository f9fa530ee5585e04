#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""With many blocks shipped, passes over the data directory ask the bucket for nothing:
neither in the run that has shipped them nor after a restart.

usage: sidecar_rescan.py <blockhouse-sidecar> [<blocks>]
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from tiny_blocks import TinyBlocks  # noqa: E402

PASSES = 5
SHIP_LIMIT_S = 240
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def requests(sidecar):
    return sidecar.metric("thanos_objstore_bucket_operations_total")


def cpu_s(sidecar):
    with open(f"/proc/{sidecar.process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rescan(sidecar, blocks):
    """Passes, each of which a block without a sample brings about."""
    begin = cpu_s(sidecar)
    for _ in range(PASSES):
        before = sidecar.metric("thanos_shipper_dir_syncs_total")
        blocks.add(samples=0)
        wait_until("a pass", lambda: sidecar.metric("thanos_shipper_dir_syncs_total") > before)
    print(f"  a pass takes {(cpu_s(sidecar) - begin) / PASSES * 1000:.0f} ms of CPU time")


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    prometheus = FakePrometheus({"cluster": "eu1", "replica": "a"})
    with tempfile.TemporaryDirectory() as directory:
        data, bucket = os.path.join(directory, "data"), os.path.join(directory, "bucket")
        os.makedirs(data)
        os.makedirs(bucket)
        blocks = TinyBlocks(data)
        for _ in range(count):
            blocks.add()
        command = [program, "--http-address=127.0.0.1:{port}", f"--tsdb.path={data}",
                   f"--prometheus.url={prometheus.url}",
                   f"--objstore.config={dir_bucket(bucket)}"]
        with Daemon(*command) as sidecar:
            wait_until("every block to be shipped", lambda: sidecar.metric(
                "thanos_shipper_uploads_total") == count, SHIP_LIMIT_S)
            wait_until("every block to be recorded", lambda: sidecar.metric(
                "blockhouse_sidecar_pinned_blocks") == 0)
            shipped = requests(sidecar)
            print(f"{count} blocks are shipped with {shipped:.0f} requests")
            rescan(sidecar, blocks)
            assert requests(sidecar) == shipped, "a pass has asked the bucket for something"
        with Daemon(*command) as sidecar:
            rescan(sidecar, blocks)
            assert requests(sidecar) == 0, "a pass has asked the bucket for something"
        with open(os.path.join(data, "thanos.shipper.json"), encoding="utf-8") as file:
            assert len(json.load(file)["uploaded"]) == count
    print("passed")


if __name__ == "__main__":
    main()
