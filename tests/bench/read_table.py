# SPDX-License-Identifier: Apache-2.0
"""The tables of the read benchmark, in Markdown."""
import math

from read_targets import OURS, of

COLUMNS = ["row", "who", "first s", "min s", "median s", "1st byte ms", "MB", "CPU s",
           "idle, peak, private MiB", "requests", "x ours"]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def head(columns):
    return line(columns) + "\n" + "|---" * len(columns) + "|"


def memory(took):
    if math.isnan(took.idle):
        return ""
    return f"{took.idle:.0f}, {took.peak:.0f}, {took.private:.0f}"


def result(name, took, base):
    return line([
        name, took.name, f"{took.first.seconds:.4f}", f"{took.min:.4f}", f"{took.median:.4f}",
        f"{took.first_byte * 1e3:.1f}", f"{took.runs[0].size / 1e6:.1f}",
        "" if math.isnan(took.cpu) else f"{took.cpu:.3f}", memory(took),
        ", ".join(map(str, took.requests)), f"{took.min / base.min:.2f}"])


def print_head():
    print(head(COLUMNS), flush=True)


def print_absent(name, who):
    print(line([name, who, "not built"] + [""] * (len(COLUMNS) - 3)), flush=True)


def print_results(name, found, peers):
    """Of one row. peers: who is said to be absent if nobody has that name."""
    for took in found.values():
        print(result(name, took, found[OURS]), flush=True)
    for peer in peers:
        if of(found, peer) is None:
            print_absent(name, peer)


def print_targets(verdicts):
    """verdicts: (row, wanted, measured, met) each."""
    print("\n" + head(["row", "wanted", "measured", "met"]))
    for verdict in verdicts:
        print(line(verdict))
