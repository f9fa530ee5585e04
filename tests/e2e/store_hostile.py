#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No mixture of queries kills a store in a small container, small queries beside them are
answered right, and afterwards the memory is given back.

usage: store_hostile.py BUILD [--long] [--limit MIB] [--seconds S] [--hostile N]
                        [--kind NAME] [--bucket DIRECTORY] [--no-group]
  --long     512 MiB, 200 hostile and 20 small clients, 5 minutes, 10 GB of data
  --limit    of the container; 70 % of it are the store's
  --no-group judge by VmHWM, and see how far it goes
  --seconds  of the load
  --hostile  clients
  --kind     one kind of hostile client instead of all, by its name in the output
  --bucket   keep the data there for the next run
"""
import argparse
import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import memory_cgroup  # noqa: E402
from daemon import Daemon, dir_bucket, is_sanitized  # noqa: E402
from resident import fields_of  # noqa: E402

MIB = 1 << 20
BEGIN_S = 1785542400  # where bench_make_data begins by itself
TINY_BLOCKS, TINY_PARTS = 5000, 5
SAMPLE_S = 0.1
BACK_S = 60
BACK_ROOM = 8 * MIB  # beside a tenth, and beside the cache of index headers
METRICS = re.compile(r"^(?:blockhouse_.*budget|.*memory|thanos_bucket_store_series_gate_q.*_(?:"
                     r"total|in_flight|max)|thanos_bucket_store_queries_dropped"
                     r"|blockhouse_store_range_cache|http_inflight|process_(?:resident|open|thr)"
                     r")[^\n]*", re.M)
Load = collections.namedtuple("Load", "limit_mib hours seconds alone hostile small")
QUICK = Load(128, 8, 30, 5, 45, 10)
LONG = Load(512, 800, 300, 10, 200, 20)


def make_data(make, bucket, hours):
    """A broad part, and before it many blocks with next to nothing."""
    hours_each = 2 * TINY_BLOCKS // TINY_PARTS
    runs = [["--hours", hours]]
    for part in range(1, TINY_PARTS + 1):
        runs.append(["--series", 10, "--step", 300, "--hours", hours_each, "--seed", part + 1,
                     "--begin", BEGIN_S - part * hours_each * 3600])
    parts = [subprocess.Popen([make, *map(str, run), bucket]) for run in runs]
    assert not any([part.wait() for part in parts]), "bench_make_data failed"


class Watch(threading.Thread):
    """Looks at the memory of a process now and then until it is stopped."""

    def __init__(self, pid, group):
        super().__init__(daemon=True)
        self.pid, self.group, self.ended = pid, group, threading.Event()
        self.begin = time.monotonic()
        self.rows, self.resident, self.group_mib = [], {}, 0

    def run(self):
        while not self.ended.is_set():
            with contextlib.suppress(OSError, ValueError, KeyError):
                self.look()
            self.ended.wait(SAMPLE_S)

    def look(self):
        now = fields_of(f"/proc/{self.pid}/status", ("RssAnon", "RssFile", "VmHWM", "Threads"))
        if "RssAnon" not in now:
            return  # it has ended
        for name, value in now.items():
            self.resident[name] = max(self.resident.get(name, 0), value)
        group = self.group.without_cache() if self.group else 0
        self.group_mib = max(self.group_mib, group >> 20)
        second = int(time.monotonic() - self.begin)
        if not self.rows or self.rows[-1][0] != second:
            self.rows.append((second, now["RssAnon"] >> 10, group >> 20, now["Threads"]))

    def stop(self):
        self.ended.set()
        self.join()
        return self


def in_use(store, group):
    """Bytes that it cannot do without."""
    if group:
        return group.anonymous()
    return fields_of(f"/proc/{store.process.pid}/status", ("RssAnon",))["RssAnon"] << 10


def tell(title, text):
    print(f"--- {title}\n{text.rstrip()}", flush=True)


def tell_store(when, store, group):
    """Whatever may explain where its memory is."""
    if store.process.poll() is not None:
        tell(f"{when}: the store has ended with status {store.process.returncode}",
             store.log_text()[-3000:])
        return
    pid = store.process.pid
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            tell(f"{when}: smaps_rollup", file.read())
    with contextlib.suppress(OSError):
        text = store.request("GET", "/metrics", timeout=5).text
        tell(f"{when}: metrics", "\n".join(METRICS.findall(text)))
    if group:
        tell(f"{when}: memory.stat", " ".join(group.read("memory.stat").split("\n")[:12]))


def tell_load(result):
    for name in ("small_alone", "small"):
        tell(name, json.dumps(result[name], indent=1))
    for name, kind in result["hostile"].items():
        shown = {key: value for key, value in kind.items() if value and key != "texts"}
        if kind["statuses"] or kind["no_answer"] or kind["left"]:
            tell(f"hostile: {name}", json.dumps(shown))
            for text, times in kind["texts"].items():
                print(f"    {times:6} x {text}")


def run_load(clients, store, load, kind):
    end_ms = (BEGIN_S + load.hours * 3600) * 1000
    # The broad reads stay in the broad part; all_blocks begin at zero.
    command = [clients, "--from", BEGIN_S * 1000, "--to", end_ms, "--hostile", load.hostile,
               "--small", load.small, "--seconds", load.seconds, "--alone", load.alone,
               *(["--kind", kind] if kind else []), f"http://127.0.0.1:{store.port}"]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as running:
        threading.Thread(target=end_with, args=(store, running), daemon=True).start()
        text = running.stdout.read()
    assert running.returncode == 0, f"load_clients ended with {running.returncode}"
    return json.loads(text)


def end_with(store, clients):
    """There is nothing to learn from a store that has ended."""
    while clients.poll() is None:
        if store.process.poll() is not None:
            clients.terminate()
            return
        time.sleep(SAMPLE_S)


def back_to(store, group, goal):
    """What is in use once it is no more than goal, or after a minute."""
    deadline = time.monotonic() + BACK_S
    while (now := in_use(store, group)) > goal and time.monotonic() < deadline:
        time.sleep(0.2)
    return now, BACK_S - (deadline - time.monotonic())


def judge(load, result, problems):
    small, alone = result["small"], result["small_alone"]
    whole = small["whole"]
    asked = sum(small[name] for name in
                ("whole", "wrong", "refused", "aborted", "no_answer"))
    print(f"small queries: {whole} of {asked} answered right, {small['wrong']} wrong; p99 "
          f"{small.get('p99_us', 0) / 1000:.1f} ms, alone {alone['p99_us'] / 1000:.1f} ms")
    # 15 s between samples and an hour: 240, and the rest of the first and last chunk.
    assert 240 <= result["small_least_samples"] <= result["small_most_samples"] <= 480, result
    if alone["whole"] == 0 or alone["wrong"] + alone["refused"] + alone["no_answer"]:
        problems.append("small queries failed alone")
    if small["wrong"]:
        problems.append(f"{small['wrong']} small queries got a wrong answer")
    if asked == 0 or whole < 0.95 * asked:
        problems.append(f"only {whole} of {asked} small queries were answered right")
    elif small["p99_us"] > 20 * max(3 * alone["p99_us"], 50_000):
        problems.append(f"p99 of small queries is {small['p99_us'] / 1000:.0f} ms")


def judge_memory(load, group, watch, problems):
    print(f"peaks in MiB: RssAnon {watch.resident['RssAnon'] >> 10}, VmHWM "
          f"{watch.resident['VmHWM'] >> 10}, group without cache {watch.group_mib}, "
          f"most threads {watch.resident['Threads']}; limit {load.limit_mib}")
    if not group:
        if watch.resident["VmHWM"] >> 10 > load.limit_mib:
            problems.append(f"VmHWM is {watch.resident['VmHWM'] >> 10} MiB")
        return
    print(f"group: peak {(group.peak() or 0) >> 20} MiB, {group.kills()} kills")
    if group.kills():
        problems.append(f"{group.kills()} kills for want of memory")
    if (group.peak() or 0) > load.limit_mib * MIB:
        problems.append("peak beyond the limit")


def check(store, group, load, tools, kind):
    problems = []
    idle = in_use(store, group)
    tell_store("idle", store, group)
    watch = Watch(store.process.pid, group)
    watch.start()
    result = run_load(tools.clients, store, load, kind)
    watch.stop()
    tell_store("after the load", store, group)
    tell_load(result)
    tell("second: RssAnon, group without cache (MiB), threads",
         "  ".join(f"{s}: {anon}, {used}, {threads}" for s, anon, used, threads in watch.rows))
    judge(load, result, problems)
    judge_memory(load, group, watch, problems)
    if store.process.poll() is not None:
        problems.append(f"the store ended with status {store.process.returncode}")
    else:
        share = load.limit_mib * MIB * 7 // 10 // 8  # of the cache of index headers
        goal = idle * 11 // 10 + BACK_ROOM + share
        now, took = back_to(store, group, goal)
        print(f"in use: idle {idle >> 20} MiB, {took:.0f} s after the load {now >> 20} MiB, "
              f"to be at most {goal >> 20}")
        if now > goal:
            problems.append(f"{now >> 20} MiB in use a minute after the load")
            tell_store("a minute later", store, group)
    return problems


class Tools:
    def __init__(self, build):
        self.store = os.path.join(build, "blockhouse-store")
        self.make_data = os.path.join(build, "tests/bench/bench_make_data")
        self.clients = os.path.join(build, "tests/e2e/load/load_clients")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--hostile", type=int)
    parser.add_argument("--no-group", action="store_true")
    parser.add_argument("--kind")
    parser.add_argument("--bucket")
    o = parser.parse_args()
    tools, load = Tools(os.path.abspath(o.build)), LONG if o.long else QUICK
    load = load._replace(limit_mib=o.limit or load.limit_mib, seconds=o.seconds or load.seconds,
                         hostile=load.hostile if o.hostile is None else o.hostile)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        bucket = o.bucket or os.path.join(directory, "bucket")
        if not os.path.isdir(bucket):
            begin = time.monotonic()
            make_data(tools.make_data, bucket, load.hours)
            print(f"made the data in {time.monotonic() - begin:.0f} s", flush=True)
        group = None
        if not o.no_group and not is_sanitized(tools.store):
            group = memory_cgroup.new(load.limit_mib * MIB)
        arguments = ["--http-address=127.0.0.1:{port}", f"--data-dir={directory}/data",
                     f"--objstore.config={dir_bucket(bucket)}", "--http-unready-delay=0s"]
        if group:
            stack.enter_context(group)
        else:
            print("no memory cgroup: judged by VmHWM")
            arguments.append(f"--store.memory-limit={load.limit_mib * 7 // 10}MiB")
        store = Daemon(tools.store, *arguments)
        if group:
            store.command = group.run(store.command)
        try:
            store.__enter__()
            problems = check(store, group, load, tools, o.kind)
        finally:
            status = store.stop()
        if status != 0:
            problems.append(f"the store ended with status {status}")
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
