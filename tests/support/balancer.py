# SPDX-License-Identifier: Apache-2.0
"""Some daemons behind one name, as a balancer does it that asks them whether they are
ready: requests go in turns to those that are, over connections that are kept open; one
that is refused goes to the next. Nothing else is tried again."""
import http.client
import itertools
import threading

from daemon import Answer


class Balancer:
    """Context manager. A daemon's answer to /-/ready decides; asked every interval_s."""

    def __init__(self, daemons, interval_s):
        self.daemons = daemons
        self.interval_s = interval_s
        self.ready = set(daemons)
        self.turns = itertools.count()
        self.answers = {daemon: 0 for daemon in daemons}
        self.refused = 0
        self.kept = threading.local()
        self.ended = threading.Event()
        self.prober = threading.Thread(target=self.probe)

    def __enter__(self):
        self.prober.start()
        return self

    def __exit__(self, *problem):
        self.ended.set()
        self.prober.join()

    def probe(self):
        while not self.ended.wait(self.interval_s):
            for daemon in self.daemons:
                try:
                    good = daemon.request("GET", "/-/ready", timeout=1).status == 200
                except (OSError, http.client.HTTPException):
                    good = False
                self.ready = self.ready | {daemon} if good else self.ready - {daemon}

    def request(self, method, path, body=None, headers=None, timeout=30):
        """As that of a daemon."""
        turn = next(self.turns)
        ready = [daemon for daemon in self.daemons if daemon in self.ready]
        for daemon in ready[turn % max(len(ready), 1):] + ready:
            try:
                return self.pass_on(daemon, method, path, body, headers or {}, timeout)
            except ConnectionRefusedError:
                self.refused += 1
        raise AssertionError("no daemon is ready")

    def pass_on(self, daemon, method, path, body, headers, timeout):
        kept = self.kept.__dict__.setdefault("connections", {})
        # A connection that nobody needs is closed before it can break.
        for gone in set(kept) - self.ready:
            kept.pop(gone).close()
        connection = kept.pop(daemon, None) or http.client.HTTPConnection(
            "127.0.0.1", daemon.port, timeout=timeout)
        connection.request(method, path, body=body, headers=headers)
        reply = connection.getresponse()
        answer = Answer(reply)
        self.answers[daemon] += 1
        if reply.will_close:
            connection.close()
        else:
            kept[daemon] = connection
        return answer
