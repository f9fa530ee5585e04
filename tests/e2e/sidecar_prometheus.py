#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sidecar beside a real, protected Prometheus; sidecar_prometheus.sh says why.

usage: sidecar_prometheus.py <blockhouse-sidecar> <prometheus> <folder of golden blocks>
"""
import base64
import glob
import http.client
import json
import os
import shutil
import ssl
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
from daemon import Answer, Daemon, dir_bucket, free_port, wait_until, write  # noqa: E402

SKIP = 77
STATE = "thanos.shipper.json"
USER = "sidecar"
# bcrypt at its least cost, which Prometheus pays once per password.
PASSWORDS = {
    "first secret": "$2b$04$dy2c4NgYlPtAzduT3NkyR.jJlBygMRIotp/tAp234Ow1BfeqN25B2",
    "second secret": "$2b$04$GMkO1jLOoqUxmATTGQkSiuhS7.tEMSfq/59hJWwqwY9.lW5jGXHUO",
}
LENGTHS = ["--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"]


class World:
    """Files of Prometheus and the sidecar, and what they are now."""

    def __init__(self, directory, golden):
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.bucket = os.path.join(directory, "bucket")
        os.makedirs(self.data)
        os.makedirs(self.bucket)
        self.golden = sorted(glob.glob(os.path.join(golden, "*", "0*")))
        self.client = certificate.make(directory, "client.test")
        self.port = free_port()
        self.password = None
        self.renew_certificate("first")
        self.allow("first secret")
        self.use("first secret")
        self.set_labels(cluster="eu1")

    def path(self, name):
        return os.path.join(self.directory, name)

    def replace(self, name, text):
        """As whoever rotates secrets does."""
        os.replace(write(self.path(name + ".new"), text), self.path(name))

    def renew_certificate(self, name):
        """The authority first, then who has its signature: here they are the same."""
        cert, key = certificate.make(self.directory, "localhost", name)
        shutil.copy(cert, self.path("ca.pem.new"))
        os.replace(self.path("ca.pem.new"), self.path("ca.pem"))
        shutil.copy(cert, self.path("server.crt"))
        shutil.copy(key, self.path("server.key"))

    def allow(self, password):
        """What Prometheus takes from now on."""
        self.password = password
        self.replace("web.yml", f"""tls_server_config:
  cert_file: {self.path("server.crt")}
  key_file: {self.path("server.key")}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {self.client[0]}
basic_auth_users:
  {USER}: {PASSWORDS[password]}
""")

    def use(self, password):
        """What the sidecar says from now on."""
        self.replace("password", password + "\n")

    def set_labels(self, **labels):
        lines = "".join(f"    {name}: {value}\n" for name, value in labels.items())
        section = "  external_labels:\n" + lines if labels else "  scrape_interval: 1m\n"
        self.replace("prometheus.yml", "global:\n" + section)

    def add_block(self, number):
        """The n-th golden block appears, as Prometheus makes one appear."""
        source = self.golden[number]
        ulid = os.path.basename(source)
        half_made = os.path.join(self.data, ulid + ".tmp-for-creation")
        shutil.copytree(source, half_made)
        with open(os.path.join(source, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        del meta["thanos"]
        write(os.path.join(half_made, "meta.json"), json.dumps(meta))
        os.rename(half_made, os.path.join(self.data, ulid))
        return ulid

    def shipped_labels(self, ulid):
        """External labels of a block in the bucket; None while it is not there."""
        path = os.path.join(self.bucket, ulid, "meta.json")
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)["thanos"]["labels"]

    def client_config(self):
        return write(self.path("client.yml"), f"""basic_auth:
  username: {USER}
  password_file: {self.path("password")}
tls_config:
  ca_file: {self.path("ca.pem")}
  cert_file: {self.client[0]}
  key_file: {self.client[1]}
