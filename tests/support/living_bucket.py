# SPDX-License-Identifier: Apache-2.0
"""A bucket in which blocks are added, compacted, cut again, uploaded again, marked and
deleted all the time, as compactors and sidecars do that: what becomes of others is there
before these go. And what an answer may be while that goes on.

There are a few groups (external labels) of the same series. Time is cut into windows, and
a block has one or more of them, so that whatever is compacted, the chunks of a group in a
window are the same. Those of the first windows are always in the bucket; those of others
are either all in an answer or none, as long as they come and go."""
import json
import os
import random
import shutil
import tempfile
import time
import typing

import slow_block as sb
import slow_chunks as sc

GROUPS = ("a", "b")
SERIES = 8
WINDOW_MS, FIRST_MS = 7_200_000, 1_750_000_000_000 // 7_200_000 * 7_200_000
STEP_MS, CHUNK_SAMPLES = 120_000, 20
LASTING = 4  # windows
MOST_WINDOWS = 12


class Block(typing.NamedTuple):
    ulid: str
    group: str
    windows: tuple
    sources: frozenset


class Folder:
    """Objects of a bucket that is a directory."""

    def __init__(self, directory):
        self.directory = str(directory)

    def put(self, key, path):
        target = os.path.join(self.directory, key)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        staged = os.path.join(os.path.dirname(self.directory), "put")
        shutil.copyfile(path, staged)
        os.rename(staged, target)

    def remove(self, key):
        os.remove(os.path.join(self.directory, key))


def series_labels(number):
    return (("__name__", f"m{number % 3}"), ("pod", f"p{number}"))


def full_labels(group, labels):
    return tuple(sorted((*labels, ("group", group))))


def made_chunks(group, window):
    """{labels: [Chunk]}"""
    rng, made = random.Random(f"{group} {window}"), {}
    for number in range(SERIES):
        value, samples = rng.randrange(1000), []
        for ms in range(FIRST_MS + window * WINDOW_MS, FIRST_MS + (window + 1) * WINDOW_MS,
                        STEP_MS):
            value += rng.randrange(-5, 9)
            samples.append(sc.Sample(ms + number, sc.bits_of(value)))
        made[series_labels(number)] = [
            sb.chunk_of(sc.XOR, samples[at:at + CHUNK_SAMPLES])
            for at in range(0, len(samples), CHUNK_SAMPLES)]
    return made


class Model:
    """What is in the chunks of each group and window that ever was."""

    def __init__(self):
        self.chunks = {}   # (group, window): {full labels: [Chunk]}
        self.samples = {}  # the same: {full labels: [(ms, value)]}

    def know(self, group, window):
        made = made_chunks(group, window)
        self.samples[group, window] = {
            full_labels(group, labels): [(ms, sc.number_of(bits)) for chunk in chunks
                                         for ms, bits, _ in sc.decode(chunk.encoding, chunk.data)]
            for labels, chunks in made.items()}
        self.chunks[group, window] = {
            full_labels(group, labels): chunks for labels, chunks in made.items()}
        return made

    @staticmethod
    def wanted(found, begin, end, is_in):
        """{(group, window): {labels: [what of it is in the range]}}, none of it empty."""
        wanted = {}
        for place, series in list(found.items()):
            parts = {labels: [one for one in all_of_one if is_in(one, begin, end)]
                     for labels, all_of_one in series.items()}
            parts = {labels: part for labels, part in parts.items() if part}
            if parts:
                wanted[place] = parts
        return wanted

    def wanted_chunks(self, begin, end):
        return self.wanted(self.chunks, begin, end,
                           lambda one, begin, end: one.first <= end and one.last >= begin)

    def wanted_samples(self, begin, end):
        return self.wanted(self.samples, begin, end,
                           lambda one, begin, end: begin <= one[0] <= end)


def window_of(ms):
    return (ms - FIRST_MS) // WINDOW_MS


def by_place(series, time_of):
    """The same form of [(labels, [chunk or sample])], which has to be in order."""
    keys = [labels for labels, _ in series]
    assert keys == sorted(set(keys)), f"series out of order: {keys}"
    found = {}
    for labels, parts in series:
        for part in parts:
            place = dict(labels)["group"], window_of(time_of(part))
            found.setdefault(place, {}).setdefault(labels, []).append(part)
    return found


def check(wanted, found, needed):
    """found is a right answer if it has of each place all or, unless that is needed,
    nothing."""
    for place, series in found.items():
        assert place in wanted, f"{place} was never asked for or does not exist"
        assert series == wanted[place], \
            f"of {place} {len(series)} series, not equal to the {len(wanted[place])} wanted"
    missing = [place for place in wanted if place in needed and place not in found]
    assert not missing, f"nothing of {missing}"


