# SPDX-License-Identifier: Apache-2.0
"""The alerts of deploy/mixin, and rules in general, as data; promtool."""
import os
import re
import shutil
import subprocess
import sys

try:
    import yaml
except ImportError:
    print("SKIP: no yaml module; the package python3-yaml has it")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
MIXIN = os.path.join(ROOT, "deploy", "mixin")
ALERTS = os.path.join(MIXIN, "alerts.yaml")
METRIC = re.compile(r"\b((?:thanos|blockhouse|http|process|go|prometheus|grpc)_\w+)(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def program(name):
    found = shutil.which(name)
    if found is None:
        print(f"SKIP: no {name} in PATH; the package prometheus has it")
        sys.exit(77)
    return found


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def alerts(path):
    """{name: rule} of the alerts in a file of rules."""
    return {rule["alert"]: rule for group in load(path)["groups"]
            for rule in group["rules"] if "alert" in rule}


def promtool(*arguments):
    """The output; an AssertionError if it ends with another status than 0."""
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def selectors(expr):
    """(metric, [(label, operator, value)]) of each selector in an expression."""
    return [(name, MATCHER.findall(matchers)) for name, matchers in METRIC.findall(expr)]


class Series:
    """What a /metrics page has, by name."""

    def __init__(self, text):
        self.labels = {}
        for line in text.splitlines():
            found = re.match(r"(\w+)(\{.*\})? \S+$", line)
            if found and not line.startswith("#"):
                self.labels.setdefault(found[1], []).append(
                    {name: value for name, _, value in MATCHER.findall(found[2] or "")})

    def has(self, name, matchers):
        """Whether a series fits; of labels in GIVEN only a scrape or a failure tells."""
        return any(all(fits(labels, *matcher) for matcher in matchers)
                   for labels in self.labels.get(name, []))


GIVEN = ("job", "instance", "code")


def fits(labels, name, operator, wanted):
    if name in GIVEN:
        return name != "code" or "code" in labels
    if name not in labels:
        return False
    same = re.fullmatch(wanted, labels[name]) if "~" in operator else labels[name] == wanted
    return bool(same) == operator.startswith("=")
