# SPDX-License-Identifier: Apache-2.0
"""A strict reader of the text format of OpenMetrics 1.0: whatever the specification does
not allow is an error. What no exporter here writes (exemplars, timestamps, infos, state
sets) is one, too."""
import math
import re

LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "unknown": ("",),
            "histogram": ("_bucket", "_sum", "_count")}


def canonical(number):
    """As bounds have to be written."""
    if math.isinf(number):
        return "+Inf"
    text = repr(number)
    mantissa, _, exponent = f"{number:.16e}".partition("e")
    for digits in range(17):
        mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
        if float(f"{mantissa}e{exponent}") == number:
            break
    if -4 <= int(exponent) < 6:
        return text
    return f"{mantissa}e{exponent}"


def labels_of(text):
    labels, at = {}, 0
    while text and at < len(text):
        found = LABEL.match(text, at)
        assert found, f"labels {text!r}"
        assert found[1] not in labels, f"a label twice: {text!r}"
        labels[found[1]] = found[2]
        at = found.end()
    return labels


class Family:
    def __init__(self, name):
        self.name, self.type, self.samples = name, None, []


def check_histogram(family):
    series = {}
    for suffix, labels, value in family.samples:
        bound = labels.pop("le", None)
        key = tuple(sorted(labels.items()))
        one = series.setdefault(key, {"buckets": []})
        if suffix == "_bucket":
            assert bound == canonical(float(bound)), f"{family.name}: le={bound}"
            one["buckets"].append((float(bound), value))
        else:
            assert bound is None and suffix not in one, family.name
            one[suffix] = value
    for one in series.values():
        bounds, counts = zip(*one["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, family.name
        assert list(counts) == sorted(counts) and counts[-1] == one["_count"], family.name


def parse(text):
    """Families by name."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1, "no end"
    families, family, seen = {}, None, set()
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE", "UNIT"), line
            if family is None or family.name != name:
                assert name not in families, f"{name} comes twice"
                family = families[name] = Family(name)
            assert not family.samples, f"metadata behind samples: {line}"
            if word == "TYPE":
                assert family.type is None and rest in SUFFIXES, line
                family.type = rest
            continue
        found = LINE.fullmatch(line)
        assert found, f"not a sample: {line!r}"
        name, labels, value = found[1], labels_of(found[2]), float(found[3])
        assert family and name.startswith(family.name), f"of no family: {line}"
        suffix = name[len(family.name):]
        assert suffix in SUFFIXES[family.type], f"{family.type}: {line}"
        assert family.type != "counter" or value >= 0, line
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"twice: {line}"
        seen.add(key)
        family.samples.append((suffix, labels, value))
    for name, family in families.items():
        clash = [name + s for s in SUFFIXES[family.type] if s and name + s in families]
        assert not clash, f"{name} clashes with {clash}"
        if family.type == "histogram":
            check_histogram(family)
    return families
