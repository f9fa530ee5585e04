#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each container of ours in deploy/k8s becomes ready with its own command line, on a
directory bucket; and the shards of the sharded stores share all blocks out, each to one.

usage: k8s_commands.py <directory of the programs> <containers.json>
"""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import dir_bucket, write  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from k8s_container import read_containers  # noqa: E402
from sharding import Bucket  # noqa: E402

BLOCKS = 60


def settle(container, directory, bucket, prometheus):
    """In a directory of its own, with this bucket."""
    container.settle(directory, {"http://localhost:9090": prometheus.url},
                     {"objstore.yml": dir_bucket(bucket)})
    if container.overlay == "helm":  # the Secret is whoever's it is
        for folder in ("etc/blockhouse", "conf"):
            write(os.path.join(directory, folder, "objstore.yml"), dir_bucket(bucket))


def start_each(containers, programs, root):
    bucket = os.path.join(root, "bucket")
    os.makedirs(bucket)
    prometheus = FakePrometheus({"cluster": "example"})
    seen = set()
    for number, container in enumerate(containers):
        key = (tuple(container.args), tuple(container.environment.items()))
        if key in seen:
            continue
        seen.add(key)
        settle(container, os.path.join(root, str(number)), bucket, prometheus)
        with container.daemon(programs) as daemon:
            log = daemon.log_text()
            assert "without effect" not in log or container.overlay == "helm", (container, log)
    print(f"  {len(seen)} command lines of {len(containers)} containers")
    assert {one.args[0] for one in containers} == {"sidecar", "store"}


def share_out(containers, programs, root):
    """Each of these stores serves blocks that no other one serves, together all."""
    source = Bucket(os.path.join(root, "shards"))
    while len(source.blocks.ulids) < BLOCKS:
        source.add()
    served = []
    for container in containers:
        settle(container, os.path.join(root, container.set), source.directory,
               FakePrometheus({}))
        with container.daemon(programs) as store:
            served.append(set(source.served(store)))
    print(f"  shards serve {[len(one) for one in served]} of {BLOCKS} blocks")
    assert all(served) and sum(map(len, served)) == BLOCKS
    assert set().union(*served) == set(source.blocks.ulids)


def main():
    programs, path = sys.argv[1:]
    with tempfile.TemporaryDirectory() as root:
        start_each([one for one in read_containers(path) if one.is_ours], programs, root)
        share_out([one for one in read_containers(path) if one.overlay == "sharded"],
                  programs, root)


if __name__ == "__main__":
    main()
