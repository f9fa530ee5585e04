# SPDX-License-Identifier: Apache-2.0
"""Blocks that are broken in as many ways as one block has parts."""
import json
import os
import shutil

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(number):
    text = ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        text = ALPHABET[digit] + text
    return "01AAAAAAAAAAAAAA" + text


def edited(meta, **changes):
    """Its own source, or a store would hide it as the duplicate of the good block."""
    own = {"ulid": "ULID", "compaction": {"level": 1, "sources": ["ULID"]}}
    return json.dumps({**meta, **own, **changes}).encode()


def broken_metas(meta):
    """(why, bytes of meta.json). ULID is replaced by the block's own."""
    return [
        ("empty", b""),
        ("cut", b'{"ulid": "ULID", "version": 1'),
        ("not JSON", b"\x00\xff\xfe{}"),
        ("a list", b"[]"),
        ("deep", b"[" * 100000),
        ("deep value", b'{"version":1,"ulid":"ULID","x":' + b'{"a":' * 5000 + b"1"
         + b"}" * 5001),
        ("no fields", b"{}"),
        ("version 2", edited(meta, version=2)),
        ("version text", edited(meta, version="1")),
        ("another ULID", edited(meta, ulid=ulid(999))),
        ("bad ULID", edited(meta, ulid="../../../../../../etc/pas")),
        ("times reversed", edited(meta, minTime=2, maxTime=1)),
        ("time too large", edited(meta, maxTime=1 << 70)),
        ("time as float", edited(meta, maxTime=1e400).replace(
            b"Infinity", b"1e400")),
        ("time as text", edited(meta, minTime="yesterday")),
        ("labels a list", edited(meta, thanos={"version": 1, "labels": [1]})),
        ("label a number", edited(meta, thanos={"version": 1, "labels": {"a": 1}})),
        ("text after it", edited(meta) + b"more"),
        ("bad UTF-8", edited(meta, note="X").replace(b"X", b"\xc3\x28")),
        ("64 MiB", b'{"x": "' + b"a" * (64 << 20) + b'"}'),
    ]


def flip(path, at, size=1):
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        old = file.read(size)
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        file.write(bytes(byte ^ 0x55 for byte in old))


def broken_indexes():
    """(why, how to break the index at a path)."""
    return [
        ("index missing", os.remove),
        ("index empty", lambda path: os.truncate(path, 0)),
        ("index cut", lambda path: os.truncate(path, os.path.getsize(path) // 2)),
        ("index without its end", lambda path: os.truncate(path, os.path.getsize(path) - 1)),
        ("index magic", lambda path: flip(path, 0, 4)),
        ("index version", lambda path: flip(path, 4)),
        ("index TOC", lambda path: flip(path, -20)),
        ("index symbols", lambda path: flip(path, 20)),
    ]


def break_blocks(good, folder):
    """Put broken copies of a block into folder; {ULID: what is broken}."""
    with open(os.path.join(good, "meta.json"), encoding="utf-8") as file:
        meta = json.load(file)
    broken = {}

    def copy(why, content):
        name = ulid(len(broken) + 1)
        target = os.path.join(folder, name)
        shutil.copytree(good, target)
        broken[name] = why
        with open(os.path.join(target, "meta.json"), "wb") as file:
            file.write(content.replace(b"ULID", name.encode()))
        return target

    for why, content in broken_metas(meta):
        copy(why, content)
    for why, damage in broken_indexes():
        damage(os.path.join(copy(why, edited(meta)), "index"))
    return broken
