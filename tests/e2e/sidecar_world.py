# SPDX-License-Identifier: Apache-2.0
"""A data directory with blocks, a bucket, and a sidecar between them, which may be
another user."""
import glob
import os
import random
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402
from garbage_sidecar import Prometheus  # noqa: E402
from shipping import check_shipped, delete_block, make_block, objects  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "golden")
NOBODY = 65534
EXTRA_BYTES = 1 << 20


class World:
    """root is an empty directory that every user may enter. Call open_to_all when the
    data directory is where it is to be."""

    def __init__(self, root):
        self.data = os.path.join(root, "data")
        self.bucket = os.path.join(root, "bucket")
        self.originals = os.path.join(root, "originals")
        self.golden = sorted(glob.glob(os.path.join(GOLDEN, "*", "0*")))
        self.prometheus = Prometheus()
        for path in (self.data, self.bucket, self.originals):
            os.makedirs(path)

    @property
    def pins(self):
        return os.path.join(self.data, "thanos", "upload")

    def open_to_all(self):
        """As a volume with fsGroup: the sidecar may write into the folder, while the
        blocks are Prometheus's."""
        for path in (self.data, os.path.join(self.data, "thanos"), self.bucket):
            if os.path.exists(path):
                os.chmod(path, 0o777)

    def add_block(self, extra_bytes=0):
        """A new block; with a second segment of this size."""
        ulid = make_block(self.originals, random.choice(self.golden),
                          [extra_bytes] if extra_bytes else [])
        shutil.copytree(os.path.join(self.originals, ulid), os.path.join(self.data, ulid))
        return ulid

    def delete_block(self, ulid):
        delete_block(self.data, ulid)

    def is_pinned(self, ulid):
        return os.path.exists(os.path.join(self.pins, ulid, "meta.json"))

    def is_shipped(self, ulid):
        return os.path.exists(os.path.join(self.bucket, ulid, "meta.json"))

    def fingerprint(self, ulid):
        """What a file of Prometheus must keep; links to it may come and go."""
        found = {}
        for rel_path in sorted(objects(os.path.join(self.data, ulid))):
            path = os.path.join(self.data, ulid, rel_path)
            st = os.stat(path)
            with open(path, "rb") as file:
                found[rel_path] = (st.st_ino, st.st_mode, st.st_uid, st.st_mtime_ns,
                                   st.st_nlink, file.read())
        return found

    def check_shipped(self, ulid):
        check_shipped(os.path.join(self.originals, ulid), os.path.join(self.bucket, ulid))

    def sidecar(self, program, *flags, as_nobody=False):
        prefix = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                  "--clear-groups"] if as_nobody else []
        command = [*prefix, program, "--http-address=127.0.0.1:{port}",
                   f"--tsdb.path={self.data}", f"--prometheus.url={self.prometheus.url}",
                   "--prometheus.get_config_interval=50ms",
                   f"--objstore.config={dir_bucket(self.bucket)}", *flags]
        return Daemon(*command, ready="/-/healthy")
