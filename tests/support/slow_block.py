# SPDX-License-Identifier: Apache-2.0
"""Blocks, read and written whole and naively. Every checksum is checked, and whatever
stands twice in a block must agree with itself. Index version 2 only.

Labels are tuples of (name, value), ascending."""
import json
import os
import shutil
import struct
import typing

import crc32c
import slow_chunks as sc

INDEX_MAGIC, SEGMENT_MAGIC, VERSION = 0xBAAAD700, 0x85BD40DD, 2
TOC_SIZE = 6 * 8 + 4
ZERO_ULID = "0" * 26
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Chunk(typing.NamedTuple):
    first: int     # ms of the first sample
    last: int      # ms of the last one
    encoding: int
    data: bytes


def chunk_of(encoding, samples, header=sc.ANY_HEADER):
    return Chunk(samples[0].ms, samples[-1].ms, encoding,
                 sc.encode(encoding, samples, header))


class Block(typing.NamedTuple):
    meta: dict
    series: dict  # labels: [Chunk], in the order of the index


class Bytes:
    """What is read from the front."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, size):
        taken = self.data[self.at:self.at + size]
        assert len(taken) == size, "the file ends too early"
        self.at += size
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def varint(self):
        zigzag = self.uvarint()
        return zigzag >> 1 if zigzag % 2 == 0 else -(zigzag >> 1) - 1

    def text(self):
        return self.take(self.uvarint()).decode()

    def checked(self, length):
        """That many bytes, which a checksum follows."""
        payload = self.take(length)
        assert self.number(4) == crc32c.crc32c(payload), "a checksum is wrong"
        return Bytes(payload)

    def section(self):
        return self.checked(self.number(4))

    @property
    def is_empty(self):
        return self.at == len(self.data)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def read_block(folder):
    meta = json.loads(read_file(os.path.join(folder, "meta.json")))
    segments = [read_file(os.path.join(folder, "chunks", name))
                for name in sorted(os.listdir(os.path.join(folder, "chunks")))]
    for segment in segments:
        assert segment[:8] == struct.pack(">IB3x", SEGMENT_MAGIC, 1)
    index = read_file(os.path.join(folder, "index"))
    return Block(meta, read_index(index, segments))


def read_index(index, segments):
    toc = Bytes(index, len(index) - TOC_SIZE).checked(TOC_SIZE - 4)
    symbols_at, series_at, series_end, _, postings_at, table_at = (
        toc.number(8) for _ in range(6))
    assert index[:5] == struct.pack(">IB", INDEX_MAGIC, VERSION)
    symbols = read_symbols(Bytes(index, symbols_at).section())
    series, references, file = {}, {}, Bytes(index, series_at)
    while file.at < series_end:
        if index[file.at] == 0:
            file.at += 1
            continue
        assert file.at % 16 == 0
        reference = file.at // 16
        labels, chunks = read_series(file.checked(file.uvarint()), symbols, segments)
        assert labels not in series
        series[labels], references[reference] = chunks, labels
    assert list(series) == sorted(series), "series out of order"
    check_postings(index, table_at, references)
    assert series_end <= postings_at
    return series


def read_symbols(section):
    symbols = [section.text() for _ in range(section.number(4))]
    assert section.is_empty and symbols == sorted(set(symbols))
    return symbols


def read_series(entry, symbols, segments):
    labels = tuple((symbols[entry.uvarint()], symbols[entry.uvarint()])
                   for _ in range(entry.uvarint()))
    chunks, last, reference = [], 0, 0
    for number in range(entry.uvarint()):
        first = entry.varint() if number == 0 else last + entry.uvarint()
        last = first + entry.uvarint()
        reference = entry.uvarint() if number == 0 else reference + entry.varint()
        record = Bytes(segments[reference >> 32], reference & 0xFFFFFFFF)
        encoded = record.checked(record.uvarint() + 1)
        chunks.append(Chunk(first, last, encoded.number(1), encoded.data[1:]))
    assert entry.is_empty
    return labels, chunks


def check_postings(index, table_at, references):
    """They say of each pair, and of none, what the series say."""
    actual, table = {}, Bytes(index, table_at).section()
    for _ in range(table.number(4)):
        assert table.uvarint() == 2
        pair = table.text(), table.text()
        postings = Bytes(index, table.uvarint()).section()
        actual[pair] = [postings.number(4) for _ in range(postings.number(4))]
        assert postings.is_empty
    assert table.is_empty and list(actual) == sorted(actual)
    assert actual == postings_of(references)


def postings_of(references):
    """{pair: [reference]}, ascending, from {reference: labels}."""
    postings = {("", ""): sorted(references)}
    for reference, labels in references.items():
        for pair in labels:
            postings.setdefault(pair, []).append(reference)
    return {pair: sorted(postings[pair]) for pair in sorted(postings)}


def uvarint(number):
    sink = sc.Sink()
    sink.uvarint(number)
    return sink.data()


def varint(number):
    sink = sc.Sink()
    sink.varint(number)
    return sink.data()


def text(string):
    return uvarint(len(string.encode())) + string.encode()


def number(value, size):
    return value.to_bytes(size, "big")


def checked(payload):
    return payload + number(crc32c.crc32c(payload), 4)


def section(payload):
    return number(len(payload), 4) + checked(payload)


def padded(data, size):
    return data + bytes(-len(data) % size)


def segments_of(series, limit):
    """Segment files, and the reference of each chunk, per labels."""
    segments, references = [], {}
    for labels, chunks in series.items():
        references[labels] = []
        for chunk in chunks:
            record = uvarint(len(chunk.data)) + checked(number(chunk.encoding, 1) + chunk.data)
            if not segments or (len(segments[-1]) > 8 and
                                len(segments[-1]) + len(record) > limit):
                segments.append(struct.pack(">IB3x", SEGMENT_MAGIC, 1))
            references[labels].append(len(segments) - 1 << 32 | len(segments[-1]))
            segments[-1] += record
    return segments, references


def series_entry(labels, chunks, references, symbols):
    entry = uvarint(len(labels))
    entry += b"".join(uvarint(symbols.index(word)) for pair in labels for word in pair)
    entry += uvarint(len(chunks))
    last = reference_before = 0
    for place, (chunk, reference) in enumerate(zip(chunks, references)):
        if place == 0:
            entry += varint(chunk.first)
        else:
            entry += uvarint(sc.unsigned(chunk.first - last))
        entry += uvarint(chunk.last - chunk.first)
        entry += (varint if place else uvarint)(reference - reference_before)
        last, reference_before = chunk.last, reference
    return uvarint(len(entry)) + checked(entry)


def index_of(series, chunk_references):
    """The index file of {labels: [Chunk]}, ascending. As that of Prometheus it has the
    empty symbol."""
    symbols = sorted({"", *(word for labels in series for pair in labels for word in pair)})
    index = struct.pack(">IB", INDEX_MAGIC, VERSION)
    index += section(number(len(symbols), 4) + b"".join(map(text, symbols)))
    toc = [5, len(index)]
    references = {}
    for labels, chunks in series.items():
        index = padded(index, 16)
        references[len(index) // 16] = labels
        index += series_entry(labels, chunks, chunk_references[labels], symbols)
    end_of_series, table = len(index), b""
    postings = postings_of(references)
    for (name, value), list_of in postings.items():
        index = padded(index, 4)
        table += uvarint(2) + text(name) + text(value) + uvarint(len(index))
        index += section(number(len(list_of), 4) +
                         b"".join(number(one, 4) for one in list_of))
    table_at = len(index)
    index += section(number(len(postings), 4) + table)
    toc += [end_of_series, table_at, end_of_series, table_at]
    return index + checked(b"".join(number(offset, 8) for offset in toc))


def write_block(bucket, ulid, series, external=None, *, span=None, compaction=None,
                segment_limit=512 << 20):
    """series: {labels: [Chunk]}. external: labels, None for a block as Prometheus makes
    it, outside of any bucket. span: minTime and maxTime, else what the samples need.
    compaction: members of the section of that name beside or instead of the usual."""
    series = {labels: series[labels] for labels in sorted(series)}
    segments, references = segments_of(series, segment_limit)
    chunks = [chunk for of_one in series.values() for chunk in of_one]
    begin, end = span or (min(chunk.first for chunk in chunks),
                          max(chunk.last for chunk in chunks) + 1)
    samples = sum(len(sc.decode(chunk.encoding, chunk.data)) for chunk in chunks)
    meta = {"ulid": ulid, "minTime": begin, "maxTime": end, "version": 1,
            "stats": {"numSamples": samples, "numSeries": len(series),
                      "numChunks": len(chunks)},
            "compaction": {"level": 1, "sources": [ulid], **(compaction or {})}}
    files = {f"chunks/{place:06d}": data for place, data in enumerate(segments, 1)}
    files["index"] = index_of(series, references)
    if external is not None:
        meta["thanos"] = {
            "version": 1, "labels": external, "downsample": {"resolution": 0},
            "source": "test", "segment_files": [name[7:] for name in files if "/" in name],
            "files": [{"rel_path": name, "size_bytes": len(data)}
                      for name, data in files.items()] + [{"rel_path": "meta.json"}]}
    files["meta.json"] = json.dumps(meta, indent=1).encode()
    folder = os.path.join(bucket, ulid)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "chunks"))
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    return folder


def ulid_of(ms, number_in_it):
    """Of a time and what stands in the place of the random bits."""
    value, digits = ms << 80 | number_in_it, []
    for _ in range(26):
        value, digit = divmod(value, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
