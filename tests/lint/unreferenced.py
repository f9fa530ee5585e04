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
    # Tests are listed by the name of their module.
    module = re.sub(r"^(test|fuzz)_|\.c$", "", name)
    return re.search(rf"(?<![\w.]){re.escape(name)}\b", build) or \
        module != name[:-2] and re.search(rf"\b{module}\b", build)


def naming(texts):
    """{word: the files in which it stands}"""
    where = {}
    for path, content in texts.items():
        for word in set(re.findall(r"[\w.-]*\w", content)):
            where.setdefault(word, set()).add(path)
    return where


def findings():
    texts = {path: tree.text(path) for path in tree.files()
             if not path.startswith(("tests/golden/", "tests/fuzz/corpus/"))}
    where = naming(texts)
    for path in texts:
        # Python is named by its module, too, as in an import.
        name = os.path.basename(path).removesuffix(".py")
        if CONVENTIONAL.fullmatch(path):
            continue
        if path.endswith((".c", ".cc")) and not path.startswith("tests/support/"):
            if not is_built(path, texts):
                yield f"{path}: no CMakeLists.txt builds it"
        elif not (where.get(name, set()) | where.get(name + ".py", set())) - {path}:
            yield f"{path}: nothing names it"


if __name__ == "__main__":
    tree.report(findings())
