# SPDX-License-Identifier: Apache-2.0
"""Asks two Prometheus servers the queries of exact.promql, which must answer alike."""
import itertools
import json
import pathlib
import random
import re
import time
import typing

from exact_data import BEGIN, END, HOUR
from exact_servers import Prometheus

HERE = pathlib.Path(__file__).resolve().parent
EVERYWHERE, NATIVE, NEW, TIMES, CLUSTERS = (
    "everywhere", "native histograms", "prometheus 3", "start times", "clusters")


def expand(line):
    """Every reading of ${a|b}."""
    parts = re.split(r"\$\{([^}]*)\}", line)
    choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def queries():
    """Section -> queries."""
    sections = {}
    for line in (HERE / "exact.promql").read_text(encoding="utf-8").splitlines():
        if line.startswith("#@ "):
            section = sections.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            section += expand(line)
    return sections


class Pair(typing.NamedTuple):
    """leave_out: a metric that the reader's own client gets wrong."""
    name: str
    origin: Prometheus
    reader: Prometheus
    sections: tuple
    headers: dict = {}
    leave_out: str = ""

    def queries(self, sections):
        return [query for section in self.sections for query in sections[section]
                if not self.leave_out or self.leave_out not in query]


def ways(query):
    """The same ones for a query at every run: moments and ranges."""
    rng = random.Random(query)
    for _ in range(2):
        yield "query", {"time": f"{rng.uniform(BEGIN, END + HOUR) / 1000:.3f}"}
    begin, end, step = rng.choice((
        (BEGIN - HOUR, END + HOUR, 1531), (BEGIN, END, 900),
        (BEGIN + rng.randrange(20) * HOUR, None, 127)))
    end = end or begin + 3 * HOUR
    yield "query_range", {"start": f"{begin / 1000:.3f}", "end": f"{end / 1000:.3f}",
                          "step": step}


def sorted_answer(body):
    answer = json.loads(body)
    for kind in ("warnings", "infos"):
        answer.get(kind, []).sort()
    data = answer.get("data", {})
    if data.get("resultType") in ("vector", "matrix"):
        data["result"].sort(key=lambda one: sorted(one["metric"].items()))
    return answer


class Comparison:
    def __init__(self, pair, pool):
        self.pair, self.pool = pair, pool
        self.asked = self.problems = 0

    def ask(self, query, path, arguments):
        """True if the answers are equal and there is anything in them."""
        # Merged chunks have no start times.
        headers = {} if "late_" in query else self.pair.headers
        bodies = list(self.pool.map(
            lambda server: server.ask(path, {"query": query, **arguments}, headers),
            (self.pair.origin, self.pair.reader)))
        self.asked += 1
        answers = [sorted_answer(body) for body in bodies]
        if answers[0] != answers[1] or answers[0]["status"] != "success":
            self.complain(f"DIFFERENT {path} {arguments} {query}\n"
                          f"{difference(*answers)}")
        return bool(answers[0].get("data", {}).get("result"))

    def complain(self, text):
        self.problems += 1
        if self.problems <= 20:
            print(text)

    def run(self, wanted):
        begin = time.monotonic()
        for query in wanted:
            if not any([self.ask(query, *way) for way in ways(query)]):
                self.complain(f"EMPTY {query}: nothing was compared")
        print(f"{self.pair.name}: {len(wanted)} queries, {self.asked} answers in "
              f"{time.monotonic() - begin:.1f} s, {self.problems} different", flush=True)
        return self.problems


def difference(ours, theirs):
    """What a person wants to see of two answers."""
    results = [answer.get("data", {}).get("result") for answer in (ours, theirs)]
    if all(isinstance(result, list) for result in results) and results[0] != results[1] and \
            not theirs.get("warnings"):
        for one, other in itertools.zip_longest(*results):
            if one != other:
                return f"  of {len(results[0])} and {len(results[1])} results\n" \
                    + first_difference(one, other)
    return "".join(f"  {who}: {json.dumps(answer, ensure_ascii=False)[-1000:]}\n"
                   for who, answer in (("origin", ours), ("reader", theirs)))


def first_difference(one, other):
    text = ""
    if one and other and one["metric"] == other["metric"] and \
            ("values" in one or "histograms" in one):
        text = f"  of {json.dumps(one['metric'])}\n"
        for kind in ("values", "histograms"):
            for mine, yours in itertools.zip_longest(one.get(kind, []), other.get(kind, [])):
                if mine != yours:
                    return text + f"  origin: {mine}\n  reader: {yours}\n"
    return text + f"  origin: {str(one)[:1000]}\n  reader: {str(other)[:1000]}\n"
