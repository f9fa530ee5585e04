# SPDX-License-Identifier: Apache-2.0
"""What tests of the sidecar share: a Prometheus that only tells its labels, a data
directory in which blocks come and go, and what must be true of the bucket meanwhile."""
import filecmp
import glob
import json
import os
import random
import shutil
import threading

from daemon import dir_bucket

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SEGMENT_HEADER = bytes.fromhex("85bd40dd01000000")
LABELS = {"cluster": "eu1", "replica": "a"}
EXTRA_SEGMENTS, EXTRA_BYTES = 4, 100000
STATE = "thanos.shipper.json"


def new_ulid(rng=random):
    return "01" + "".join(rng.choices(ALPHABET, k=24))


def segment(size, rng=random):
    """A segment of one chunk: length as a varint, encoding, data, checksum."""
    length, rest = b"", size
    while rest >= 0x80:
        length, rest = length + bytes([rest & 0x7f | 0x80]), rest >> 7
    return SEGMENT_HEADER + length + bytes([rest]) + rng.randbytes(1 + size + 4)


def make_block(folder, golden, extra_sizes, rng=random):
    """A copy of a golden block, new by its id, with further segments of these sizes."""
    ulid = new_ulid(rng)
    block = os.path.join(folder, ulid)
    shutil.copytree(golden, block)
    for number, size in enumerate(extra_sizes, 2):
        with open(os.path.join(block, "chunks", f"{number:06}"), "wb") as file:
            file.write(segment(size, rng))
    path = os.path.join(block, "meta.json")
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    meta.pop("thanos", None)
    meta.update(ulid=ulid, compaction={"level": 1, "sources": [ulid]})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(meta, file)
    return ulid


def delete_block(data, ulid):
    """As Prometheus does."""
    local = os.path.join(data, ulid)
    os.rename(local, local + ".tmp-for-deletion")
    shutil.rmtree(local + ".tmp-for-deletion")


def objects(folder):
    """Relative paths, without what a killed put of a directory bucket leaves hidden."""
    return {os.path.relpath(os.path.join(parent, name), folder)
            for parent, _, names in os.walk(folder) for name in names
            if not name.startswith(".blockhouse-")}


def check_shipped(original, shipped):
    """Two folders: the block, and what the bucket holds of it."""
    files = objects(original) - {"tombstones"}
    assert objects(shipped) == files, f"{shipped}: {objects(shipped) ^ files}"
    for rel_path in files - {"meta.json"}:
        assert filecmp.cmp(os.path.join(original, rel_path),
                           os.path.join(shipped, rel_path), shallow=False), \
            f"{shipped}: {rel_path} differs"


class World:
    """Data directory, bucket, and a copy of every block that ever was. Of the same seed
    come the same blocks."""

    def __init__(self, directory, golden, seed):
        self.random = random.Random(seed)
        self.data = os.path.join(directory, "data")
        self.pins = os.path.join(self.data, "thanos", "upload")
        self.bucket = os.path.join(directory, "bucket")
        self.originals = os.path.join(directory, "originals")
        for path in (self.data, self.bucket, self.originals):
            os.makedirs(path)
        self.golden = sorted(glob.glob(os.path.join(golden, "*", "0*")))
        self.blocks = []  # every ULID, oldest first

    def add_block(self):
        """A block appears as Prometheus makes it appear: whole, by a rename."""
        sizes = [self.random.randint(0, EXTRA_BYTES)
                 for _ in range(self.random.randint(0, EXTRA_SEGMENTS))]
        ulid = make_block(self.originals, self.random.choice(self.golden), sizes,
                          self.random)
        half_made = os.path.join(self.data, ulid + ".tmp-for-creation")
        shutil.copytree(os.path.join(self.originals, ulid), half_made)
        os.rename(half_made, os.path.join(self.data, ulid))
        self.blocks.append(ulid)
        return ulid

    def apply_retention(self):
        """Prometheus deletes the oldest block that is pinned or shipped."""
        for ulid in self.blocks:
            local = os.path.join(self.data, ulid)
            if os.path.exists(local) and (
                    os.path.exists(os.path.join(self.pins, ulid)) or
                    os.path.exists(os.path.join(self.bucket, ulid, "meta.json"))):
                delete_block(self.data, ulid)
                return

    def local_blocks(self):
        return {u for u in self.blocks if os.path.exists(os.path.join(self.data, u))}


class Watcher(threading.Thread):
    """Looks at the bucket and the state file all the time, as a reader would."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.problem, self.looks = world, None, 0
        self.commits = {}  # ULID -> inode of its meta.json
        self.state_was_there = False
        self.stop_asked = threading.Event()

    def run(self):
        try:
            while not self.stop_asked.is_set():
                self.look()
        except AssertionError as error:
            self.problem = error

    def finish(self):
        self.stop_asked.set()
        self.join()
        self.check()
        self.look()

    def check(self):
        if self.problem is not None:
            raise self.problem

    def look(self):
        self.look_at_state()
        for ulid in os.listdir(self.world.bucket):
            self.look_at_block(ulid)
        self.looks += 1

    def look_at_block(self, ulid):
        folder = os.path.join(self.world.bucket, ulid)
        try:
            with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
                inode = os.fstat(file.fileno()).st_ino
                thanos = json.load(file)["thanos"]
        except FileNotFoundError:
            return
        assert self.commits.setdefault(ulid, inode) == inode, \
            f"{ulid}: committed a second time"
        assert thanos["labels"] == LABELS, f"{ulid}: labels {thanos['labels']}"
        sizes = {file["rel_path"]: file.get("size_bytes") for file in thanos["files"]}
        assert {"index", "meta.json", "chunks/000001"} <= set(sizes), f"{ulid}: {sizes}"
        for rel_path, size in sizes.items():
            path = os.path.join(folder, rel_path)
            assert os.path.exists(path), f"{ulid}: meta.json names {rel_path}, not there"
            assert size is None or os.path.getsize(path) == size, f"{ulid}: {rel_path}"

    def look_at_state(self):
        try:
            with open(os.path.join(self.world.data, STATE), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            assert not self.state_was_there, "the state file has gone away"
            return
        self.state_was_there = True
        try:
            uploaded = json.loads(text)["uploaded"]
        except ValueError as error:
            raise AssertionError(f"the state file is broken: {text!r}") from error
        for ulid in uploaded:
            assert os.path.exists(os.path.join(self.world.bucket, ulid, "meta.json")), \
                f"{ulid}: recorded but not in the bucket"


def arguments(world, prometheus, bucket=None):
    """bucket: YAML; without, the directory of the world."""
    return ["--http-address=127.0.0.1:{port}", f"--tsdb.path={world.data}",
            f"--prometheus.url={prometheus.url}",
            "--prometheus.get_config_interval=100ms",
            f"--objstore.config={bucket or dir_bucket(world.bucket)}"]


def is_settled(world):
    """Whether every block is in the bucket, every local one recorded, and no pin left."""
    committed = glob.glob(os.path.join(world.bucket, "*", "meta.json"))
    if not os.path.exists(world.pins) or os.listdir(world.pins) or \
            len(committed) < len(world.blocks):
        return False
    try:
        with open(os.path.join(world.data, STATE), encoding="utf-8") as file:
            return set(json.load(file)["uploaded"]) == world.local_blocks()
    except FileNotFoundError:
        return False


def compare(world):
    assert set(os.listdir(world.bucket)) == set(world.blocks)
    for ulid in world.blocks:
        check_shipped(os.path.join(world.originals, ulid), os.path.join(world.bucket, ulid))
