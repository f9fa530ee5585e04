# SPDX-License-Identifier: Apache-2.0
"""The tables of the read benchmark, in Markdown."""
import math

from read_targets import OURS

COLUMNS = ["who", "first s", "min s", "median s", "1st byte ms", "MB", "CPU s",
           "idle, peak, private MiB", "requests", "x ours"]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def head(columns):
    return line(columns) + "\n" + "|---" * len(columns) + "|"


def memory(took):
    if math.isnan(took.idle):
        return ""
    return f"{took.idle:.0f}, {took.peak:.0f}, {took.private:.0f}"


def result(took, base):
    return line([
        took.name, f"{took.first.seconds:.4f}", f"{took.min:.4f}", f"{took.median:.4f}",
        f"{took.first_byte * 1e3:.1f}", f"{took.runs[0].size / 1e6:.1f}",
        "" if math.isnan(took.cpu) else f"{took.cpu:.3f}", memory(took),
        "" if took.requests is None else str(took.requests), f"{took.min / base.min:.2f}"])


def print_row(name, row, found):
    print(f"\n{name}: {row.title}\n\n{head(COLUMNS)}")
    for took in found.values():
        print(result(took, found[OURS]))
    for peer in row.peers:
        if not any(who.startswith(peer) for who in found):
            print(line([peer, "not built"] + [""] * (len(COLUMNS) - 2)))
    print(end="", flush=True)


def print_targets(verdicts):
    """verdicts: (row, wanted, measured, met) each."""
    print("\n" + head(["row", "wanted", "measured", "met"]))
    for verdict in verdicts:
        print(line(verdict))
