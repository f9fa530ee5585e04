#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What prometheus-operator starts the container of spec.thanos with starts "blockhouse"
unchanged: it becomes ready, and ships where object storage is configured.

The arguments of each Prometheus resource are in the list below; where the operator's own
code is at hand (tests/support/peers.sh operator-arguments) it is asked, and must say the
same. The paths and ports in them are those of a pod, so each runs in a root directory and
a network of its own.

usage: operator_arguments.py <blockhouse> <folder of golden blocks>
"""
import ctypes
import fcntl
import glob
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import certificate  # noqa: E402
from daemon import Daemon, wait_until, write  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402

SKIP = 77
CLIENT = "/etc/thanos/config/prometheus.http-client-file.yaml"
SECRET = {"name": "objstore", "key": "bucket.yml"}
BUCKET = "type: FILESYSTEM\nconfig:\n  directory: /bucket\n"
INERT = ["--grpc-address"]

# (title, spec of a Prometheus resource, arguments, those without effect)
CASES = [
    ("nothing but thanos", {"thanos": {}},
     ["--prometheus.url=http://localhost:9090/", "--grpc-address=:10901",
      "--http-address=:10902", f"--prometheus.http-client-file={CLIENT}"], INERT),
    ("all that there is",
     {"routePrefix": "/prom", "thanos": {
         "objectStorageConfig": SECRET, "tracingConfig": {"name": "tracing", "key": "t.yml"},
         "grpcServerTlsConfig": {"certFile": "/tls/tls.crt", "keyFile": "/tls/tls.key",
                                 "caFile": "/tls/ca.crt"},
         "listenLocal": True, "logLevel": "debug", "logFormat": "json", "minTime": "-2h",
         "readyTimeout": "15m", "getConfigTimeout": "10s", "getConfigInterval": "1s",
         "additionalArgs": [{"name": "shipper.upload-compacted"},
                            {"name": "hash-func", "value": "SHA256"}]}},
     ["--prometheus.url=http://localhost:9090/prom", "--grpc-address=127.0.0.1:10901",
      "--http-address=127.0.0.1:10902", "--grpc-server-tls-cert=/tls/tls.crt",
      "--grpc-server-tls-key=/tls/tls.key", "--grpc-server-tls-client-ca=/tls/ca.crt",
      "--objstore.config=$(OBJSTORE_CONFIG)", "--tsdb.path=/prometheus",
      "--tracing.config=$(TRACING_CONFIG)", "--log.level=debug", "--log.format=json",
      "--min-time=-2h", "--prometheus.ready_timeout=15m",
      "--prometheus.get_config_timeout=10s", "--prometheus.get_config_interval=1s",
      f"--prometheus.http-client-file={CLIENT}", "--shipper.upload-compacted",
      "--hash-func=SHA256"],
     ["--grpc-address", "--grpc-server-tls-cert", "--grpc-server-tls-key",
      "--grpc-server-tls-client-ca", "--tracing.config", "--min-time"]),
    ("files, and a Prometheus with TLS",
     {"web": {"tlsConfig": {"keySecret": {"name": "tls", "key": "tls.key"},
                            "cert": {"secret": {"name": "tls", "key": "tls.crt"}}}},
      "logLevel": "warn",
      "thanos": {"objectStorageConfigFile": "/config/bucket.yml",
                 "tracingConfigFile": "/config/tracing.yml", "blockSize": "2h"}},
     ["--prometheus.url=https://localhost:9090/", "--grpc-address=:10901",
      "--http-address=:10902", "--objstore.config-file=/config/bucket.yml",
      "--tsdb.path=/prometheus", "--tracing.config-file=/config/tracing.yml",
      "--log.level=warn", f"--prometheus.http-client-file={CLIENT}"],
     ["--grpc-address", "--tracing.config-file"]),
    ("an image tagged as an old Thanos",
     {"thanos": {"version": "0.22.0", "objectStorageConfig": SECRET}},
     ["--prometheus.url=http://localhost:9090/", "--grpc-address=:10901",
      "--http-address=:10902", "--objstore.config=$(OBJSTORE_CONFIG)",
      "--tsdb.path=/prometheus"], INERT),
]


def operator_program():
    """None, with the reason, where it cannot be had."""
    peers = os.path.join(HERE, "..", "support", "peers.sh")
    found = subprocess.run(["bash", "-c", f'. "{peers}"; peer_path operator-arguments'],
                           capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return None, found.stderr.strip().removeprefix("SKIP: ")
    return os.path.join(found.stdout.strip(), "operator-arguments"), None


def check_list():
    """The list above is what the operator does today."""
    program, why = operator_program()
    if program is None:
        print(f"  the operator is not asked, the list in the tree is used: {why}")
        return
    resources = [{"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
                  "metadata": {"name": "p", "namespace": "n"}, "spec": spec}
                 for _, spec, _, _ in CASES]
    said = json.loads(subprocess.run([program], input=json.dumps(resources), text=True,
                                     capture_output=True, check=True).stdout)
    for (title, _, arguments, _), told in zip(CASES, said, strict=True):
        assert told == ["sidecar", *arguments], (title, told)
    print(f"  the operator says the same of {len(said)} resources")


def mount(source, target, kind=None, flags=0):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} at {target}")


MS_BIND, MS_REC = 4096, 16384


def enter_pod(root):
    """A root directory with the machine's programs and none of its data."""
    mount("none", root, "tmpfs")
    for name in os.listdir("/"):
        source, target = os.path.join("/", name), os.path.join(root, name)
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source) and name not in ("etc", "prometheus", "config", "tls",
                                                    "bucket"):
            os.mkdir(target)
            mount(source, target, flags=MS_BIND | MS_REC)
    write(os.path.join(root, "etc", "hosts"), "127.0.0.1 localhost\n")
    os.chroot(root)
    os.chdir("/")


