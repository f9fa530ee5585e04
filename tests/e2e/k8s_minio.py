#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The containers of the overlay with MinIO as processes: the job makes the bucket, and
does so twice; Prometheus writes a block, the sidecar ships it, the store serves it.

usage: k8s_minio.py <directory of the programs> <containers.json> <minio> <prometheus>
"""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, free_port, wait_until  # noqa: E402
from k8s_container import read_containers  # noqa: E402

LOOPBACK = "127.0.0.1"
BLOCK_S = 120  # the first takes half a minute


class Server(Daemon):
    """Of others, with its own flag for the address."""

    def __init__(self, program, container, address, ready, port):
        super().__init__(program, *container.args, address, ready=ready,
                         environment=container.environment)
        self.port = port


def make_bucket(job):
    """Again when it is there already."""
    for status in (200, 409):
        ended = job.run()
        assert ended.returncode == 0 and f"status {status}" in ended.stdout, ended
    ended = job.run(MINIO_ROOT_PASSWORD="wrong")
    assert ended.returncode != 0 and "status 403" in ended.stdout, ended


def settle(containers, root, minio, prometheus):
    """{name: container}, with blocks of seconds in place of minutes. minio, prometheus:
    the addresses that they get; MinIO's own flag is left out for that."""
    for one in containers:
        one.settle(os.path.join(root, one.set), {
            "minio:9000": minio, "localhost:9090": prometheus, "--address=:9000": "--quiet",
            "block-duration=1m": "block-duration=10s", "sync-block-duration=15s":
            "sync-block-duration=1s", "scrape_interval: 30s": "scrape_interval: 1s"})
    return {one.name: one for one in containers}


def check_journey(sidecar, store):
    wait_until("a block in the bucket",
               lambda: sidecar.metric("thanos_shipper_uploads_total") > 0, BLOCK_S)
    wait_until("the store to serve it", lambda: "prometheus-0" in store.request(
        "GET", "/api/v1/label/replica/values").text)
    assert sidecar.metric("thanos_shipper_upload_failures_total") == 0
    print(f"  {sidecar.metric('thanos_shipper_uploads_total'):.0f} blocks shipped")


def main():
    programs, path, minio_program, prometheus_program = sys.argv[1:]
    ports = free_port(), free_port()
    minio_at, prometheus_at = (f"{LOOPBACK}:{port}" for port in ports)
    with tempfile.TemporaryDirectory() as root:
        of = settle([one for one in read_containers(path) if one.overlay == "minio"], root,
                    minio_at, prometheus_at)
        minio = Server(minio_program, of["minio"], f"--address={minio_at}",
                       "/minio/health/ready", ports[0])
        prometheus = Server(prometheus_program, of["prometheus"],
                            f"--web.listen-address={prometheus_at}", "/-/ready", ports[1])
        with minio:
            make_bucket(of["make-bucket"])
            with prometheus, of["sidecar"].daemon(programs) as sidecar, \
                    of["store"].daemon(programs) as store:
                check_journey(sidecar, store)


if __name__ == "__main__":
    main()
