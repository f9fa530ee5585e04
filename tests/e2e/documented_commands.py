#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every command in the README and in docs/, runbooks included, is run as it stands there,
beside a Prometheus and a MinIO at the addresses that the pages name; or it is known which
test runs it.

usage: documented_commands.py BIN-DIRECTORY PROMETHEUS MINIO    in a network of its own
"""
import fcntl
import os
import pathlib
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))

from daemon import wait_until, write  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
USER, SECRET = "blockhouse", "blockhouse-secret"

# What is not run here, by how it begins: who runs it.
ELSEWHERE = {
    "./demo.sh": "e2e/journey_*: the same parts and comparisons",
    "./test.sh": "runs this test",
    "tests/support/packages.sh": "the first step of ./test.sh",
    "cmake ": "the second step of ./test.sh",
    "kubectl ": "no cluster here; e2e/k8s_manifests checks what it would apply",
    "docker ": "no container engine here; e2e/k8s_manifests and e2e/image check what it builds",
    "$EDITOR ": "a person does",
    "journalctl ": "no systemd here; e2e/package starts what its units start",
    "systemctl ": "likewise",
}
# It asks for a block by its name, and there is none here.
OF_A_BLOCK = re.compile(r"\bULID\b")
# A command ends so that has nothing to tell while all is well.
QUIET = re.compile(r"""\| grep -E '[^']*code="5'$""")
# Programs that stay: started, waited for, and stopped at the end.
DAEMONS = {"sidecar": 10902, "store": 10912}
DAEMON = re.compile(r"^(?:\S*/)?blockhouse[ -](sidecar|store) ")

PROMETHEUS_YML = """
global: {scrape_interval: 1s, external_labels: {cluster: eu1}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["localhost:9090"]}]
"""


def fences(page, language):
    text = page.read_text(encoding="utf-8")
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        yield re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)


def commands(script):
    """Its lines, continued ones joined, without comments."""
    for line in script.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s+)#.*", "", line).strip()
        if line:
            yield line


def raise_loopback():
    """In a new network it is down."""
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh22x", b"lo", iff_up))


class World:
    """The working directory of somebody who reads the pages."""

    def __init__(self, directory, bin_directory, prometheus, minio):
        self.directory = pathlib.Path(directory)
        self.bin = pathlib.Path(bin_directory)
        self.processes = []
        self.is_up = {}
        (self.directory / "bucket" / "blocks").mkdir(parents=True)
        (self.directory / "build").mkdir()
        (self.directory / "build" / "release").symlink_to(self.bin)
        self.environment = {**os.environ, "MINIO_USER": USER, "MINIO_PASSWORD": SECRET,
                            "PATH": f"{self.bin}:{prometheus.parent}:{os.environ['PATH']}"}
        self.replaced = {"/path/to/prometheus/data": f"{self.directory}/data",
                         "/tmp/blockhouse-store": f"{self.directory}/store",
                         "/etc/blockhouse/bucket.yml": "bucket.yml",
                         "/var/lib/blockhouse": f"{self.directory}/store",
                         "http://STORE/": "http://localhost:10912/",
                         "http://STORE:10902/": "http://localhost:10912/",
                         "http://SIDECAR:10902/": "http://localhost:10902/",
                         "http://PROMETHEUS:9090/": "http://localhost:9090/"}
        self.write_bucket_yml()
        self.start([minio, "server", "--quiet", "--address", "localhost:9000",
                    self.directory / "bucket"],
                   {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET})
        config = write(f"{self.directory}/prometheus.yml", PROMETHEUS_YML)
        self.start([prometheus, f"--config.file={config}",
                    f"--storage.tsdb.path={self.directory}/data",
                    "--storage.tsdb.min-block-duration=2h",
                    "--storage.tsdb.max-block-duration=2h"], {})
        self.wait("MinIO", "http://localhost:9000/minio/health/ready")
        self.wait("Prometheus", "http://localhost:9090/-/ready")

    def write_bucket_yml(self):
        """As the README has it."""
        found = [text for text in fences(ROOT / "README.md", "yaml") if "type: S3" in text]
        assert len(found) == 1, "the README has one configuration of a bucket"
        write(f"{self.directory}/bucket.yml", found[0])

    def start(self, command, environment):
        name = pathlib.Path(shlex.split(command)[0] if isinstance(command, str)
                            else command[0]).name
        with open(self.directory / f"{len(self.processes)}.log", "wb") as log:
            self.processes.append((name, subprocess.Popen(
                command, shell=isinstance(command, str), cwd=self.directory, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**self.environment, **environment})))

    def logs(self):
        for number, (name, _) in enumerate(self.processes):
            log = (self.directory / f"{number}.log").read_text(errors="replace")
            yield f"--- {name}\n{log[-1500:]}"

    def wait(self, what, url):
        wait_until(what, lambda: subprocess.run(["curl", "-fs", "-o", os.devnull, url],
                                                check=False).returncode == 0, 30)

    def run(self, command):
        for placeholder, real in self.replaced.items():
            command = command.replace(placeholder, real)
        daemon = DAEMON.match(command)
        if daemon:
            self.start("exec " + command, {})
            self.wait(command, f"http://localhost:{DAEMONS[daemon[1]]}/-/ready")
            return
        begun = time.monotonic()
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command],
                              cwd=self.directory, env=self.environment, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if done.returncode != 0 and not (QUIET.search(command) and done.returncode == 1):
            raise AssertionError(
                f"status {done.returncode}: {command}\n"
                + (done.stdout[-1000:] + done.stderr[-1000:]).decode(errors="replace"))
        print(f"  {time.monotonic() - begun:5.1f} s  {command}")

    def stop(self):
        for _, process in reversed(self.processes):
            process.terminate()
            process.wait(40)


def main():
    bin_directory, prometheus, minio = (pathlib.Path(a).resolve() for a in sys.argv[1:])
    ran = elsewhere = 0
    raise_loopback()
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory, bin_directory, prometheus, minio)
        try:
            for page in PAGES:
                print(page.relative_to(ROOT))
                for command in (c for text in fences(page, "sh") for c in commands(text)):
                    reason = [why for how, why in ELSEWHERE.items() if command.startswith(how)]
                    if OF_A_BLOCK.search(command):
                        reason.append("e2e/bucket_tool asks for blocks by their names")
                    if reason:
                        elsewhere += 1
                        print(f"       -   {command}: {reason[0]}")
                    else:
                        world.run(command)
                        ran += 1
        except BaseException:
            print("\n".join(world.logs()))
            raise
        finally:
            world.stop()
    assert ran >= 15, f"only {ran} commands were found"
    print(f"ok: {ran} commands ran, {elsewhere} are run elsewhere")


if __name__ == "__main__":
    main()
