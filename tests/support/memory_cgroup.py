# SPDX-License-Identifier: Apache-2.0
"""A memory cgroup, version 1 or 2, without swap, for a process under test."""
import os

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"


def new(limit):
    """None where this process may not make one."""
    name = f"blockhouse-test-{os.getpid()}"
    for kind in (Version2, Version1):
        try:
            return kind(name, limit)
        except OSError:
            continue
    return None


def own_group(controller):
    """Path of this process's group below the mount, "" if it is not to be seen there."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == controller:
                return path.rstrip("/")
    return ""


class Group:
    """Context manager. The processes in it have ended before its end."""

    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.rmdir(self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, value):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(str(value))

    def table(self, name):
        return {key: int(value) for key, value in
                (line.split() for line in self.read(name).splitlines())}

    def run(self, command):
        """The command that runs another one inside."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', self.path("cgroup.procs"),
                *command]

    def _limit(self, **files):
        try:
            for name, value in files.items():
                self.write(name.replace("__", "."), value)
        except OSError:
            os.rmdir(self.directory)
            raise


class Version1(Group):
    def __init__(self, name, limit):
        if not os.path.exists(os.path.join(V1, "memory.limit_in_bytes")):
            raise FileNotFoundError(V1)
        parent = V1 + own_group("memory")
        super().__init__(os.path.join(parent if os.path.isdir(parent) else V1, name))
        self._limit(memory__limit_in_bytes=limit)
        if os.path.exists(self.path("memory.memsw.limit_in_bytes")):
            self._limit(memory__memsw__limit_in_bytes=limit)

    def peak(self):
        return int(self.read("memory.max_usage_in_bytes"))

    def kills(self):
        """None where the kernel does not count them."""
        return self.table("memory.oom_control").get("oom_kill")

    def without_cache(self):
        """Bytes in use, the kernel's included, without those of files."""
        return int(self.read("memory.usage_in_bytes")) - self.table("memory.stat")["cache"]

    def anonymous(self):
        """Bytes that the processes have written to."""
        return self.table("memory.stat")["rss"]


class Version2(Group):
    """At the root, as a group with processes has no groups that count memory."""

    def __init__(self, name, limit):
        with open(os.path.join(V2, "cgroup.subtree_control"), encoding="utf-8") as file:
            if "memory" not in file.read().split():
                raise FileNotFoundError(V2)
        super().__init__(os.path.join(V2, name))
        self._limit(memory__max=limit)
        if os.path.exists(self.path("memory.swap.max")):
            self._limit(memory__swap__max=0)

    def peak(self):
        """None before Linux 5.19."""
        if os.path.exists(self.path("memory.peak")):
            return int(self.read("memory.peak"))
        return None

    def kills(self):
        return self.table("memory.events")["oom_kill"]

    def without_cache(self):
        return int(self.read("memory.current")) - self.table("memory.stat")["file"]

    def anonymous(self):
        return self.table("memory.stat")["anon"]
