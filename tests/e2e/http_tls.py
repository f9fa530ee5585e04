#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS of the HTTP client against Python's: authorities, names, client certificates and
the resumption of sessions.

usage: http_tls.py <http_probe>
"""
import os
import ssl
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402

SKIP = 77


class Server:
    """Answers each connection once, with what it knows of it, and closes."""

    def __init__(self, cert, client_ca=None, renew=None):
        self.names = {}
        self.client_ca = client_ca
        self.renew = renew  # called at each connection; yields the certificate from then on
        self.context = self.make_context(cert)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def make_context(self, cert):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert)
        context.sni_callback = \
            lambda connection, name, context: self.names.update({connection: name})
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def run(self):
        while True:
            plain = self.listener.accept()[0]
            plain.settimeout(20)
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self.answer(connection)
            except OSError:
                pass  # the client refused us, or we the client

    def answer(self, connection):
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        host = next(line[6:] for line in request.decode().split("\r\n")
                    if line.lower().startswith("host: "))
        peer = connection.getpeercert()
        peer = dict(pair[0] for pair in peer["subject"])["commonName"] if peer else None
        if self.renew:
            self.context = self.make_context(self.renew())
        body = (f"name={self.names.get(connection)} host={host} peer={peer} "
                f"resumed={connection.session_reused}\n")
        connection.sendall((f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n"
                            f"Connection: close\r\n\r\n{body}").encode())


def ask(probe, url, **options):
    arguments = [f"{name}={value}" for name, value in options.items()]
    done = subprocess.run([probe, url, *arguments], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout.splitlines()


def expect(what, got, status, *lines):
    print("==", what)
    if got[0] != status or len(got[1]) != len(lines) or \
            any(wanted not in line for wanted, line in zip(lines, got[1])):
        sys.exit(f"{what}: expected {status} {lines}, got {got}")


def main(probe):
    if not certificate.can_make():
        print("SKIP: no openssl to make certificates with")
        return SKIP
    with tempfile.TemporaryDirectory() as directory:
        names = {name: certificate.make(directory, name) for name in
                 ("localhost", "bucket.test", "client.test")}
        cert, _ = names["localhost"]
        server = Server(names["localhost"])
        url = f"https://localhost:{server.port}/"
        expect("the second connection resumes the session", ask(probe, url, ca_file=cert), 0,
               f"name=localhost host=localhost:{server.port} peer=None resumed=False",
               f"name=localhost host=localhost:{server.port} peer=None resumed=True")
        expect("an unknown authority", ask(probe, url), 1, "denied: GET localhost:")

        authority = os.path.join(directory, "authority.pem")

        def renew():
            shutil.copy(second[0], authority)
            return second
        first, second = (certificate.make(directory, "localhost", file)
                         for file in ("first", "second"))
        shutil.copy(first[0], authority)
        server = Server(first, renew=renew)
        expect("an authority that changes between two connections",
               ask(probe, f"https://localhost:{server.port}/", ca_file=authority,
                   in_turn="yes"), 0,
               "name=localhost", "resumed=False")

        cert, _ = names["bucket.test"]
        server = Server(names["bucket.test"])
        url = f"https://localhost:{server.port}/a?b"
        expect("a wrong name", ask(probe, url, ca_file=cert), 1, "denied: GET localhost:")
        expect("another name than the host's",
               ask(probe, url, ca_file=cert, server_name="bucket.test"), 0,
               f"name=bucket.test host=localhost:{server.port} peer=None resumed=False",
               f"name=bucket.test host=localhost:{server.port} peer=None resumed=True")

        server = Server(names["localhost"], client_ca=names["client.test"][0])
        url = f"https://localhost:{server.port}/"
        cert, key = names["client.test"]
        own = {"ca_file": names["localhost"][0]}
        expect("a client certificate", ask(probe, url, **own, cert_file=cert, key_file=key),
               0, "peer=client.test resumed=False", "peer=client.test resumed=True")
        expect("no client certificate", ask(probe, url, **own), 1, "GET localhost:")
        expect("no key to a certificate",
               ask(probe, url, **own, cert_file=cert, key_file="/nonexistent"), 1,
               "denied: GET localhost:")
    print("passed")
    return 0


sys.exit(main(sys.argv[1]))
