#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two stores over one bucket, told apart by a hashmod of --selector.relabel-config, serve
disjoint halves of its blocks, as MD5 tells, which together are all of it; the rules are
read once; rules that are wrong end the start with line, key and a way out.

usage: sharding.py <blockhouse-store>
"""
import hashlib
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until, write  # noqa: E402
from read_golden import ALL, Golden  # noqa: E402
from tiny_blocks import TinyBlocks, ulid_of  # noqa: E402

BLOCKS, STORES = 24, 2
RULES = f"""\
- action: hashmod
  source_labels: [__block_id]
  target_label: shard
  modulus: {STORES}
- action: keep
  source_labels: [shard]
  regex: $(SHARD)
"""
EXCLUDED = 'thanos_blocks_meta_synced{state="label-excluded"}'
WRONG = (("- action: keep\n  regexp: 0\n", ("line 2", "regexp", "known keys are")),
         ("- action: replace\n", ("line 1", "action", "keep, drop and hashmod")),
         ("action: keep\n", ("line 1", "list of rules")),
         ("- action: keep\n  regex: $(NOT_SET)\n", ("NOT_SET is not set",)),
         ("- action: [\n", ("line 2",)))


class Bucket:
    """Golden blocks that have their names as an external label."""

    def __init__(self, directory):
        self.directory = os.path.join(directory, "bucket")
        os.makedirs(self.directory)
        self.blocks = TinyBlocks(self.directory)
        self.golden = Golden(os.path.join(HERE, "..", "golden", "xor"))
        for _ in range(BLOCKS):
            self.add()

    def add(self):
        name = ulid_of(len(self.blocks.ulids))
        self.blocks.meta["thanos"] = {"version": 1, "labels": {"block": name},
                                      "downsample": {"resolution": 0}, "source": "sidecar"}
        self.blocks.add()
        return name

    def of(self, shard):
        return {name for name in self.blocks.ulids if shard_of(name) == shard}

    def served(self, store):
        """{block: number of series} of a store."""
        found = {}
        wanted = rr.query([ALL], self.golden.begin, self.golden.end)
        for _, labels, _ in rr.read_streamed(store, [wanted]):
            name = dict(labels)["block"]
            found[name] = found.get(name, 0) + 1
        return found


def shard_of(name):
    """The last eight bytes of the digest are a number, the most significant one first."""
    return int.from_bytes(hashlib.md5(name.encode()).digest()[8:], "big") % STORES


def store_of(program, bucket, data, shard, *arguments):
    return Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={data}",
                  f"--objstore.config={dir_bucket(bucket.directory)}",
                  "--sync-block-duration=1s", *arguments, environment={"SHARD": str(shard)})


def check_halves(bucket, stores):
    halves = [bucket.served(store) for store in stores]
    for shard, half in enumerate(halves):
        assert set(half) == bucket.of(shard), (shard, sorted(half))
        assert len(set(half.values())) == 1, half  # the blocks are copies of each other
        excluded = stores[shard].metric(EXCLUDED)
        assert excluded == len(bucket.blocks.ulids) - len(half), excluded
    assert not set(halves[0]) & set(halves[1])
    assert set(halves[0]) | set(halves[1]) == set(bucket.blocks.ulids)
    print(f"  {len(halves[0])} and {len(halves[1])} of {len(bucket.blocks.ulids)} blocks")


def check_once(bucket, path, store):
    """The file changes, a block comes: it is judged by the rules of the start."""
    write(path, "- action: drop\n")
    name = bucket.add()
    while shard_of(name) != 1:
        name = bucket.add()
    wait_until(f"block {name}", lambda: name in bucket.served(store))
    assert set(bucket.served(store)) == bucket.of(1)


def check_wrong(program, bucket, directory):
    for rules, hints in WRONG:
        path = write(os.path.join(directory, "wrong.yml"), rules)
        ended = subprocess.run([program, f"--data-dir={directory}/wrong",
                                f"--objstore.config={dir_bucket(bucket.directory)}",
                                f"--selector.relabel-config-file={path}"],
                               capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == 1, (rules, ended)
        for hint in ("--selector.relabel-config-file", path, *hints):
            assert hint in ended.stderr, (hint, ended.stderr)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        bucket = Bucket(directory)
        path = write(os.path.join(directory, "rules.yml"), RULES)
        data = os.path.join(directory, "data")
        with store_of(program, bucket, data + "0", 0,
                      f"--selector.relabel-config={RULES}") as first, \
                store_of(program, bucket, data + "1", 1,
                         f"--selector.relabel-config-file={path}") as second:
            check_halves(bucket, [first, second])
            check_once(bucket, path, second)
        check_wrong(program, bucket, directory)


if __name__ == "__main__":
    main()
