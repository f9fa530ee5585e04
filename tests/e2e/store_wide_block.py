#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks that are wide, one with millions of values of one label and one with millions of
series: whatever is asked of them is answered right or refused with a text that names the
limit, and a store with 256 MiB has at most 64 MiB more than that resident.

usage: store_wide_block.py BUILD [--long]
  --long  5 000 000 values and 2 000 000 series instead of a tenth of that, of which
          nothing may be refused
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, is_sanitized  # noqa: E402
from resident import Peak, resident  # noqa: E402

LIMIT_MIB, ROOM_MIB = 256, 64
LIMIT = f"--store.memory-limit={LIMIT_MIB}MiB"
VALUES, SERIES, QUICK_PART = 5_000_000, 2_000_000, 10
PER_METRIC, CODES, PODS = 10_000, 5, 2_000  # as make_wide_block has them
ASK_S = 600
NAMES_A_LIMIT = re.compile(r"--store\.[a-z.-]*limit|limit of \d+")


class Values:
    """The block with many values of id."""

    def __init__(self, count):
        step = ((1 << 32) // count - 1) | 1
        self.ids = [f"{i * step:08x}" for i in range(count)]

    def matching(self, regex):
        matches = re.compile(regex).fullmatch
        return [one for one in self.ids if matches(one)]

    def selections(self):
        """(selectors, ids of the series)"""
        some = self.ids[:: len(self.ids) // 100][:100]
        yield [f"id={some[7]}"], [some[7]]
        yield ["id=nothing"], []
        yield ["id=~" + "|".join(some)], some
        for regex in ("00[0-9a]+", ".*a.*b.*", "0.*[a-c]f?", ".*"):
            yield ["__name__=wide", f"id=~{regex}"], self.matching(regex)
        yield ["id!="], self.ids
        yield ["__name__=wide"], self.ids
        yield ["__name__=wide", f"id!={some[7]}"], [i for i in self.ids if i != some[7]]
        yield ["__name__=wide", "id!~[0-7].*"], self.matching("[89a-f].*")
        yield ["__name__!=", "id!~.*a.*"], self.matching("[^a]*")

    def reads(self):
        for selectors, ids in self.selections():
            yield selectors, len(ids)

    def gets(self):
        """(path, parameters, data of the right answer)"""
        everything = texts(self.ids)
        yield "labels", [], texts(["__name__", "cluster", "id"])
        yield "labels", ['{__name__="wide"}'], texts(["__name__", "cluster", "id"])
        yield "label/id/values", [], everything
        yield "label/id/values", ['{__name__="wide"}'], everything
        yield "label/id/values", ['{id=~".*a.*b.*"}'], texts(self.matching(".*a.*b.*"))
        yield "label/id/values", ['{cluster="c",__name__!~"x.*"}'], everything
        yield "label/__name__/values", ['{id!=""}'], texts(["wide"])
        for selector, regex in (('{id=~"00a.*"}', "00a.*"), ('wide{id!~".*a.*"}', "[^a]*"),
                                ("wide", ".*")):
            yield "series", [selector], \
                ('{"__name__":"wide","cluster":"c","id":"%s"}' % one
                 for one in self.matching(regex))


class Series:
    """The block with many series of few values each."""

    def __init__(self, count):
        self.count, self.metrics = count, count // PER_METRIC

    def reads(self):
        yield ["__name__=metric_0003"], PER_METRIC
        yield ["__name__=metric_0003", "code=2", "pod=pod-0100"], 1
        yield ["pod=pod-0100"], self.metrics * CODES
        yield ["code=2"], self.count // CODES
        yield ["code=2", "pod=~pod-00.*"], self.count // CODES // 20
        yield ["pod=~pod-0001|pod-0500|pod-nothing"], 2 * self.metrics * CODES
        yield ["pod=~.*1.*0.*", "code!=1"], self.metrics * (CODES - 1) * sum(
            re.fullmatch(".*1.*0.*", f"pod-{i:04}") is not None for i in range(PODS))
        yield ["code!="], self.count
        yield ["__name__!="], self.count
        yield ["__name__=~metric_.*", "code!=2"], self.count // CODES * (CODES - 1)
        yield ["code!~0|1|2|3", "pod!=pod-0007", "__name__!="], \
            self.count // CODES // PODS * (PODS - 1)
        yield ["code=9"], 0

    def series(self, names, codes, pods):
        return ('{"__name__":"metric_%04d","cluster":"c","code":"%d","pod":"pod-%04d"}'
                % (name, code, pod) for name in names for code in codes for pod in pods)

    def gets(self):
        names, pods = range(self.metrics), range(PODS)
        every_pod = texts(f"pod-{pod:04}" for pod in pods)
        labels = texts(["__name__", "cluster", "code", "pod"])
        yield "labels", [], labels
        yield "labels", ['{code!=""}'], labels
        yield "label/pod/values", [], every_pod
        yield "label/pod/values", ['{code="2"}'], every_pod
        yield "label/pod/values", ['{__name__=~"metric_.*",code!="2"}'], every_pod
        yield "label/__name__/values", ['{pod="pod-0100"}'], \
            texts(f"metric_{name:04}" for name in names)
        yield "series", ['{pod="pod-0100",code="2"}'], self.series(names, [2], [100])
        yield "series", ['{code="2"}'], self.series(names, [2], pods)
        yield "series", ['{code!=""}'], self.series(names, range(CODES), pods)


def texts(words):
    return [f'"{word}"' for word in words]


def is_refusal(status, text):
    return status in (422, 503) and NAMES_A_LIMIT.search(text) is not None


class Asker:
    def __init__(self, client, store):
        self.client, self.store = client, store
        self.outcomes, self.problems = collections.Counter(), []

    def note(self, what, outcome, detail, ask_s, peak):
        self.outcomes[outcome] += 1
        print(f"  {outcome:8} {ask_s:6.2f} s {peak.whole:4.0f} MiB  {what[:60]:60} {detail[:300]}",
              flush=True)
        if outcome == "FAILED":
            self.problems.append(f"{what[:100]}: {detail}")
        if peak.whole > LIMIT_MIB + ROOM_MIB and not is_sanitized(self.store.command[0]):
            self.problems.append(f"{what[:100]}: {peak.whole:.0f} MiB resident")

    def ask(self, what, function, *arguments):
        with Peak(self.store.process.pid) as peak:
            begin = time.monotonic()
            outcome, detail = function(*arguments)
        self.note(what, outcome, detail, time.monotonic() - begin, peak)

    def read(self, selectors, count):
        """By remote read; a series has two samples."""
        url = f"http://127.0.0.1:{self.store.port}/api/v1/read"
        done = subprocess.run([self.client, "--verify", url, *selectors], text=True,
                              capture_output=True, check=False, timeout=ASK_S)
        if done.returncode == 0:
            got = [int(word) for word in done.stdout.split()[3:]]
            is_right = got == [count, 2 * count]
            return ("right", f"{count} series") if is_right else \
                ("FAILED", f"{got}, not {count} series")
        status = re.search(r"status (\d+) (.*)", done.stderr, re.S)
        if status and is_refusal(int(status[1]), status[2]):
            return "refused", f"{status[1]}: {status[2].strip()}"
        return "FAILED", done.stderr

    def get(self, path, matchers, data):
        parameters = urllib.parse.urlencode([("match[]", one) for one in matchers])
        answer = self.store.request("GET", f"/api/v1/{path}?{parameters}", timeout=ASK_S)
        if answer.status == 200:
            right = '{"status":"success","data":[' + ",".join(data) + "]}"
            is_right = answer.body.rstrip() == right.encode()
            return ("right", f"{len(right)} bytes") if is_right else \
                ("FAILED", f"{len(answer.body)} bytes, not {len(right)}: {answer.text[:200]}")
        outcome = "refused" if is_refusal(answer.status, answer.text) else "FAILED"
        return outcome, f"{answer.status}: {answer.text}"


def check(tools, kind, count, block, may_refuse):
    with tempfile.TemporaryDirectory() as directory:
        begin = time.monotonic()
        bucket = os.path.join(directory, "bucket")
        subprocess.run([tools.make, kind, str(count), bucket], check=True)
        made_s = time.monotonic() - begin
        with Daemon(tools.store, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/d",
                    f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s", LIMIT,
                    "--store.query-timeout=10m") as store:
            start = resident(store.process.pid)["VmHWM"] // 1024
            print(f"{count} {kind}: made in {made_s:.1f} s, ready after "
                  f"{time.monotonic() - begin - made_s:.1f} s, which took {start} MiB")
            asker = Asker(tools.client, store)
            if start > LIMIT_MIB + ROOM_MIB and not is_sanitized(tools.store):
                asker.problems.append(f"the start took {start} MiB")
            for selectors, wanted in block.reads():
                asker.ask("read " + ", ".join(selectors), asker.read, selectors, wanted)
            for path, matchers, data in block.gets():
                asker.ask(" ".join([path, *matchers]), asker.get, path, matchers, data)
            print(f"  {dict(asker.outcomes)}")
            if asker.outcomes["refused"] and not may_refuse:
                asker.problems.append(f"{asker.outcomes['refused']} were refused")
            return asker.problems


class Tools:
    def __init__(self, build):
        self.store = os.path.join(build, "blockhouse-store")
        self.client = os.path.join(build, "tests/bench/bench_read_client")
        self.make = os.path.join(build, "tests/e2e/load/make_wide_block")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--long", action="store_true")
    o = parser.parse_args()
    part = 1 if o.long else QUICK_PART
    problems = check(Tools(o.build), "values", VALUES // part, Values(VALUES // part),
                     o.long)
    problems += check(Tools(o.build), "series", SERIES // part, Series(SERIES // part),
                      o.long)
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
