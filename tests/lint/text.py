#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every text file is clean: licence tag first, no blanks at the end of lines, no tabs, no
loose ends, no path of somebody's machine."""
import re

import tree

TAGGED = (".c", ".h", ".cc", ".py", ".sh", ".proto", ".def", ".go")
# Put together, so that this file does not find itself.
LOOSE = re.compile(r"\b(TO" "DO(?!\(#\d+\))|FIX" "ME|X" "XX|HA" "CK)\\b")
MACHINE = re.compile("/(work|root|home" r"/\w+)/[\w.]")
SKIPPED = ("tests/golden/", "tests/fuzz/corpus/", "LICENSE")


def findings():
    for path in tree.files():
        if path.startswith(SKIPPED):
            continue
        lines = tree.lines(path)
        if path.endswith(TAGGED) and not any("SPDX-License-Identifier: Apache-2.0" in line
                                             for _, line in lines[:2]):
            yield f"{path}:1: no SPDX tag"
        for number, line in lines:
            tab = "\t" in line and not path.endswith(".go")  # Go is indented by tabs
            if line != line.rstrip() or tab:
                yield f"{path}:{number}: blank at the end, or a tab"
            if LOOSE.search(line):
                yield f"{path}:{number}: a loose end: {line.strip()}"
            if MACHINE.search(line):
                yield f"{path}:{number}: a path of a machine: {line.strip()}"


if __name__ == "__main__":
    tree.report(findings())
