# SPDX-License-Identifier: Apache-2.0
"""Small blocks in a data directory of Prometheus: golden ones under new names."""
import glob
import json
import os
import shutil

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "xor")
OBJECTS = 3  # of each: a segment, index and meta.json


class TinyBlocks:
    """The first is the oldest. They cover the same time: nobody minds at level 1."""

    def __init__(self, data):
        self.data, self.ulids = data, []
        self.source, = glob.glob(os.path.join(GOLDEN, "0*"))
        with open(os.path.join(self.source, "meta.json"), encoding="utf-8") as file:
            self.meta = json.load(file)
        self.meta.pop("thanos", None)

    def add(self, samples=None):
        """One appears as Prometheus makes it appear: whole, by a rename. samples is what
        its meta.json says, if not the truth."""
        ulid = ulid_of(len(self.ulids))
        half_made = os.path.join(self.data, ulid + ".tmp-for-creation")
        os.makedirs(os.path.join(half_made, "chunks"))
        for name in ("chunks/000001", "index"):
            shutil.copy(os.path.join(self.source, name), os.path.join(half_made, name))
        meta = {**self.meta, "ulid": ulid, "compaction": {"level": 1, "sources": [ulid]}}
        if samples is not None:
            meta["stats"] = {**meta["stats"], "numSamples": samples}
        with open(os.path.join(half_made, "meta.json"), "w", encoding="utf-8") as file:
            json.dump(meta, file)
        os.rename(half_made, os.path.join(self.data, ulid))
        self.ulids.append(ulid)


def ulid_of(number):
    """Of the years 2026 on, a millisecond after the one before."""
    digits = []
    for _ in range(10):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "01KZ" + "0" * 6 + "".join(reversed(digits)) + "0" * 6
