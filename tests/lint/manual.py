#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The man pages tell the truth: OPTIONS is what the program prints with --help-man, or
OPTIONS OF each command what that command prints, and METRICS names exactly the metrics in
the sources. usage: manual.py <build directory>"""
import os
import re
import subprocess
import sys

import tree

METRIC = re.compile(r'"((?:thanos|blockhouse|prometheus|http|process|go)_[a-z0-9_]+)"')
NAMED = re.compile(r"`((?:thanos|blockhouse|prometheus|http|process|go)_[a-z0-9_]+)")


def section(page, name):
    """Text between '## NAME' and the next heading of that level."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def metrics_of(daemon):
    """Names of metrics in the sources of a daemon and of what it is made of."""
    return {name for folder in ("common/", daemon + "/") for path in tree.files(".c")
            if path.startswith(folder) for name in METRIC.findall(tree.text(path))}


def wrong_options(path, program, command=None):
    """Whether a page does not show the options of a program, or of one of its commands."""
    words = [program] + ([command] if command else [])
    printed = subprocess.run([*words, "--help-man"], text=True, capture_output=True,
                             check=True).stdout
    options = re.sub(r"^## OPTIONS\n", "", printed).strip()
    name = f"OPTIONS OF {command}" if command else "OPTIONS"
    if section(tree.text(path), name) != options:
        words[0] = os.path.basename(program)
        yield f"{path}: {name} is not what {' '.join(words)} --help-man prints"


def commands_of(program):
    """The commands that its --help lists."""
    printed = subprocess.run([program, "--help"], text=True, capture_output=True,
                             check=True).stdout
    return re.findall(r"^  (\w+) ", printed, re.MULTILINE)


def tool_findings(build):
    path, program = "common/tools/blockhouse-bucket.1.md", f"{build}/blockhouse-bucket"
    commands = commands_of(program)
    named = re.findall(r"^## OPTIONS OF (\w+)$", tree.text(path), re.MULTILINE)
    if named != commands:
        yield f"{path}: has options of {named}, blockhouse-bucket has commands {commands}"
    for command in commands:
        yield from wrong_options(path, program, command)


def findings(build):
    yield from tool_findings(build)
    for daemon in ("sidecar", "store"):
        path = f"{daemon}/blockhouse-{daemon}.1.md"
        if not os.path.exists(path):
            yield f"{path} is missing"
            continue
        page = tree.text(path)
        yield from wrong_options(path, f"{build}/blockhouse-{daemon}")
        other = {"sidecar": "store", "store": "sidecar"}[daemon]
        named = set(NAMED.findall(section(page, "METRICS")))
        own = {name for path in tree.files(".c") if path.startswith(daemon + "/")
               for name in METRIC.findall(tree.text(path))}
        for name in sorted(own - named):
            yield f"{path}: METRICS does not name {name}"
        for name in sorted(named - metrics_of(daemon)):
            yield f"{path}: METRICS names {name}, which is not in the sources " \
                  f"({other} only?)"


if __name__ == "__main__":
    tree.report(findings(sys.argv[1]))
