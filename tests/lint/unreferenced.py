#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No file is left over: sources are in their folder's CMakeLists.txt, headers are
included, and everything else is named by some other file."""
import os
import re

import tree

# Found by their name or their place.
CONVENTIONAL = re.compile(
    r"(.*/)?(README\.md|CMakeLists\.txt|\.gitignore|\.gitattributes)"
    r"|[^/]+|\.ci/run|tests/(golden|fuzz/(corpus|regress))/.*")


def is_built(path, texts):
    build = texts.get(os.path.join(os.path.dirname(path), "CMakeLists.txt"), "")
    name = os.path.basename(path)
    module = re.sub(r"^(test|fuzz)_|\.c$", "", name)
    return re.search(rf"(^|[\s/(]){re.escape(name)}\b", build, re.MULTILINE) or \
        re.search(rf"_test\({module}\b", build)


def findings():
    texts = {path: tree.text(path) for path in tree.files()
             if not path.startswith(("tests/golden/", "tests/fuzz/corpus/"))}
    for path in texts:
        if CONVENTIONAL.fullmatch(path):
            continue
        if path.endswith((".c", ".cc")) and not path.startswith("tests/support/"):
            if not is_built(path, texts):
                yield f"{path}: no CMakeLists.txt builds it"
        elif not named(path, texts):
            yield f"{path}: nothing names it"


def named(path, texts):
    """By its whole name, or in Python by its module's."""
    name = re.escape(os.path.basename(path))
    if path.endswith(".py"):
        name = re.escape(os.path.basename(path)[:-3])
    # The end-to-end tests and lints are named by their CMakeLists.txt through loops.
    pattern = re.compile(rf"\b{name}\b|{name}")
    return any(pattern.search(content) for other, content in texts.items() if other != path)


if __name__ == "__main__":
    tree.report(findings())
