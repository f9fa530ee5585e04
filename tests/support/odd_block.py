# SPDX-License-Identifier: Apache-2.0
"""Writes blocks as old or foreign writers may have made them: index versions 1 to 3, with
and without the obsolete sections, chunks in any order, segments of any name and size.

Nothing is checked: series and labels are written in the order that they are given in.

Format: Prometheus tsdb/docs/format/index.md, chunks.md; tsdb/chunkenc/xor.go.
"""
import json
import os
import struct

from crc32c import crc32c

WORD = (1 << 64) - 1
ALIGN = 16
DOD = ((14, "10"), (17, "110"), (20, "1110"))


def uvarint(number):
    number &= WORD
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint(number):
    return uvarint(number << 1 ^ number >> 63)


def signed(number):
    """The 64 bits of a number as one with a sign: differences wrap."""
    number &= WORD
    return number - (1 << 64) if number >> 63 else number


def text(data):
    return uvarint(len(data)) + data


def section(body):
    return struct.pack(">I", len(body)) + body + struct.pack(">I", crc32c(body))


def bits_of(value):
    return struct.unpack(">Q", struct.pack(">d", value))[0]


def dod_bits(dod):
    if dod == 0:
        return "0"
    for width, prefix in DOD:
        half = 1 << width - 1
        if -half < dod <= half:
            return prefix + format(dod & (1 << width) - 1, f"0{width}b")
    return "1111" + format(dod & WORD, "064b")


class XorValues:
    """The values of a chunk, one behind the other, as bits."""

    def __init__(self, first):
        self.last, self.lead, self.trail = first, None, 0

    def next(self, value):
        change, self.last = self.last ^ value, value
        if change == 0:
            return "0"
        lead = min(64 - change.bit_length(), 31)
        trail = (change & -change).bit_length() - 1
        if self.lead is not None and lead >= self.lead and trail >= self.trail:
            return "10" + format(change >> self.trail, f"0{64 - self.lead - self.trail}b")
        self.lead, self.trail = lead, trail
        width = 64 - lead - trail
        return "11" + format(lead, "05b") + format(width & 63, "06b") + \
            format(change >> trail, f"0{width}b")


