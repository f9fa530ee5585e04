# SPDX-License-Identifier: Apache-2.0
"""What a row of the read benchmark wants, and whether it got that."""
import typing

OURS, PROMETHEUS, THANOS = "blockhouse-store", "Prometheus", "Thanos store"
PLAIN_FILE, PLAIN_GETS = "plain file", "plain GETs"
NOT_MERGED = "the same, not merged"


class Target(typing.NamedTuple):
    """measure: the number of these results by name, or None if somebody is missing."""
    text: str
    measure: typing.Callable
    limit: float
    at_least: bool
    unit: str = ""

    def judge(self, found):
        """Wanted, measured, met."""
        wanted = f"{self.text} {'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"
        number = self.measure(found)
        if number is None:
            return wanted, "", "not measured"
        met = number >= self.limit if self.at_least else number <= self.limit
        return wanted, f"{number:.3g}{self.unit}", "yes" if met else "no"


def of(found, name):
    """The result of who has that name, with whatever version."""
    return next((took for who, took in found.items() if who.startswith(name)), None)


def faster(limit, *peers, first=False):
    """Than the fastest of these."""
    def seconds(took):
        return took.first.seconds if first else took.min

    def measure(found):
        theirs = [seconds(took) for took in (of(found, peer) for peer in peers) if took]
        return min(theirs) / seconds(found[OURS]) if theirs else None

    return Target(f"{'first: ' if first else ''}{' or '.join(peers)}, s : ours", measure, limit,
                  True)


def within(limit, peer):
    """No more than so many times what it takes."""
    def measure(found):
        theirs = of(found, peer)
        return theirs and found[OURS].min / theirs.min

    return Target(f"ours : {peer}, s", measure, limit, False)


def smaller(limit, peer):
    def measure(found):
        theirs = of(found, peer)
        return theirs and theirs.peak / found[OURS].peak

    return Target(f"{peer}, peak MiB : ours", measure, limit, True)


def ours(text, limit, unit, number):
    """A number of our own result."""
    return Target(text, lambda found: number(found[OURS]), limit, False, unit)
