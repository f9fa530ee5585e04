#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of at most 600 lines; functions of at most 80 lines, 6 parameters and 4 levels.

A callback and its argument count as one parameter, the err at the end as none. Relies on the tree's clang-format style: a function's name and its last brace stand in
column 0."""
import re

import tree

FILE_LINES, FUNCTION_LINES, PARAMETERS, LEVELS = 600, 80, 6, 4
GIVEN = {"on_request"}  # callbacks whose parameters a library dictates
HEAD = re.compile(r"^(\w+)\((.*)")


def functions(path):
    """(line, name, head without its name, body lines) of each function definition."""
    begin = None
    for number, line in tree.lines(path):
        head = HEAD.match(line)
        if head and not line.endswith(";"):
            begin, name, parts, body = number, head[1], [head[2]], None
        elif begin and line == "{":
            body = []
        elif begin and line == "}":
            yield begin, name, " ".join(parts), body or []
            begin = None
        elif begin and body is not None:
            body.append(line)
        elif begin:
            parts.append(line.strip())


def parameters(head):
    """Their number."""
    inside = re.sub(r"\([^()]*\)", "", head)[:-1]
    inside = re.sub(r"(_fn \*\w+), void \*\w+", r"\1", inside)
    inside = re.sub(r", struct err \*\w+$", "", inside)
    return inside.count(",") + 1


def levels(body):
    """Depth of the deepest statement block, by its indentation."""
    openers = [line for line in body if re.match(r" +(if|for|while|do|switch|\} else)\b", line)]
    return max(((len(line) - len(line.lstrip())) // 4 for line in openers), default=0)


def findings():
    for path in tree.files(".c", ".cc"):
        if path.startswith("tests/"):
            continue
        length = len(tree.lines(path))
        if length > FILE_LINES:
            yield f"{path}: {length} lines, more than {FILE_LINES}"
        for number, name, head, body in functions(path):
            where = f"{path}:{number}: {name}"
            if len(body) > FUNCTION_LINES:
                yield f"{where}: {len(body)} lines, more than {FUNCTION_LINES}"
            if parameters(head) > PARAMETERS and name not in GIVEN:
                yield f"{where}: {parameters(head)} parameters, more than {PARAMETERS}"
            if levels(body) > LEVELS:
                yield f"{where}: {levels(body)} levels, more than {LEVELS}"


if __name__ == "__main__":
    tree.report(findings())
