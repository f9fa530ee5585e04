#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The head of a real Prometheus, flushed; sidecar_flush.sh says why.

usage: sidecar_flush.py <directory of the programs> <prometheus> [<thanos>]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, free_port, wait_until, write  # noqa: E402

ADMIN, FLUSH = "--web.enable-admin-api", "--shipper.flush-on-shutdown"
# Long enough that a flush falls into it, short enough to wait for its end.
BLOCK = "20s"
HEIR_S = 120
MARK = "no-compact-mark.json"


class World:
    def __init__(self, directory, programs, prometheus):
        self.directory, self.programs = pathlib.Path(directory), pathlib.Path(programs)
        self.data, self.bucket = self.directory / "data", self.directory / "bucket"
        self.prometheus_program, self.port = prometheus, free_port()
        self.config = write(self.directory / "prometheus.yml", f"""global:
  scrape_interval: 500ms
  external_labels: {{cluster: eu1}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{self.port}"]}}]
""")

    def prometheus(self, *flags):
        daemon = Daemon(self.prometheus_program, f"--config.file={self.config}",
                        f"--storage.tsdb.path={self.data}", "--log.level=warn",
                        f"--storage.tsdb.min-block-duration={BLOCK}",
                        f"--storage.tsdb.max-block-duration={BLOCK}",
                        f"--web.listen-address=127.0.0.1:{self.port}", *flags)
        daemon.port = self.port
        return daemon

    def sidecar(self, *flags):
        return Daemon(str(self.programs / "blockhouse-sidecar"),
                      "--http-address=127.0.0.1:{port}", f"--tsdb.path={self.data}",
                      f"--prometheus.url=http://127.0.0.1:{self.port}",
                      "--prometheus.get_config_interval=100ms",
                      f"--objstore.config={dir_bucket(self.bucket)}",
                      *flags)

    def snapshots(self):
        folder = self.data / "snapshots"
        return sorted(os.listdir(folder)) if folder.exists() else []

    def shipped(self):
        """ULID -> meta.json of each block of the bucket."""
        return {path.parent.name: json.loads(path.read_text())
                for path in self.bucket.glob("*/meta.json")}

    def flushed(self):
        """ULIDs of blocks with a mark; none is without a meta.json."""
        return sorted(path.parent.name for path in self.bucket.glob(f"*/{MARK}"))

    def verify(self):
        done = subprocess.run([self.programs / "blockhouse-bucket", "verify",
                               f"--objstore.config={dir_bucket(self.bucket)}"],
                              text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def samples_of(prometheus):
    """What Prometheus has of one series: [(ms, value)]."""
    answer = prometheus.request("GET", "/api/v1/query?query=up[10m]")
    series = json.loads(answer.text)["data"]["result"]
    return [(round(t * 1000), float(v)) for t, v in series[0]["values"]] if series else []


def samples_in(world):
    """The same in the bucket, as a store answers that remembers none of it."""
    with Daemon(str(world.programs / "blockhouse-store"), "--http-address=127.0.0.1:{port}",
                f"--data-dir={tempfile.mkdtemp(dir=world.directory)}",
                f"--objstore.config={dir_bucket(world.bucket)}") as store:
        (series,) = rr.read_sampled(store, [rr.query([("__name__", "=", "up")], 0, 1 << 60)])
    assert len(series) == 1, series
    return series[0][1]


def expect_log(daemon, *parts):
    assert any(all(part in line for part in parts)
               for line in daemon.log_text().splitlines()), f"no {parts} in the log"


def refuse(world):
    """Prometheus has no admin API: the sidecar says so twice, and ends as ever."""
    with world.prometheus() as prometheus:
        with world.sidecar(FLUSH) as sidecar:
            wait_until("samples", lambda: samples_of(prometheus))
            wait_until("the flags to be checked", lambda: sidecar.metric(
                'blockhouse_sidecar_prometheus_flags_unsuitable{reason="no_admin_api"}') == 1)
        expect_log(sidecar, "level=warn", "checked flags of prometheus", ADMIN)
        expect_log(sidecar, "level=error", "head of prometheus is not flushed", ADMIN)
    assert not world.snapshots() and not (world.data / "thanos" / "flush.json").exists()
    print("  without the admin API it says so")


def miss(world):
    """Prometheus ends first, as in a pod without an order."""
    with world.prometheus(ADMIN) as prometheus:
        with world.sidecar(FLUSH) as sidecar:
            prometheus.stop()
    expect_log(sidecar, "level=error", "head of prometheus is not flushed",
               "has to run until the sidecar has ended")
    print("  without Prometheus it says so")


def flush(world, prometheus):
    """SIGTERM: what Prometheus had before is in the bucket after. Returns the block."""
    before = set(world.flushed())
    with world.sidecar(FLUSH):
        wait_until("samples", lambda: len(samples_of(prometheus)) >= 4)
        had = samples_of(prometheus)
    (ulid,) = set(world.flushed()) - before
    mark = json.loads((world.bucket / ulid / MARK).read_text())
    assert mark["id"] == ulid and mark["reason"] == "manual" and mark["version"] == 1, mark
    assert not world.snapshots(), world.snapshots()
    assert os.listdir(world.data / "thanos" / "upload") == []
    missing = set(had) - set(samples_in(world))
    assert not missing, f"not in the bucket: {missing}"
    state = json.loads((world.data / "thanos.shipper.json").read_text())
    assert ulid not in (state["uploaded"] or []), state
    world.verify()
    return ulid


def wait_for_heir(world, flushed):
    """A regular block with all of them as sources."""
    def heirs():
        return [ulid for ulid, meta in world.shipped().items() if ulid not in flushed and
                set(flushed) < set(meta["compaction"]["sources"])]
    with world.sidecar():
        wait_until("the regular block", heirs, HEIR_S)
    assert not (world.data / "thanos" / "flushed.json").exists()
    world.verify()


def compact(world, thanos):
    """Nothing overlaps for it, and it wants to delete what was replaced."""
    done = subprocess.run(
        [thanos, "compact", f"--http-address=127.0.0.1:{free_port()}",
         f"--data-dir={world.directory / 'compact'}", "--consistency-delay=0s",
         "--no-debug.halt-on-error", f"--objstore.config={dir_bucket(world.bucket)}"],
        text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0 and "overlap" not in done.stderr, done.stderr[-4000:]
    for ulid in world.flushed():
        assert (world.bucket / ulid / "deletion-mark.json").exists(), ulid
    print("  a compactor of Thanos passes over what was flushed")


def main(programs, prometheus_program, thanos=None):
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, programs, prometheus_program)
        refuse(world)
        miss(world)
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, programs, prometheus_program)
        with world.prometheus(ADMIN) as prometheus:
            first = flush(world, prometheus)
        with world.prometheus(ADMIN) as prometheus:
            second = flush(world, prometheus)
            assert first in world.shipped()[second]["compaction"]["sources"]
            print("  the head is in the bucket, after each of two restarts")
            wait_for_heir(world, [first, second])
            print("  the regular block has replaced them")
            had = samples_of(prometheus)
        stored = samples_in(world)
        times = [t for t, _ in stored]
        assert times == sorted(set(times)), "samples are there twice"
        assert set(stored) <= set(had), "the store has others"
        if thanos is not None:
            compact(world, thanos)
    print("passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
