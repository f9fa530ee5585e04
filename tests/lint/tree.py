# SPDX-License-Identifier: Apache-2.0
"""What the lints share: the files of the tree, and how a lint reports.

Each lint is a program <lint>.py that is started in the root of the tree, prints one
line per finding, and ends with status 1 if there are any."""
import os
import subprocess
import sys

SKIPPED = {".git", "build", "__pycache__"}


def files(*endings, below="."):
    """Paths from the root, sorted: all that git knows or would add, else a walk."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", below],
                            capture_output=True, text=True, check=False)
    paths = listed.stdout.splitlines() if listed.returncode == 0 else walked(below)
    return sorted(path for path in paths
                  if path.endswith(endings or ("",)) and os.path.isfile(path))


def walked(below):
    for folder, folders, names in os.walk(below):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in names:
            yield os.path.normpath(os.path.join(folder, name))


def lines(path):
    """(number, text) from 1 on."""
    with open(path, encoding="utf-8") as file:
        return list(enumerate(file.read().splitlines(), 1))


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def report(findings):
    """Print the findings and end the program."""
    findings = list(findings)
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
