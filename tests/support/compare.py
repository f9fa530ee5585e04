#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask two Prometheus servers the same PromQL questions and compare the answers.

usage: compare.py [--table] DATA_DIR BLOCKS ORIGIN READER FILE

FILE holds one query a line. They are asked as instant queries and as range queries for
the time that the BLOCKS oldest blocks below DATA_DIR (the origin's) cover. Answers are
equal when their JSON is, once series are sorted by their labels. Status 0 iff all are.
"""
import argparse
import glob
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

STEP_S = 2


def covered(data_dir, count):
    """[begin, end] in seconds, of the count oldest blocks."""
    times = []
    for path in glob.glob(os.path.join(data_dir, "0*", "meta.json")):
        with open(path, encoding="utf-8") as file:
            meta = json.load(file)
        times.append((meta["minTime"], meta["maxTime"]))
    times = sorted(times)[:count]
    if len(times) < count:
        sys.exit(f"{data_dir} has {len(times)} blocks, not {count}")
    return times[0][0] / 1000, (times[-1][1] - 1) / 1000


def ask(server, path, **arguments):
    """The data of an answer; texts for what went wrong, so that these compare, too."""
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            answer = json.load(reply)
    except urllib.error.HTTPError as problem:
        return {"error": problem.read().decode(errors="replace")}
    if answer.get("warnings"):
        return {"error": "; ".join(answer["warnings"])}
    data = answer["data"]
    if data["resultType"] in ("vector", "matrix"):
        data["result"].sort(key=lambda one: sorted(one["metric"].items()))
    return data


def brief(data):
    """An answer in a few characters, for the table."""
    if "error" in data:
        return data["error"].strip()[:40]
    result = data["result"]
    if data["resultType"] == "scalar":
        return result[1]
    if data["resultType"] == "matrix":
        points = sum(len(series["values"]) for series in result)
        return f"{points} points of {len(result)} series"
    values = [f"{float(sample['value'][1]):.6g}" for sample in result]
    return ", ".join(values[:4]) + (", ..." if len(values) > 4 else "") or "(nothing)"


def is_empty(data):
    return "error" in data or data["result"] == []


class Comparison:
    def __init__(self, options, begin, end):
        self.options, self.begin, self.end = options, begin, end
        self.asked = self.different = 0

    def instants(self):
        """Moments at both ends, on and off the borders of blocks."""
        span = self.end - self.begin
        return [self.begin + span * part for part in (0.45, 0.8, 1)]

    def compare(self, query, path, arguments):
        origin, reader = (ask(server, path, query=query, **arguments)
                          for server in (self.options.origin, self.options.reader))
        equal = origin == reader and "error" not in origin
        self.asked += 1
        self.different += not equal
        return origin, reader, equal

    def every_way(self, query):
        """All instants and the whole range; prints what differs."""
        useful = False
        ways = [("query", {"time": f"{at:.3f}"}) for at in self.instants()]
        ways.append(("query_range", {"start": f"{self.begin:.3f}",
                                     "end": f"{self.end:.3f}", "step": STEP_S}))
        for path, arguments in ways:
            origin, reader, equal = self.compare(query, path, arguments)
            useful = useful or not is_empty(origin)
            if not equal:
                print(f"DIFFERENT {path} {arguments} {query}\n"
                      f"  origin: {json.dumps(origin)[:2000]}\n"
                      f"  reader: {json.dumps(reader)[:2000]}")
        if not useful:
            self.different += 1
            print(f"EMPTY {query}: no answer holds anything, so nothing was compared")

    def row(self, query):
        """One instant, as a row of the table."""
        at = {"time": f"{self.end:.3f}"}
        origin, reader, equal = self.compare(query, "query", at)
        verdict = paint("32", "yes") if equal else paint("31", "NO")
        print(self.options.row.format(query, brief(origin), brief(reader), verdict))


def paint(colour, text):
    return f"\033[{colour}m{text}\033[0m" if sys.stdout.isatty() else text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", action="store_true")
    parser.add_argument("data_dir")
    parser.add_argument("blocks", type=int)
    parser.add_argument("origin")
    parser.add_argument("reader")
    parser.add_argument("file")
    options = parser.parse_args()

    comparison = Comparison(options, *covered(options.data_dir, options.blocks))
    with open(options.file, encoding="utf-8") as file:
        queries = [line.strip() for line in file
                   if line.strip() and not line.startswith("#")]
    if options.table:
        options.row = f"{{:<{max(map(len, queries))}}}  {{:<24}}  {{:<24}}  {{}}"
        print(paint("1", options.row.format("query", "origin", "through the bucket",
                                            "equal?")))
    for query in queries:
        if options.table:
            comparison.row(query)
        else:
            comparison.every_way(query)
    if not options.table:
        print(f"{len(queries)} queries, {comparison.asked} answers over "
              f"{comparison.end - comparison.begin:.0f} s, "
              f"{comparison.different} different")
    return 1 if comparison.different else 0


if __name__ == "__main__":
    sys.exit(main())
