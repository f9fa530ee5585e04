#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every exported symbol of a library begins with its folder's name; in base and codec,
our vocabulary, with its module's. usage: symbols.py <build directory>"""
import os
import re
import subprocess
import sys

import tree

VOCABULARY = ("common_base", "common_codec")
# Modules of the vocabulary with words beside their own name.
WORDS = {"xmalloc": ("x",), "mutex": ("mutex_", "cond_"), "pool": ("pool_", "thread_")}


def exported(library):
    """(object file, symbol) of one archive; weak symbols are the C++ compiler's."""
    listing = subprocess.run(["nm", "-g", "--defined-only", library], check=True,
                             capture_output=True, text=True).stdout
    member = ""
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        elif re.match(r"[0-9a-f]+ [A-UX-Z] ", line):
            yield member, line.split()[2]


def prefixes(library, member):
    folder = re.sub(r"^lib|\.a$", "", os.path.basename(library))
    module = member.split(".")[0]
    if folder in VOCABULARY:
        return WORDS.get(module, (module,))
    return (folder.removeprefix("common_") + "_",)


def findings(build):
    libraries = [os.path.join(folder, name) for folder, _, names in os.walk(build)
                 for name in names if re.fullmatch(r"lib(common_.+|sidecar|store)\.a", name)]
    if not libraries:
        yield f"{build}: no libraries"
    for library in sorted(libraries):
        if library.endswith("_pb.a"):
            continue  # generated
        for member, symbol in exported(library):
            allowed = prefixes(library, member)
            if not symbol.startswith((*allowed, "__asan", "__odr_asan")):
                yield f"{os.path.basename(library)}: {member}: {symbol} does not begin " \
                      f"with {' or '.join(allowed)}"


if __name__ == "__main__":
    tree.report(findings(sys.argv[1]))
