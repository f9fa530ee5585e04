#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--http.config of both daemons as clients see it: TLS with each kind of client
certificates, versions, ciphers and curves, passwords, headers; and what is wrong.

usage: http_config.py <directory of the programs>
"""
import http.client
import json
import os
import socket
import ssl
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
from daemon import dir_bucket, is_sanitized, wait_until  # noqa: E402
from secure_daemon import SecureDaemon, bcrypt, client_tls, login, replace  # noqa: E402

SKIP = 77
PATHS = "/-/healthy", "/-/ready", "/metrics", "/", "/api/v1/read", "/nonexistent"
NO_CONNECTION = OSError, http.client.HTTPException


class World:
    """Certificates, the configuration, and a store that goes by it."""

    def __init__(self, directory, programs):
        self.directory, self.programs = directory, programs
        self.authority = certificate.Authority(directory)
        self.server = self.authority.issue("server", "DNS:localhost,IP:127.0.0.1")
        self.client = self.authority.issue("client", "DNS:client.test,IP:10.0.0.9")
        self.other = certificate.Authority(directory, "other").issue("x", "DNS:client.test")
        self.config = os.path.join(directory, "web.yml")

    def tls(self, pair=None):
        return client_tls(self.authority.cert, pair)

    def write(self, *tls_lines, rest=""):
        cert, key = self.server
        lines = [f"cert_file: {os.path.basename(cert)}", f"key_file: {key}", *tls_lines]
        replace(self.config, "tls_server_config:\n  " + "\n  ".join(lines) + "\n" + rest)

    def write_plain(self, text):
        replace(self.config, text)

    def daemon(self, name="store", more=(), **named):
        own = {
            "store": [f"--data-dir={self.directory}/data", "--http-unready-delay=0s",
                      "--objstore.config=" + dir_bucket(f"{self.directory}/bucket")],
            "sidecar": [f"--tsdb.path={self.directory}/tsdb"],
        }[name]
        ready = "/-/ready" if name == "store" else "/-/healthy"
        os.makedirs(f"{self.directory}/tsdb", exist_ok=True)
        os.makedirs(f"{self.directory}/bucket", exist_ok=True)
        return SecureDaemon(os.path.join(self.programs, "blockhouse-" + name),
                            "--http-address=127.0.0.1:{port}",
                            f"--http.config={self.config}", *own, *more, ready=ready, **named)


def status(daemon, **named):
    """0: there was no connection."""
    try:
        return daemon.ask("/-/healthy", **named).status
    except NO_CONNECTION:
        return 0


def check_passwords(world):
    """Nothing is there for who has none, on neither daemon, with or without TLS."""
    users = f"basic_auth_users:\n  alice: {bcrypt('right')}\n  bob: {bcrypt('other')}\n"
    for name in "store", "sidecar":
        world.write_plain(users)
        with world.daemon(name, headers=login("alice", "right")) as daemon:
            for path in PATHS:
                for wrong in {}, login("alice", "other"), login("nobody", "right"), \
                        {"Authorization": "Bearer right"}, {"Authorization": "Basic !"}:
                    answer = daemon.ask(path, headers=wrong)
                    assert answer.status == 401, f"{name}: {path} with {wrong}: {answer.status}"
                    assert answer.headers["WWW-Authenticate"] == 'Basic realm="blockhouse"'
                    assert answer.text == "Unauthorized\n", answer.text
                assert daemon.ask(path).status != 401
            answer = daemon.ask("/api/v1/read", headers={}, method="POST", body=b"x" * 100)
            assert answer.status == 401
            assert daemon.ask("/-/healthy", headers=login("bob", "other")).status == 200
            for _ in range(30):
                assert daemon.ask("/-/healthy").status == 200
    print("passed: passwords")


GUESSES = 12


def cost(daemon, name):
    """Processor time in seconds that wrong passwords of a name take."""
    def used():
        with open(f"/proc/{daemon.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    for i in range(GUESSES):
        answer = daemon.ask("/-/healthy", headers=login(name, f"wrong{i}"))
        assert answer.status == 401
    return used() - before


def check_timing(world):
    """Who guesses cannot tell names by the time. Costs differ by 2^5; what is spent must
    not."""
    world.write_plain(f"basic_auth_users:\n  cheap: {bcrypt('a', 4)}\n"
                      f"  dear: {bcrypt('b', 9)}\n")
    with world.daemon(headers=login("cheap", "a")) as daemon:
        cheap, dear, nobody = (cost(daemon, name) for name in ("cheap", "dear", "nobody"))
    assert max(cheap, dear, nobody) < 2.5 * min(cheap, dear, nobody), (cheap, dear, nobody)
    print(f"passed: wrong passwords cost {cheap:.2f} s {dear:.2f} s {nobody:.2f} s")


def check_client_certificates(world):
    """status of a client with no certificate, one of the authority, one of another."""
    ca = f"client_ca_file: {world.authority.cert}"
    cases = [
        (["client_auth_type: NoClientCert"], 200, 200, 200),
        (["client_auth_type: RequestClientCert"], 200, 200, 200),
        (["client_auth_type: RequireAnyClientCert"], 0, 200, 200),
        (["client_auth_type: RequireClientCert"], 0, 200, 200),
        (["client_auth_type: VerifyClientCertIfGiven", ca], 200, 200, 0),
        (["client_auth_type: RequireAndVerifyClientCert", ca], 0, 200, 0),
        (["client_auth_type: RequireAndVerifyClientCert", ca,
          "client_allowed_sans: [x, client.test]"], 0, 200, 0),
        (["client_auth_type: RequireAndVerifyClientCert", ca,
          "client_allowed_sans: [10.0.0.9]"], 0, 200, 0),
        (["client_auth_type: RequireAndVerifyClientCert", ca,
          "client_allowed_sans: [client]"], 0, 0, 0),
        (["client_auth_type: RequireAnyClientCert",
          "client_allowed_sans: [client.test]"], 0, 200, 200),
    ]
    clients = [world.tls(pair) for pair in (None, world.client, world.other)]
    for lines, *wanted in cases:
        for most in "TLS12", "TLS13":
            world.write(*lines, f"max_version: {most}")
            daemon = world.daemon()
            daemon.is_ready = lambda d=daemon: "msg=listening" in d.log_text()
            with daemon:
                got = [status(daemon, tls=tls) for tls in clients]
                assert got == wanted, f"{lines} {most}: {got}\n{daemon.log_text()}"
    print("passed: client certificates")


def handshake(world, daemon, **settings):
    """Version and cipher that a client with such settings gets; None: none."""
    context = world.tls()
    if "ciphers" in settings:
        context.set_ciphers(settings["ciphers"])
    if "curve" in settings:
        context.set_ecdh_curve(settings["curve"])
    if "version" in settings:
        context.minimum_version = context.maximum_version = settings["version"]
    try:
        with daemon.connect() as raw, \
                context.wrap_socket(raw, server_hostname="localhost") as connection:
            return connection.version(), connection.cipher()[0]
    except NO_CONNECTION:
        return None


def check_negotiation(world):
    v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    world.write()
    with world.daemon(tls=world.tls()) as daemon:
        assert handshake(world, daemon)[0] == "TLSv1.3"
        assert handshake(world, daemon, version=v12)[0] == "TLSv1.2"
    world.write("min_version: TLS13")
    with world.daemon(tls=world.tls()) as daemon:
        assert handshake(world, daemon, version=v12) is None
    world.write("max_version: TLS12")
    with world.daemon(tls=world.tls()) as daemon:
        assert handshake(world, daemon, version=v13) is None
        assert handshake(world, daemon)[0] == "TLSv1.2"
    world.write("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
                "curve_preferences: [CurveP384]")
    with world.daemon(tls=world.tls()) as daemon:
        assert handshake(world, daemon, version=v12)[1] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        assert handshake(world, daemon)[1] == "TLS_AES_256_GCM_SHA384"
        assert handshake(world, daemon, version=v12,
                         ciphers="ECDHE-ECDSA-AES128-GCM-SHA256") is None
        assert handshake(world, daemon, curve="prime256v1") is None
        assert handshake(world, daemon, curve="secp384r1") is not None
    print("passed: versions, ciphers, curves")


def answer_to(daemon, hello):
    """What of HTTP comes back."""
    with daemon.connect() as raw:
        try:
            raw.sendall(hello)
            raw.shutdown(socket.SHUT_WR)
            return b"HTTP" in raw.recv(1000)
        except OSError:
            return False


def check_headers_and_strangers(world):
    world.write(rest="http_server_config:\n  http2: true\n  headers:\n"
                     "    X-Content-Type-Options: nosniff\n"
                     "    Strict-Transport-Security: max-age=31536000\n"
                     f"basic_auth_users:\n  alice: {bcrypt('right')}\n")
    with world.daemon(tls=world.tls(), headers=login("alice", "right")) as daemon:
        for headers, wanted in ((None, 200), ({}, 401)):
            answer = daemon.ask("/metrics", headers=headers)
            assert answer.status == wanted
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "http2 of the web configuration is without effect" in daemon.log_text()
        # Who speaks no TLS gets nothing, and holds up nobody.
        for hello in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b"\0" * 600:
            assert not answer_to(daemon, hello), hello
        assert status(daemon) == 200
        text = daemon.ask("/metrics").text
        assert "blockhouse_http_certificate_not_after_timestamp_seconds 1" in text
    print("passed: headers, strangers")


def check_open(world):
    """A file that was emptied before the start is as valid as with Prometheus, and told."""
    for text in "", "basic_auth_users:\n", "http_server_config:\n  http2: false\n":
        world.write_plain(text)
        with world.daemon() as daemon:
            assert status(daemon) == 200
            assert "the port is open to all" in daemon.log_text(), text
    world.write_plain(f"basic_auth_users:\n  alice: {bcrypt('right')}\n")
    with world.daemon(headers=login("alice", "right")) as daemon:
        assert "the port is open to all" not in daemon.log_text()
    print("passed: nothing protected")


def check_request_logging(world):
    world.write_plain("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    config = "options: {level: DEBUG, decision: {log_start: true, log_end: true}}\n"
    daemon = world.daemon(more=["--log.level=debug", "--log.format=json"])
    config += f"http: {{config: [{{path: /metrics, port: {daemon.port}}}]}}\ngrpc: {{}}\n"
    daemon.command.append("--request.logging-config=" + config)
    with daemon:
        daemon.ask("/metrics?a=b", headers={"User-Agent": "me", "X-Request-ID": "17",
                                            "Authorization": "Basic hunter2"})
        wait_until("both lines", lambda: '"finished call"' in daemon.log_text())
        lines = [json.loads(line) for line in daemon.log_text().splitlines()]
    calls = [line for line in lines if line["msg"] in ("started call", "finished call")]
    assert [line["msg"] for line in calls] == ["started call", "finished call"], calls
    for line in calls:
        assert line["level"] == "debug" and line["http.method"] == "GET /metrics?a=b", line
        assert line["http.user_agent"] == "me" and line["http.request_id"] == "17", line
        assert line["thanos.method_name"] == "metrics", line
    assert calls[1]["http.status_code"] == 200 and float(calls[1]["http.time_ms"]) > 0
    assert calls[1]["http.remote_addr"].startswith("127.0.0.1:"), calls[1]
    assert "hunter2" not in daemon.log_text()
    assert "grpc of --request.logging-config is without effect" in daemon.log_text()
    print("passed: request logging")


def main(programs):
    if not certificate.can_make():
        print("skipped: openssl is missing")
        return SKIP
    checks = check_passwords, check_client_certificates, check_negotiation, \
        check_headers_and_strangers, check_open, check_request_logging
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, os.path.abspath(programs))
        for check in checks:
            check(world)
        if not is_sanitized(os.path.join(programs, "blockhouse-store")):
            check_timing(world)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
