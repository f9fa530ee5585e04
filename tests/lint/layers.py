#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every #include is allowed by the table in common/README.md."""
import os
import re

import tree

INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')


def table():
    """{folder: (folders it may include, {third-party prefix: files that may})}"""
    rows = {}
    for _, line in tree.lines("common/README.md"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not os.path.isdir(cells[0]):
            continue
        folder, allowed, foreign = cells
        owners = {}
        for entry in filter(None, (part.strip() for part in foreign.split(";"))):
            header, names = entry.split(": ")
            owners[header] = [os.path.join(folder, name) for name in names.split()]
        rows[folder] = ({folder, *allowed.split()}, owners)
    return rows


def judge(path, kind, header, rows):
    """What is wrong with one include, or None."""
    folder = os.path.dirname(path)
    allowed, _ = rows[folder]
    if kind == '"' and not os.path.exists(header):
        if header not in owners(rows):
            return f'"{header}" is not written from the root'
    elif kind == '"':
        target = os.path.dirname(header)
        if target not in allowed:
            return f"{folder} may not include {target}"
        if header.endswith("_priv.h") and target != folder:
            return f"{header} is private to {target}"
        return None
    for foreign, users in owners(rows).items():
        if header.startswith(foreign) and path not in users:
            return f"only {', '.join(users)} may include {header}"
    return None


def owners(rows):
    """{third-party prefix: files that may include it}, over all folders"""
    users = {}
    for _, own in rows.values():
        for header, paths in own.items():
            users.setdefault(header, []).extend(paths)
    return users


def findings():
    rows = table()
    for path in tree.files(".c", ".h", ".cc"):
        folder = os.path.dirname(path)
        if path.startswith("tests/"):
            continue
        if folder not in rows:
            yield f"{path}: {folder} has no row in common/README.md"
            continue
        for number, line in tree.lines(path):
            found = INCLUDE.match(line)
            wrong = found and judge(path, found[1], found[2], rows)
            if wrong:
                yield f"{path}:{number}: {wrong}"


if __name__ == "__main__":
    tree.report(findings())
