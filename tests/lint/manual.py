#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The man pages tell the truth: OPTIONS is what the program prints with --help-man, and
METRICS names exactly the metrics in the sources. usage: manual.py <build directory>"""
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


def findings(build):
    for daemon in ("sidecar", "store"):
        path = f"{daemon}/blockhouse-{daemon}.1.md"
        if not os.path.exists(path):
            yield f"{path} is missing"
            continue
        page = tree.text(path)
        printed = subprocess.run([f"{build}/blockhouse-{daemon}", "--help-man"], text=True,
                                 capture_output=True, check=True).stdout
        options = re.sub(r"^## OPTIONS\n", "", printed).strip()
        if section(page, "OPTIONS") != options:
            yield f"{path}: OPTIONS is not what blockhouse-{daemon} --help-man prints"
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