def bring_loopback_up():
    up = 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", up))  # SIOCSIFFLAGS


def fill_pod(golden):
    """What the operator mounts, and a block that Prometheus has made."""
    write(CLIENT, "tls_config:\n  insecure_skip_verify: true\n")
    write("/config/bucket.yml", BUCKET)
    write("/config/tracing.yml", "type: OTLP\n")
    shutil.rmtree("/bucket", ignore_errors=True)
    shutil.rmtree("/prometheus", ignore_errors=True)
    os.mkdir("/bucket")
    shutil.copytree(golden, os.path.join("/prometheus", os.path.basename(golden)))


class Sidecar(Daemon):
    def __init__(self, program, arguments):
        environment = {"OBJSTORE_CONFIG": BUCKET, "TRACING_CONFIG": "type: OTLP\n"}
        for name, value in environment.items():  # as the kubelet does
            arguments = [one.replace(f"$({name})", value) for one in arguments]
        super().__init__(program, "sidecar", *arguments, environment=environment)
        self.port = 10902


def check_case(program, golden, case, tls):
    title, spec, arguments, inert = case
    print("==", title)
    fill_pod(golden)
    prometheus = FakePrometheus({"cluster": "eu1"}, port=9090,
                                prefix=spec.get("routePrefix", ""))
    if "web" in spec:
        prometheus.server.socket = tls.wrap_socket(prometheus.server.socket, server_side=True)
    try:
        with Sidecar(program, arguments) as sidecar:
            if any(one.startswith("--objstore") for one in arguments):
                meta = os.path.join("/bucket", os.path.basename(golden), "meta.json")
                wait_until("the block", lambda: os.path.exists(meta))
            assert sidecar.metric("thanos_sidecar_prometheus_up") == 1
    finally:
        prometheus.server.shutdown()
        prometheus.server.server_close()
    warning, = [line for line in sidecar.log_text().splitlines() if "without effect" in line]
    assert " ".join(inert) + '"' in warning or f"flags={inert[0]}" in warning, warning
    assert ("level=info" in sidecar.log_text()) == (spec.get("logLevel") is None and
                                                    "logFormat" not in spec["thanos"])


def inside(root, program, golden):
    bring_loopback_up()
    golden = sorted(glob.glob(os.path.join(golden, "xor", "0*")))[0]
    with tempfile.TemporaryDirectory() as directory:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate.make(directory, "localhost"))
    enter_pod(root)
    for case in CASES:
        check_case(program, golden, case, tls)


def main(program, golden):
    check_list()
    if not certificate.can_make():
        print("SKIP: no openssl to make certificates with")
        return SKIP
    unshare = ["unshare", "--mount", "--net"] + \
        ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        print("SKIP: no mounts and networks of one's own are allowed here")
        return SKIP
    with tempfile.TemporaryDirectory() as root:
        return subprocess.run([*unshare, sys.executable, "-B", os.path.abspath(__file__),
                               "--inside", root, os.path.abspath(program),
                               os.path.abspath(golden)], check=False).returncode


if sys.argv[1] == "--inside":
    inside(*sys.argv[2:])
else:
    sys.exit(main(*sys.argv[1:]))
