#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pins on every file system; sidecar_filesystems.sh says why, and calls this in a mount
namespace of its own.

usage: sidecar_filesystems.py <blockhouse-sidecar>
"""
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from sidecar_world import EXTRA_BYTES, World, wait_until  # noqa: E402
from garbage_sidecar import GOOD, config  # noqa: E402

IMAGE_BYTES = 512 << 20
REFUSED = {"EPERM": "Operation not permitted", "EXDEV": "Invalid cross-device link"}


class Skip(Exception):
    pass


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"{command[0]}: {done.stderr.strip()[:200]}")


def mount_image(root, target, make, *options):
    """A file system of its own in a file. It goes with the mount namespace."""
    program = shutil.which(make) or shutil.which(make, path="/usr/sbin:/sbin")
    if program is None:
        raise Skip(f"no {make}")
    image = os.path.join(root, "image")
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    run(program, "-q", *options, image)
    run("mount", "-o", "loop", image, target)


def need_protected_hardlinks():
    with open("/proc/sys/fs/protected_hardlinks", encoding="ascii") as file:
        if file.read().strip() != "1":
            raise Skip("fs.protected_hardlinks is off")


def plain(_world, _root):
    pass


def another_owner(_world, _root):
    need_protected_hardlinks()


def own_mount(world, _root):
    """The same file system, seen through another mount."""
    thanos, elsewhere = os.path.join(world.data, "thanos"), world.data + "-thanos"
    os.makedirs(thanos)
    os.makedirs(elsewhere)
    run("mount", "--bind", elsewhere, thanos)


def tmpfs(world, _root, size="64m"):
    thanos = os.path.join(world.data, "thanos")
    os.makedirs(thanos)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", thanos)


def full_tmpfs(world, root):
    """Room for a block, but not for as much again."""
    tmpfs(world, root, size="1500k")


def fill(folder):
    """Leave not a byte free."""
    with open(os.path.join(folder, "filler"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as why:
            if why.errno != errno.ENOSPC:
                raise


def no_room_for_notes(world, root):
    tmpfs(world, root, size="64k")
    os.makedirs(world.pins)
    fill(os.path.join(world.data, "thanos"))


def whole_disk(world, _root):
    run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", world.data)


def xfs(world, root):
    need_protected_hardlinks()
    mount_image(root, world.data, "mkfs.xfs", "-m", "reflink=1")


def btrfs(world, root):
    need_protected_hardlinks()
    mount_image(root, world.data, "mkfs.btrfs")


def ext4(world, root):
    need_protected_hardlinks()
    mount_image(root, world.data, "mkfs.ext4")


# (what to make of the data directory, as nobody, how pins are made, why not by links)
PINNED = [
    (plain, False, "linked", None),
    (tmpfs, False, "copied", "EXDEV"),
    (own_mount, False, "copied", "EXDEV"),
    (another_owner, True, "copied", "EPERM"),
    (ext4, True, "copied", "EPERM"),
    (xfs, True, "cloned", "EPERM"),
    (btrfs, True, "cloned", "EPERM"),
]


def events(sidecar, *words):
    return [line for line in sidecar.log_text().splitlines()
            if all(word in line for word in words)]


def check_told(sidecar, blocks, how, why):
    """A warning for the first, which says what it costs."""
    if how == "linked":
        assert len(events(sidecar, 'msg="pinned block"')) == len(blocks)
        assert sidecar.metric("blockhouse_sidecar_pinned_bytes") == 0
        return
    told = events(sidecar, "pinned block without links")
    assert len(told) == len(blocks), told
    assert [("level=warn" in line) for line in told] == [True, False], told
    for line in told:
        assert f"op={how}" in line and REFUSED[why] in line, line
        size = int(line.split(" bytes=")[1].split(" ")[0])
        assert size > EXTRA_BYTES, line
    assert sidecar.metric("blockhouse_sidecar_pinned_bytes") > 2 * EXTRA_BYTES


def pins_and_ships(program, world, as_nobody, how, why):
    """Two blocks are pinned while no labels are known. Retention takes one."""
    blocks = [world.add_block(EXTRA_BYTES) for _ in range(2)]
    gone, kept = blocks
    before = world.fingerprint(kept)
    with world.sidecar(program, as_nobody=as_nobody) as sidecar:
        wait_until("pins", lambda: all(map(world.is_pinned, blocks)))
        wait_until("the metric to say so", lambda: sidecar.metric(
            "blockhouse_sidecar_pinned_blocks") == 2)
        check_told(sidecar, blocks, how, why)
        world.delete_block(gone)
        world.prometheus.say((200, GOOD))
        wait_until("both blocks to be shipped", lambda: all(map(world.is_shipped, blocks)))
        wait_until("the pins to be gone", lambda: not os.listdir(world.pins))
    for ulid in blocks:
        world.check_shipped(ulid)
    assert world.fingerprint(kept) == before, "a file of Prometheus was touched"


def ships_from_its_place(program, world):
    blocks = [world.add_block(EXTRA_BYTES) for _ in range(2)]
    before = {ulid: world.fingerprint(ulid) for ulid in blocks}
    with world.sidecar(program) as sidecar:
        wait_until("the metric to say that there is no room", lambda: sidecar.metric(
            "blockhouse_sidecar_unpinned_blocks") == 2)
        for ulid in blocks:
            [told] = events(sidecar, "is shipped from its place", f"block={ulid}")
            assert "level=warn" in told and "No space left" in told, told
        left = {name for name in os.listdir(world.pins) if not name.endswith(".json")}
        assert not left, f"left of a pin: {left}"
        world.prometheus.say((200, GOOD))
        wait_until("both blocks to be shipped", lambda: all(map(world.is_shipped, blocks)))
        wait_until("the notes to be gone", lambda: not os.listdir(world.pins))
        assert sidecar.metric("blockhouse_sidecar_unpinned_blocks") == 0
    for ulid in blocks:
        world.check_shipped(ulid)
        assert world.fingerprint(ulid) == before[ulid], "a file of Prometheus was touched"


def ships_without_a_note(program, world):
    blocks = [world.add_block(EXTRA_BYTES) for _ in range(2)]
    world.prometheus.answer = (200, GOOD)
    with world.sidecar(program) as sidecar:
        wait_until("both blocks to be shipped", lambda: all(map(world.is_shipped, blocks)))
        for ulid in blocks:
            [told] = events(sidecar, "labels of a block cannot be noted", f"block={ulid}")
            assert "level=warn" in told and "No space left" in told, told
        wait_until("the metric to say that all is done", lambda: sidecar.metric(
            "blockhouse_sidecar_unnoted_blocks") == 0)
    for ulid in blocks:
        world.check_shipped(ulid)


def recorded(world):
    with open(os.path.join(world.data, "thanos.shipper.json"), encoding="ascii") as file:
        return set(json.load(file)["uploaded"])


def outlives_a_full_disk(program, world):
    """Neither pins nor labels nor what is shipped can be written down. A restart under
    other labels leaves what the bucket holds, and records it once there is room."""
    with world.sidecar(program):
        wait_until("a state file", lambda: os.path.exists(
            os.path.join(world.data, "thanos.shipper.json")))
    blocks = [world.add_block(EXTRA_BYTES) for _ in range(2)]
    fill(world.data)
    world.prometheus.answer = (200, GOOD)
    with world.sidecar(program):
        wait_until("both blocks to be shipped", lambda: all(map(world.is_shipped, blocks)))
    assert not recorded(world)
    world.prometheus.answer = (200, config("global: {external_labels: {cluster: us1}}\n"))
    with world.sidecar(program) as sidecar:
        for ulid in blocks:
            wait_until("the labels of the bucket to stay", lambda ulid=ulid: events(
                sidecar, "other labels, which stay", f"block={ulid}"))
        os.unlink(os.path.join(world.data, "filler"))
        wait_until("both blocks to be recorded", lambda: recorded(world) == set(blocks))
        assert sidecar.metric("thanos_shipper_upload_failures_total") == 0
    for ulid in blocks:
        world.check_shipped(ulid)


def attempt(name, prepare, body):
    """Returns whether it was not skipped."""
    with tempfile.TemporaryDirectory(prefix="blockhouse-filesystems-") as root:
        os.chmod(root, 0o755)
        world = World(root)
        try:
            prepare(world, root)
        except Skip as why:
            print(f"  {name}: SKIP: {why}")
            return False
        try:
            world.open_to_all()
            body(world)
        finally:
            for path in (os.path.join(world.data, "thanos"), world.data):
                subprocess.run(["umount", "-q", path], capture_output=True, check=False)
        print(f"  {name}: ok")
        return True


def main():
    program = os.path.abspath(sys.argv[1])
    done = 0
    for prepare, as_nobody, how, why in PINNED:
        done += attempt(f"{prepare.__name__}: {how}", prepare,
                        lambda world, args=(as_nobody, how, why):
                        pins_and_ships(program, world, *args))
    done += attempt("full disk: shipped from its place", full_tmpfs,
                    lambda world: ships_from_its_place(program, world))
    done += attempt("full disk: no room for labels", no_room_for_notes,
                    lambda world: ships_without_a_note(program, world))
    done += attempt("full disk: no room for anything", whole_disk,
                    lambda world: outlives_a_full_disk(program, world))
    print(f"{done} of {len(PINNED) + 3} tried")


if __name__ == "__main__":
    main()
