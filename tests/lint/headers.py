#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone, and every .c includes its own header first."""
import os
import re
import subprocess

import tree

COMPILE = ["cc", "-std=gnu17", "-fsyntax-only", "-D_GNU_SOURCE", "-I.", "-Wall", "-Wextra",
           "-Werror", "-Wno-unused-function", "-x", "c", "-"]

CMOCKA = "".join(f"#include <{name}.h>\n" for name in
                 ("stdarg", "stddef", "setjmp", "stdint", "cmocka"))


def findings():
    for path in tree.files(".h"):
        # cmocka's header does not compile alone, so tests include it and its needs first.
        source = CMOCKA if path.startswith("tests/unit/") else ""
        source += f'#include "{path}"\n' * 2
        done = subprocess.run(COMPILE, input=source, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            yield f"{path}: does not compile alone:\n{done.stderr}"
    for path in tree.files(".c", ".cc"):
        own = os.path.splitext(path)[0] + ".h"
        first = re.search(r'^#include .(.*).$', tree.text(path), re.MULTILINE)
        is_test = path.startswith("tests/")
        if os.path.exists(own) and not is_test and (not first or first[1] != own):
            yield f"{path}: its first include is not {own}"


if __name__ == "__main__":
    tree.report(findings())
