#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C is formatted as .clang-format says (Debian 12's clang-format 14), shell scripts are
clean for shellcheck."""
import subprocess

import tree


def findings():
    checks = (["clang-format", "--dry-run", "--Werror", *tree.files(".c", ".h", ".cc")],
              ["shellcheck", "-x", "-P", "SCRIPTDIR", ".ci/run", *tree.files(".sh")])
    for command in checks:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield done.stdout + done.stderr


if __name__ == "__main__":
    tree.report(findings())