""")


class Prometheus(Daemon):
    def __init__(self, program, world, *flags):
        super().__init__(program, f"--config.file={world.path('prometheus.yml')}",
                         f"--storage.tsdb.path={world.data}",
                         "--storage.tsdb.retention.time=90y",
                         f"--web.config.file={world.path('web.yml')}",
                         f"--web.listen-address=127.0.0.1:{world.port}",
                         "--web.enable-lifecycle", "--log.level=warn", *flags)
        self.port, self.world = world.port, world

    def request(self, method, path, body=None, headers=None, timeout=30):
        context = ssl.create_default_context(cafile=self.world.path("ca.pem"))
        context.load_cert_chain(*self.world.client)
        pair = base64.b64encode(f"{USER}:{self.world.password}".encode()).decode()
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout,
                                                 context=context)
        try:
            connection.request(method, path, body=body,
                               headers={"Authorization": f"Basic {pair}", **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def reload(self):
        assert self.request("POST", "/-/reload").status == 200


def expect(sidecar, what, metric, value=1):
    print("==", what)
    wait_until(f"{metric} to be {value}: {what}", lambda: sidecar.metric(metric) == value)


def expect_log(sidecar, *parts):
    def is_there():
        return any(all(part in line for part in parts)
                   for line in sidecar.log_text().splitlines())
    wait_until(f"a line with {parts}", is_there)


def ready(sidecar, is_ready=True):
    status = 200 if is_ready else 503
    wait_until(f"/-/ready to be {status}",
               lambda: sidecar.request("GET", "/-/ready").status == status)


def not_ready(reason):
    return f'blockhouse_sidecar_prometheus_not_ready{{reason="{reason}"}}'


def unsuitable(reason):
    return f'blockhouse_sidecar_prometheus_flags_unsuitable{{reason="{reason}"}}'


def check_secrets(world, prometheus, sidecar):
    """Password and certificate change under a running sidecar."""
    expect(sidecar, "Prometheus is there", "thanos_sidecar_prometheus_up")
    ready(sidecar)
    expect_log(sidecar, "checked flags of prometheus", "leaves blocks to be shipped")
    world.allow("second secret")
    expect(sidecar, "Prometheus wants another password", not_ready("rejecting"))
    expect_log(sidecar, "status 401", "--prometheus.http-client")
    world.use("second secret")
    expect(sidecar, "the file has the new password", not_ready("rejecting"), 0)
    ready(sidecar)
    os.rename(world.path("password"), world.path("mislaid"))
    expect(sidecar, "the file is gone", not_ready("locked"))
    os.rename(world.path("mislaid"), world.path("password"))
    ready(sidecar)
    assert prometheus.request("GET", "/-/ready").status == 200


def check_labels(world, prometheus, sidecar):
    """Labels change, vanish and come back under a running sidecar."""
    first = world.add_block(0)
    wait_until("the first block", lambda: world.shipped_labels(first) == {"cluster": "eu1"})
    world.set_labels(cluster="eu2")
    prometheus.reload()
    expect_log(sidecar, "external labels changed", "eu2", "was=", "eu1")
    second = world.add_block(1)
    wait_until("the second block", lambda: world.shipped_labels(second) == {"cluster": "eu2"})
    world.set_labels()
    prometheus.reload()
    expect(sidecar, "the labels are gone", not_ready("unlabeled"))
    ready(sidecar, False)
    expect_log(sidecar, "external labels are gone", "was=", "eu2")
    third = world.add_block(2)
    expect(sidecar, "a block waits", "blockhouse_sidecar_pinned_blocks")
    assert world.shipped_labels(third) is None
    world.set_labels(cluster="eu3")
    prometheus.reload()
    wait_until("the third block", lambda: world.shipped_labels(third) == {"cluster": "eu3"})
    ready(sidecar)


def check_outage(world, sidecar):
    """Prometheus is down: blocks are shipped all the same."""
    expect(sidecar, "Prometheus is down", not_ready("unreachable"))
    expect(sidecar, "and that is not up", "thanos_sidecar_prometheus_up", 0)
    ready(sidecar, False)
    last = world.add_block(3)
    wait_until("the block", lambda: world.shipped_labels(last) == {"cluster": "eu3"})
    world.renew_certificate("second")


def check_flags(world, program, sidecar):
    state = os.path.join(world.data, STATE)
    other = os.path.join(world.directory, STATE)
    cases = [
        ("compacts without waiting", ["--storage.tsdb.min-block-duration=2h",
                                      "--storage.tsdb.max-block-duration=1d"],
         {"unequal_block_durations": 1, "other_delay_compact_file": 0}),
        ("waits for another file", [f"--storage.tsdb.delay-compact-file.path={other}"],
         {"unequal_block_durations": 0, "other_delay_compact_file": 1}),
        ("waits for the state file", [f"--storage.tsdb.delay-compact-file.path={state}"],
         {"unequal_block_durations": 0, "other_delay_compact_file": 0}),
    ]
    for title, flags, reasons in cases:
        with Prometheus(program, world, *flags):
            ready(sidecar)
            for reason, value in reasons.items():
                expect(sidecar, f"Prometheus {title}: {reason}", unsuitable(reason), value)
        ready(sidecar, False)
    expect_log(sidecar, "level=error", "checked flags", "from 2h up to 24h", "never shipped")
    expect_log(sidecar, "level=error", "checked flags", other, state)


def main(program, prometheus_program, golden):
    if not certificate.can_make():
        print("SKIP: no openssl to make certificates with")
        return SKIP
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, golden)
        with Daemon(program, "--http-address=127.0.0.1:{port}", f"--tsdb.path={world.data}",
                    f"--prometheus.url=https://localhost:{world.port}",
                    "--prometheus.get_config_interval=100ms",
                    f"--prometheus.http-client-file={world.client_config()}",
                    f"--objstore.config={dir_bucket(world.bucket)}",
                    "--grpc-address=127.0.0.1:0", "--grpc-grace-period=1s",
                    ready="/-/healthy") as sidecar:
            expect(sidecar, "the sidecar was there first", not_ready("unreachable"))
            with Prometheus(prometheus_program, world, *LENGTHS) as prometheus:
                check_secrets(world, prometheus, sidecar)
                check_labels(world, prometheus, sidecar)
            check_outage(world, sidecar)
            check_flags(world, prometheus_program, sidecar)
            expect_log(sidecar, "level=warn", "without effect",
                       '"--grpc-address --grpc-grace-period"')
            for password in PASSWORDS:
                assert password not in sidecar.log_text(), "a password is in the log"
            lines = len(sidecar.log_text().splitlines())
            assert lines < 150, f"{lines} lines in the log: it repeats itself"
    print("passed")
    return 0


sys.exit(main(*sys.argv[1:]))
