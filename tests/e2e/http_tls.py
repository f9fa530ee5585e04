#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS of the HTTP client against Python's: authorities, names, client certificates and
the resumption of sessions.

usage: http_tls.py <http_probe>
"""
import os
import shutil
import ssl
import socket
import subprocess
import sys
import tempfile
import threading

SKIP = 77


def make_certificate(directory, name):
    key, cert = (os.path.join(directory, f"{name}.{end}") for end in ("key", "crt"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    return cert, key


class Server:
    """Answers each connection once, with what it knows of it, and closes."""

    def __init__(self, cert, client_ca=None):
        self.names = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*cert)
        self.context.sni_callback = \
            lambda connection, name, context: self.names.update({connection: name})
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

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
    if not shutil.which("openssl"):
        print("SKIP: no openssl to make certificates with")
        return SKIP
    with tempfile.TemporaryDirectory() as directory:
        names = {name: make_certificate(directory, name) for name in
                 ("localhost", "bucket.test", "client.test")}
        cert, _ = names["localhost"]
        server = Server(names["localhost"])
        url = f"https://localhost:{server.port}/"
        expect("the second connection resumes the session", ask(probe, url, ca_file=cert), 0,
               f"name=localhost host=localhost:{server.port} peer=None resumed=False",
               f"name=localhost host=localhost:{server.port} peer=None resumed=True")
        expect("an unknown authority", ask(probe, url), 1, "denied: GET localhost:")

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
