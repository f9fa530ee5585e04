# SPDX-License-Identifier: Apache-2.0
"""What a process has in memory."""
import contextlib
import threading

SAMPLE_S = 0.05


def fields_of(path, names):
    """{name: KiB} of a file in /proc."""
    with open(path, encoding="utf-8") as file:
        rows = dict(line.split(":", 1) for line in file if ":" in line)
    return {name: int(rows[name].split()[0]) for name in names if name in rows}


def resident(pid):
    """{name: KiB}: VmHWM is the peak of all, RssAnon what is no file's now."""
    return fields_of(f"/proc/{pid}/status", ("VmHWM", "VmRSS", "RssAnon"))


class Peak(threading.Thread):
    """Context manager: from its begin on, the peaks in MiB of what pid has resident, of
    which the kernel keeps one (whole) and this looks for the other (anonymous)."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()
        self.whole = self.anonymous = 0

    def __enter__(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.is_set():
            with contextlib.suppress(OSError, KeyError):  # it has ended
                self.look()
            self.ended.wait(SAMPLE_S)

    def look(self):
        now = resident(self.pid)
        self.whole = max(self.whole, now["VmHWM"] / 1024)
        self.anonymous = max(self.anonymous, now["RssAnon"] / 1024)