class Writer:
    """Changes the bucket, one thing at a time."""

    def __init__(self, objects, rng):
        self.objects, self.rng = objects, rng
        self.model, self.blocks, self.leaving = Model(), [], []
        self.next_window, self.made = LASTING, 0
        self.parts = {}
        self.staging = tempfile.TemporaryDirectory()
        for group in GROUPS:
            for window in range(LASTING):
                self.publish(group, (window,))

    def close(self):
        self.staging.cleanup()

    def live(self):
        """Places that the bucket has."""
        return {(block.group, window) for block in self.blocks for window in block.windows}

    @staticmethod
    def lasting():
        return {(group, window) for group in GROUPS for window in range(LASTING)}

    def step(self):
        """One change; in words."""
        actions = [self.compact, self.cut, self.upload_again, self.add, self.retire, self.mark]
        self.rng.shuffle(actions)
        done = next(filter(None, (action() for action in actions)))
        if len(self.leaving) > 3:
            done += "; " + self.delete(self.leaving.pop(0))
        return done

    def finish(self):
        """Delete what waits for that."""
        while self.leaving:
            self.delete(self.leaving.pop())

    def publish(self, group, windows, sources=None):
        series = {}
        for window in windows:
            if (group, window) not in self.parts:
                self.parts[group, window] = self.model.know(group, window)
            for labels, chunks in self.parts[group, window].items():
                series.setdefault(labels, []).extend(chunks)
        self.made += 1
        ulid = sb.ulid_of(int(time.time() * 1000), self.made)
        span = FIRST_MS + windows[0] * WINDOW_MS, FIRST_MS + (windows[-1] + 1) * WINDOW_MS
        compaction = {"level": 2, "sources": sorted(sources)} if sources else None
        folder = sb.write_block(self.staging.name, ulid, series, {"group": group}, span=span,
                                compaction=compaction)
        for name in ("chunks/000001", "index", "meta.json"):
            self.objects.put(f"{ulid}/{name}", os.path.join(folder, name))
        shutil.rmtree(folder)
        block = Block(ulid, group, tuple(windows), frozenset(sources or [ulid]))
        self.blocks.append(block)
        return block

    def replace(self, olds, news):
        """Mark or delete what is in others now."""
        for old in olds:
            self.blocks.remove(old)
            kind = self.rng.randrange(3)
            if kind > 0:
                self.put_mark(old)
            if kind == 1:
                self.leaving.append(old)
            else:
                self.delete(old)
        return f"{[old.ulid for old in olds]} became {[new.ulid for new in news]}"

    def put_mark(self, block, age_s=0):
        path = os.path.join(self.staging.name, "mark")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"id": block.ulid, "version": 1,
                       "deletion_time": int(time.time()) - age_s}, file)
        self.objects.put(f"{block.ulid}/deletion-mark.json", path)

    def delete(self, block):
        """As tools do: so that it is not complete any more at once."""
        for name in ("meta.json", "chunks/000001", "index"):
            self.objects.remove(f"{block.ulid}/{name}")
        try:
            self.objects.remove(f"{block.ulid}/deletion-mark.json")
        except FileNotFoundError:
            pass
        return f"{block.ulid} deleted"

    def choice(self, blocks):
        blocks = list(blocks)
        return self.rng.choice(blocks) if blocks else None

    def compact(self):
        """Two that follow each other."""
        pairs = [(one, other) for one in self.blocks for other in self.blocks
                 if one.group == other.group and one.windows[-1] + 1 == other.windows[0]
                 and len(one.windows + other.windows) <= 4]
        pair = self.choice(pairs)
        if pair is None:
            return None
        windows = pair[0].windows + pair[1].windows
        new = self.publish(pair[0].group, windows, pair[0].sources | pair[1].sources)
        return "compacted: " + self.replace(pair, [new])

    def cut(self):
        block = self.choice(one for one in self.blocks if len(one.windows) > 1)
        if block is None:
            return None
        news = [self.publish(block.group, (window,)) for window in block.windows]
        return "cut: " + self.replace([block], news)

    def upload_again(self):
        block = self.choice(self.blocks)
        return "again: " + self.replace([block], [self.publish(block.group, block.windows)])

    def add(self):
        if len({window for _, window in self.live()}) >= MOST_WINDOWS:
            return None
        window, self.next_window = self.next_window, self.next_window + 1
        news = [self.publish(group, (window,)) for group in GROUPS]
        return f"window {window}: {[new.ulid for new in news]}"

    def retire(self):
        """Data that nothing follows, as at the end of their retention."""
        block = self.choice(one for one in self.blocks if one.windows[0] >= LASTING)
        if block is None:
            return None
        self.blocks.remove(block)
        return "retired: " + self.delete(block)

    def mark(self):
        """And think better of it."""
        block = self.choice(self.blocks)
        self.put_mark(block)
        self.objects.remove(f"{block.ulid}/deletion-mark.json")
        return f"{block.ulid} marked for a moment"
