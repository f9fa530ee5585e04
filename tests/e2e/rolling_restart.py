#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two stores behind a balancer are restarted in turns, below continuous queries: not one
fails, and none comes back short.

usage: rolling_restart.py <blockhouse-store>
"""
import glob
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import remote_read as rr  # noqa: E402
from balancer import Balancer  # noqa: E402
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402

CLIENTS = 6
ROUNDS = 3
PROBE_S = 0.1
UNREADY = "--http-unready-delay=1s"
EVERYTHING = rr.query([("__name__", "!=", "")], 0, 1 << 60)


class Client(threading.Thread):
    """Asks again and again, for streams and for labels in turns, until it is told to end
    or an answer is not as the first one was."""

    def __init__(self, service):
        super().__init__()
        self.service = service
        self.ended = threading.Event()
        self.answers = 0
        self.problem = None

    def ask(self):
        labels = self.service.request("GET", "/api/v1/labels")
        assert labels.status == 200, (labels.status, labels.text)
        return rr.read_streamed(self.service, [EVERYTHING]), labels.body

    def run(self):
        try:
            first = self.ask()
            while not self.ended.is_set():
                assert self.ask() == first, "answers differ"
                self.answers += 1
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = f"after {self.answers} answers: {problem!r}"


def reads_in_flight(store):
    [line] = [line for line in store.request("GET", "/metrics").text.splitlines()
              if line.startswith('http_inflight_requests{handler="read"')]
    return float(line.rsplit(" ", 1)[1])


def slow_answer_survives(store):
    """A query that is read slowly while the store stops is answered to its end."""
    request = rr.encode([EVERYTHING] * 100, [rr.pb.ReadRequest.STREAMED_XOR_CHUNKS])
    whole = rr.post(store, request).body
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.connect(("127.0.0.1", store.port))
        connection.sendall(b"POST /api/v1/read HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
                           % len(request) + request)
        got = connection.recv(1000)
        assert reads_in_flight(store) == 1, "not slow at all"
        store.process.send_signal(signal.SIGTERM)
        wait_until("the store to stop listening", lambda: not is_listening(store))
        while part := connection.recv(65536):
            got += part
    assert got.endswith(b"\r\n0\r\n\r\n"), "the answer was cut"
    assert len(got) > len(whole), (len(got), len(whole))


def is_listening(store):
    try:
        store.connect(timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def restart(store):
    """Ends when it is ready again, on the same port."""
    assert store.stop() == 0, store.log_text()
    store.__enter__()


def tells_before_it_leaves(store):
    """First the probe says no, requests are still answered, each closes its connection,
    and only then nobody listens."""
    store.process.send_signal(signal.SIGTERM)
    wait_until("the probe to say no", lambda: store.request("GET", "/-/ready").status == 503)
    answer = store.request("GET", "/api/v1/labels")
    assert answer.status == 200 and answer.headers["Connection"] == "close", answer.headers


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        for block in glob.glob(os.path.join(HERE, "..", "golden", "xor", "0*")):
            shutil.copytree(block, os.path.join(bucket, os.path.basename(block)))
        stores = [Daemon(program, "--http-address=127.0.0.1:{port}", UNREADY,
                         f"--data-dir={directory}/data{i}",
                         f"--objstore.config={dir_bucket(bucket)}") for i in range(2)]
        with stores[0], stores[1], Balancer(stores, PROBE_S) as balancer:
            clients = [Client(balancer) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            for _ in range(ROUNDS):
                for store in stores:
                    restart(store)
                    before = dict(balancer.answers)
                    wait_until("both to answer again", lambda: all(
                        balancer.answers[one] > before[one] for one in stores)
                        or any(client.problem for client in clients))
            for client in clients:
                client.ended.set()
            for client in clients:
                client.join()
        problems = [client.problem for client in clients if client.problem]
        assert not problems, problems
        print(f"  {2 * ROUNDS} restarts, {sum(balancer.answers.values())} answers, "
              f"{balancer.refused} refused and passed on, 0 failed")
        with stores[0] as store:
            begin = time.monotonic()
            tells_before_it_leaves(store)
            assert store.stop() == 0 and time.monotonic() - begin < 5
        with stores[1] as store:
            slow_answer_survives(store)


if __name__ == "__main__":
    main()
