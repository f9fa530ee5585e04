#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The store reads golden blocks from a bucket whose answers are sometimes not what is
stored: with a bit flipped, or of another object. Nothing on the wire tells; the checksums
in index and chunks do. A query gets the right answer or an error, never a wrong value.

usage: read_faults.py <blockhouse-store> <bucket.yml> <control> [<queries>]
       the bucket is empty, on a server behind fault_proxy.py, whose control is host:port
"""
import collections
import glob
import http.client
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from daemon import Daemon, wait_until  # noqa: E402
from fault_control import FaultControl  # noqa: E402
from read_golden import ALL, Golden, MATCHERS  # noqa: E402

FAULTS = ("flip after=-2", "foreign")
STARTS = 4  # of the store, each with another fault under the building of its header


def struck(proxy):
    counts = proxy.stats()
    return sum(counts.get(name, 0) for name in ("flip_down", "foreign_same"))


def upload(config, block):
    """As the sidecar does: meta.json last."""
    keys = dict(re.findall(r"^ *(endpoint|access_key|secret_key|bucket): (\S+)$", config,
                           re.MULTILINE))
    for name in ("chunks/000001", "index", "meta.json"):
        subprocess.run(
            ["curl", "-fsS", "-m", "30", "--retry", "5", "-T", os.path.join(block, name),
             "--aws-sigv4", "aws:amz:us-east-1:s3", "-o", os.devnull,
             "--user", f"{keys['access_key']}:{keys['secret_key']}",
             "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
             f"http://{keys['endpoint']}/{keys['bucket']}/"
             f"{os.path.basename(block)}/{name}"], check=True)


def wanted(golden, matchers, begin, end):
    return [(0, labels, [(enc, low, high, data) for low, high, enc, data in keys])
            for labels, keys in golden.selected(matchers, begin, end)]


def ask(store, golden, matchers, begin, end):
    """"right", or how it failed."""
    try:
        answer = rr.post_streamed(store, [rr.query(matchers, begin, end)])
    except (http.client.IncompleteRead, ConnectionError):
        return "broken off"
    if answer.status != 200:
        return f"status {answer.status}"
    assert rr.series_of(answer) == wanted(golden, matchers, begin, end), \
        f"{golden.name}: a wrong answer to {matchers} from {begin} to {end}"
    return "right"


def is_cached(store, golden):
    """A query that comes again asks the bucket for nothing."""
    fetches = []
    for _ in range(2):
        assert ask(store, golden, [ALL], golden.begin, golden.end) == "right"
        fetches.append(store.metric("blockhouse_store_fetches_total"))
    assert fetches[0] == fetches[1] > 0, fetches
    assert store.metric("blockhouse_store_range_cache_hits_total") > 0


def heals(store, golden):
    """What was struck may be in the cache although no query has needed it yet: who does
    fails, and drops it."""
    asked = [ask(store, golden, [ALL], golden.begin, golden.end) for _ in range(2)]
    assert asked[1] == "right", f"{golden.name}: asked for all: {asked}"


def queries(store, proxy, golden, count):
    choose = random.Random(golden.name)
    outcomes = collections.Counter()
    for number in range(count):
        begin, end = sorted(choose.sample(range(golden.begin, golden.end), 2))
        matchers = [choose.choice(MATCHERS + 10 * [ALL])]
        # Of the parts of a block what is not cached: its chunks, and series in its index.
        proxy.tell(f"fault {choose.choice(FAULTS)} method=GET part=/"
                   f"{choose.choice(('chunks/', 'index'))} skip={choose.choice((0, 0, 1))}")
        before = struck(proxy)
        outcome = ask(store, golden, matchers, begin, end)
        outcomes[outcome if struck(proxy) > before else "not struck"] += 1
        proxy.tell("clear")
        if number % 10 == 0:
            heals(store, golden)
    return outcomes


def store_over(program, config_path, directory):
    return Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}",
                  f"--objstore.config-file={config_path}", "--sync-block-duration=1s")


def starts(program, config_path, proxy, golden):
    """Whatever happens to the parts of the index from which a header is built: what is
    served is right, and all is in the end."""
    before = struck(proxy)
    for number in range(STARTS):
        proxy.tell(f"fault {FAULTS[number % 2]} method=GET part=index skip={number // 2} times=2")
        with tempfile.TemporaryDirectory() as directory, \
                store_over(program, config_path, directory) as store:
            wait_until("the header", lambda: store.metric(
                "thanos_bucket_store_block_load_duration_seconds_count") == 1)
            proxy.tell("clear")
            wait_until("the block", lambda: store.metric(
                "thanos_bucket_store_blocks_loaded") == 1)
            assert ask(store, golden, [ALL], golden.begin, golden.end) == "right"
    assert struck(proxy) > before, "no fault has struck"
    print(f"  {STARTS} starts, {struck(proxy) - before} faults under them")


def main():
    program, config_path, control = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 60
    proxy = FaultControl(control)
    with open(config_path, encoding="utf-8") as file:
        config = file.read()
    for path in sorted(glob.glob(os.path.join(HERE, "..", "golden", "*",
                                              "expected.jsonl.gz"))):
        golden = Golden(os.path.dirname(path))
        print(f"{golden.name}: {len(golden.series)} series")
        check(program, config_path, config, proxy, golden, count)


def check(program, config_path, config, proxy, golden, count):
    own = config.replace("config:", f"prefix: {golden.name}\nconfig:", 1)
    upload(config.replace("bucket: blocks", f"bucket: blocks/{golden.name}"), golden.block)
    with tempfile.TemporaryDirectory() as directory:
        config_path = os.path.join(directory, "bucket.yml")
        with open(config_path, "w", encoding="utf-8") as file:
            file.write(own)
        starts(program, config_path, proxy, golden)
        with store_over(program, config_path, os.path.join(directory, "data")) as store:
            is_cached(store, golden)
            outcomes = queries(store, proxy, golden, count)
    print(f"  {count} queries: {dict(outcomes)}")
    assert sum(outcomes.values()) - outcomes["not struck"] >= count / 4, "too few struck"
    assert outcomes["right"] < sum(outcomes.values()) - outcomes["not struck"], \
        "no fault was noticed"


if __name__ == "__main__":
    main()