def xor_chunk(samples):
    """(first ms, last ms, encoding, data) of [(ms, value bits)]."""
    (last, first_bits), delta = samples[0], 0
    values = XorValues(first_bits)
    out = "".join(format(byte, "08b") for byte in varint(last)) + format(first_bits, "064b")
    for number, (at, value) in enumerate(samples[1:]):
        before, delta = delta, at - last & WORD
        out += "".join(format(byte, "08b") for byte in uvarint(delta)) if number == 0 \
            else dod_bits(signed(delta - before))
        out += values.next(value)
        last = at
    out += "0" * (-len(out) % 8)
    data = int(out, 2).to_bytes(len(out) // 8, "big")
    return samples[0][0], last, 1, struct.pack(">H", len(samples)) + data


def record(chunk):
    _, _, encoding, data = chunk
    body = bytes([encoding]) + data
    return uvarint(len(data)) + body + struct.pack(">I", crc32c(body))


class Segments:
    """Files of chunks, by name. gap is left free in front of each chunk, as a hole."""

    def __init__(self, folder, names, gap=0, tail=b""):
        os.makedirs(folder)
        self.paths = [os.path.join(folder, name) for name in names]
        self.gap, self.tail = gap, tail
        for path in self.paths:
            with open(path, "wb") as file:
                file.write(bytes.fromhex("85bd40dd01000000"))

    def add(self, number, chunk):
        """Append it to a segment. Its reference."""
        with open(self.paths[number], "r+b") as file:
            at = file.seek(self.gap, os.SEEK_END)
            file.write(record(chunk))
        return number << 32 | at

    def finish(self):
        for path in self.paths:
            with open(path, "ab") as file:
                file.write(self.tail)


class Index:
    """series: [(labels, [(first ms, last ms, reference)])], labels [(name, value)] bytes."""

    def __init__(self, series, version=2, obsolete=False, list_of_none=False):
        self.version = version
        self.out = bytearray(struct.pack(">IB", 0xBAAAD700, version))
        self.toc = {"symbols": len(self.out)}
        self.refs = {(b"", b""): []} if list_of_none else {}
        self.write_symbols(series)
        self.toc["series"] = len(self.out)
        for labels, chunks in series:
            self.write_series(labels, chunks)
        self.toc["label_indices"] = len(self.out)
        names = self.write_label_indices(series) if obsolete else []
        self.toc["postings"] = len(self.out)
        rows = self.write_postings()
        self.toc["label_index_table"] = len(self.out)
        if obsolete:
            self.out += self.table([uvarint(1) + text(name) + uvarint(at) for name, at in names])
        self.toc["postings_table"] = len(self.out)
        self.out += self.table([uvarint(2) + text(name) + text(value) + uvarint(at)
                                for (name, value), at in rows])
        toc = struct.pack(">6Q", *(self.toc[name] for name in (
            "symbols", "series", "label_indices", "label_index_table", "postings",
            "postings_table")))
        self.out += toc + struct.pack(">I", crc32c(toc))

    @staticmethod
    def table(rows):
        return section(struct.pack(">I", len(rows)) + b"".join(rows))

    def write_symbols(self, series):
        symbols = sorted({one for labels, _ in series for pair in labels for one in pair})
        self.symbols, rows, at = {}, [], self.toc["symbols"] + 8
        for number, symbol in enumerate(symbols):
            self.symbols[symbol] = at if self.version == 1 else number
            rows.append(text(symbol))
            at += len(rows[-1])
        self.out += self.table(rows)

    def pad(self, unit):
        self.out += bytes(-len(self.out) % unit)

    def write_series(self, labels, chunks):
        unit = 1 if self.version == 1 else ALIGN
        self.pad(unit)
        ref = len(self.out) // unit
        for pair in [(b"", b"")] + labels:
            refs = self.refs.setdefault(pair, [])
            if ref not in refs[-1:]:
                refs.append(ref)
        body = uvarint(len(labels)) + b"".join(
            uvarint(self.symbols[name]) + uvarint(self.symbols[value])
            for name, value in labels) + uvarint(len(chunks))
        for number, (low, high, chunk) in enumerate(chunks):
            if number == 0:
                body += varint(low) + uvarint(high - low) + uvarint(chunk)
            else:
                _, last_high, last = chunks[number - 1]
                body += uvarint(low - last_high) + uvarint(high - low) + varint(chunk - last)
        self.out += uvarint(len(body)) + body + struct.pack(">I", crc32c(body))

    def write_label_indices(self, series):
        names = []
        for name in sorted({name for labels, _ in series for name, _ in labels}):
            self.pad(4)
            names.append((name, len(self.out)))
            values = sorted({value for labels, _ in series for key, value in labels
                             if key == name})
            self.out += section(struct.pack(">II", 1, len(values)) + b"".join(
                struct.pack(">I", self.symbols[value]) for value in values))
        return names

    def write_postings(self):
        """Version 1 came from a map: its rows stand in no order."""
        rows = []
        for pair in sorted(self.refs):
            self.pad(4)
            rows.append((pair, len(self.out)))
            refs = self.refs[pair]
            self.out += section(struct.pack(f">I{len(refs)}I", len(refs), *refs))
        return rows[::-1] if self.version == 1 else rows


def write_block(bucket, ulid, series, thanos=None, names=("000001",), place=None, meta=None,
                index=None, **segments):
    """A block at bucket/ulid. series: [(labels, [chunk])]; place(number of a chunk) is the
    position of its segment in names; meta and thanos replace members (a None of thanos: no
    such section), index and segments are options of the classes above."""
    folder = os.path.join(bucket, ulid)
    files = Segments(os.path.join(folder, "chunks"), names, **segments)
    entries, number = [], 0
    for labels, chunks in series:
        refs = []
        for chunk in chunks:
            refs.append((*chunk[:2], files.add(place(number) if place else 0, chunk)))
            number += 1
        entries.append((labels, refs))
    files.finish()
    stored = [chunk for _, chunks in series for chunk in chunks]
    with open(os.path.join(folder, "index"), "wb") as file:
        file.write(Index(entries, **(index or {})).out)
    end = max((chunk[1] for chunk in stored), default=0) + 1
    whole = {"ulid": ulid, "minTime": min((chunk[0] for chunk in stored), default=0),
             "maxTime": min(end, (1 << 63) - 1), "version": 1,
             "stats": {"numSeries": len(series), "numChunks": number, "numSamples": sum(
                 int.from_bytes(chunk[3][:2], "big") for chunk in stored)},
             "compaction": {"level": 1, "sources": [ulid]}, **(meta or {})}
    if thanos is not None:
        whole["thanos"] = thanos
    with open(os.path.join(folder, "meta.json"), "w", encoding="utf-8") as file:
        json.dump(whole, file)
    return folder
