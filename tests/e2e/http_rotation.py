#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Server certificate, authority of the clients, client certificates and passwords are
rotated under load, many times: no request may fail, what is new holds at once, and what
is old no longer does. Half of the clients keep their connections, half make new ones.

usage: http_rotation.py <directory of the programs> [<rotations>]
"""
import http.client
import os
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
from daemon import dir_bucket, wait_until  # noqa: E402
from secure_daemon import SecureDaemon, bcrypt, client_tls, login, replace  # noqa: E402

SKIP = 77
CLIENTS = 4
NO_CONNECTION = OSError, http.client.HTTPException
PATHS = "/metrics", "/-/ready", "/api/v1/labels"


class Secrets:
    """What a client shows from one moment on."""

    def __init__(self, directory, number, ca):
        self.number = number
        self.authority = certificate.Authority(directory, f"clients{number}")
        self.pair = self.authority.issue("client", "DNS:client.test")
        self.tls = client_tls(ca, self.pair)
        self.user, self.password = f"user{number}", f"password{number}"
        self.line = f"  {self.user}: {bcrypt(self.password)}\n"
        self.headers = login(self.user, self.password)


class Files:
    """What the store reads: replaced whole, or by a link to a folder as Kubernetes does,
    or one after the other in place, in turn."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = certificate.Authority(directory, "server")
        self.config = os.path.join(directory, "web.yml")
        self.ca = os.path.join(directory, "clients.pem")
        self.count = 0
        self.folders = 0
        self.rotate_server()

    def rotate_server(self):
        cert, key = self.authority.issue("server", "IP:127.0.0.1")
        self.count += 1
        self.folders += 1
        link, folder = (os.path.join(self.directory, name)
                        for name in ("server", f"server.{self.folders}"))
        os.makedirs(folder, exist_ok=True)
        if self.count % 2 and os.path.exists(link):
            folder = link
        for source, name in ((cert, "tls.crt"), (key, "tls.key")):
            with open(source, encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        if folder != link:
            os.symlink(folder, link + ".new")
            os.rename(link + ".new", link)

    def admit(self, *secrets):
        """Those of the clients, and no others."""
        texts = []
        for one in secrets:
            with open(one.authority.cert, encoding="utf-8") as file:
                texts.append(file.read())
        write = replace if self.count % 3 else write_in_place
        config = (f"tls_server_config:\n  cert_file: server/tls.crt\n"
                  f"  key_file: server/tls.key\n  client_ca_file: clients.pem\n"
                  f"  client_auth_type: RequireAndVerifyClientCert\n"
                  f"basic_auth_users:\n{''.join(one.line for one in secrets)}")
        write(self.ca, "".join(texts))
        write(self.config, config)


def write_in_place(path, text):
    """In two pieces, so that there is a moment with half of it."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2:])


class Client(threading.Thread):
    def __init__(self, daemon, world, keeps):
        super().__init__(daemon=True)
        self.server, self.world, self.keeps = daemon, world, keeps
        self.connection = None
        self.requests, self.failures = 0, []
        self.shown = -1  # number of the secrets of the last request that has ended

    def run(self):
        while not self.world.ended:
            secrets = self.world.secrets
            try:
                self.ask(secrets)
            except NO_CONNECTION as problem:
                self.failures.append(f"with secrets {secrets.number}: {problem!r}")
                self.close()
            self.shown = secrets.number
        self.close()

    def ask(self, secrets):
        if self.connection is None:
            self.connection = self.server.open(secrets.tls)
        self.connection.request("GET", PATHS[self.requests % len(PATHS)],
                                headers=secrets.headers)
        answer = self.connection.getresponse()
        answer.read()
        self.requests += 1
        if answer.status != 200:
            self.failures.append(f"with secrets {secrets.number}: {answer.status}")
        # In the end each connection is of one authority: a new one now and then.
        if not self.keeps or self.requests % 500 == 0:
            self.close()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class World:
    def __init__(self, directory, programs):
        self.files = Files(directory)
        self.directory, self.ended = directory, False
        self.secrets = self.make(0)
        self.files.admit(self.secrets)
        self.store = SecureDaemon(
            os.path.join(programs, "blockhouse-store"), "--http-address=127.0.0.1:{port}",
            f"--http.config={self.files.config}", f"--data-dir={directory}/data",
            "--objstore.config=" + dir_bucket(f"{directory}/bucket"),
            "--http-unready-delay=0s", tls=self.secrets.tls, headers=self.secrets.headers)

    def make(self, number):
        return Secrets(self.directory, number, self.files.authority.cert)

    def served_serial(self, secrets):
        connection = self.store.open(secrets.tls)
        connection.connect()
        serial = int(connection.sock.getpeercert()["serialNumber"], 16)
        connection.close()
        return serial

    def status(self, tls, headers):
        try:
            return self.store.ask("/-/ready", tls=tls, headers=headers).status
        except NO_CONNECTION:
            return 0

    def rotate(self, number, clients):
        old, new = self.secrets, self.make(number)
        self.files.rotate_server()
        assert self.served_serial(old) == self.files.authority.count, "an old certificate"
        self.files.admit(old, new)
        self.secrets = new
        self.store.tls, self.store.headers = new.tls, new.headers
        wait_until("clients to show what is new", lambda: all(
            client.shown == number or not client.is_alive() for client in clients))
        self.files.admit(new)
        statuses = (self.status(new.tls, new.headers), self.status(new.tls, old.headers),
                    self.status(new.tls, {}), self.status(old.tls, new.headers))
        assert statuses == (200, 401, 401, 0), f"rotation {number}: {statuses}"

    def run(self, rotations):
        clients = [Client(self.store, self, i % 2 == 0) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for number in range(1, rotations + 1):
                self.rotate(number, clients)
        finally:
            self.ended = True
            for client in clients:
                client.join()
        failures = sum((client.failures for client in clients), [])
        assert not failures, f"{len(failures)} requests failed: {failures[:5]}"
        return sum(client.requests for client in clients)


def main(programs, rotations="100"):
    if not certificate.can_make():
        print("skipped: openssl is missing")
        return SKIP
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(f"{directory}/bucket")
        world = World(directory, os.path.abspath(programs))
        with world.store:
            requests = world.run(int(rotations))
            failed = world.store.metric('blockhouse_http_config_reloads_total{result="failed"}')
            reloads = world.store.metric("blockhouse_http_config_reloads_total")
    print(f"passed: {rotations} rotations of everything, {requests} requests of {CLIENTS} "
          f"clients, 0 failed; read anew {reloads:.0f} times, {failed:.0f} in vain")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
