#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package holds what it should, and works: its programs run, its units pass
systemd's checks and their command lines start, and tell systemd so and when they stop.

usage: package.py <build directory>
"""
import glob
import gzip
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, free_port, write  # noqa: E402
from fake_prometheus import FakePrometheus  # noqa: E402
from shipping import LABELS  # noqa: E402

PROGRAMS = ("blockhouse", "blockhouse-bucket", "blockhouse-sidecar", "blockhouse-store")
PAGES = ("blockhouse-bucket.1", "blockhouse-objstore.5", "blockhouse-sidecar.1",
         "blockhouse-store.1", "blockhouse-web.5")
CONFIGURATION = {"/etc/blockhouse/bucket.yml", "/etc/blockhouse/sidecar.env",
                 "/etc/blockhouse/store.env"}
UNITS = ("blockhouse-sidecar.service", "blockhouse-store.service")
EXPOSURE = 20  # of 100, as systemd-analyze counts
NOTIFY_S = 20


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{' '.join(map(str, words))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def make(build, directory):
    run("cpack", "-B", directory, cwd=build)
    found = glob.glob(f"{directory}/*.deb")
    assert len(found) == 1, found
    return found[0]


def check_control(deb):
    fields = dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", deb).splitlines()
                  if re.match(r"[A-Z]", line))
    depends = {one.split()[0] for one in fields["Depends"].split(", ")}
    assert {"ca-certificates", "libcurl4", "libmicrohttpd12", "libssl3"} <= depends, depends
    assert fields["Package"] == "blockhouse" and fields["Section"] == "net", fields
    conffiles = run("dpkg-deb", "-I", deb, "conffiles").split()
    assert set(conffiles) == CONFIGURATION, conffiles
    for script in ("postinst", "prerm"):
        run("sh", "-n", input=run("dpkg-deb", "-I", deb, script))


def check_files(root):
    """What is there, and of whom it may be read."""
    found = {os.path.join(folder, name).removeprefix(root)
             for folder, _, names in os.walk(root) for name in names}
    wanted = {*CONFIGURATION, *(f"/usr/bin/{name}" for name in PROGRAMS),
              *(f"/usr/lib/systemd/system/{name}" for name in UNITS),
              *(f"/usr/share/man/man{name[-1]}/{name}.gz" for name in PAGES)}
    assert wanted <= found, wanted - found
    strange = [path for path in found - wanted
               if not path.startswith("/usr/share/doc/blockhouse/")]
    assert not strange, strange
    for path in found:
        mode = stat.S_IMODE(os.stat(root + path).st_mode)
        allowed = 0o600 if path in CONFIGURATION else \
            0o755 if path.startswith("/usr/bin/") else 0o644
        assert mode == allowed, f"{path}: {mode:o}"


def check_page(path, program):
    """A page that man finds by its name, with each flag of the program."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    name = os.path.basename(path).removesuffix(".gz")
    assert re.search(rf'^\.TH "{name[:-2]}" "{name[-1]}"', text, re.MULTILINE), text[:200]
    assert re.search(rf"^\.SH\nNAME\n\.LP\n{name[:-2]} - ", text, re.MULTILINE), text[:400]
    if name.endswith(".5"):
        return
    words = [program, "ls"] if "bucket" in name else [program]
    for flag in re.findall(r"^  (--[^\s=]+)", run(*words, "--help"), re.MULTILINE):
        assert flag in text, f"{name}: no {flag}"


def check_copyright(build, path):
    """Whose licences the programs are under depends on whether libs3 is in them."""
    with open(f"{build}/CMakeCache.txt", encoding="utf-8") as file:
        has_libs3 = "BLOCKHOUSE_LIBS3:BOOL=ON" in file.read()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert "Apache License" in text
    for word in ("GNU General Public License", "Bryan Ischo"):
        assert (word in text) == has_libs3, f"{word}: {has_libs3}"


def check_unit(root, name, directory):
    """As systemd sees it, with the program where it has been unpacked."""
    if shutil.which("systemd-analyze") is None:
        print("  no systemd-analyze: units are not verified")
        return
    with open(f"{root}/usr/lib/systemd/system/{name}", encoding="utf-8") as file:
        text = file.read().replace("/usr/bin/", f"{root}/usr/bin/")
    path = write(f"{directory}/units/{name}", text)
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", path], check=False,
                          capture_output=True, text=True).stderr
    assert name not in told, told
    run("systemd-analyze", "security", "--offline=true", "--no-pager",
        f"--threshold={EXPOSURE}", path)


class Manager:
    """systemd as a daemon sees it: a socket that is told what happens."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.socket.settimeout(NOTIFY_S)

    def expect(self, state):
        told = self.socket.recv(4096).decode()
        assert told == state, f"{told!r} instead of {state}"


def environment_of(root, unit):
    """{NAME: value} of the EnvironmentFile."""
    path = re.search(r"^EnvironmentFile=(.*)$", unit, re.MULTILINE)[1]
    with open(root + path, encoding="utf-8") as file:
        lines = [line for line in file if re.match(r"\w+=", line)]
    return {name: shlex.split(value)[0] for name, value in
            (line.strip().split("=", 1) for line in lines)}


def command_of(root, unit, variables):
    """ExecStart as systemd splits it: ${NAME} within words, $NAME into words."""
    words = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1].split()
    found = []
    for word in words:
        if re.fullmatch(r"\$\w+", word):
            found += variables[word[1:]].split()
        else:
            found.append(re.sub(r"\$\{(\w+)\}", lambda name: variables[name[1]], word))
    return [root + found[0], *found[1:]]


def start_unit(root, directory, name, address, prometheus):
    """Start what the unit starts, until it says that it is ready; then stop it."""
    with open(f"{root}/usr/lib/systemd/system/{name}", encoding="utf-8") as file:
        unit = file.read()
    assert "\nType=notify\n" in unit
    variables = {"CREDENTIALS_DIRECTORY": f"{directory}/credentials",
                 "STATE_DIRECTORY": f"{directory}/state", **environment_of(root, unit)}
    port = free_port()
    command = [re.sub(r"/var/lib/prometheus/metrics2", f"{directory}/data", word)
               .replace("http://localhost:9090", prometheus)
               for word in command_of(root, unit, variables)]
    command = [re.sub(r"(--http-address=127.0.0.1:)\d+", rf"\g<1>{port}", word)
               for word in command]
    manager = Manager(address)
    daemon = Daemon(*command, environment={"NOTIFY_SOCKET": address})
    daemon.port = port
    with daemon:
        manager.expect("READY=1")
        daemon.process.send_signal(signal.SIGTERM)
        manager.expect("STOPPING=1")
    assert "is not told" not in daemon.log_text(), daemon.log_text()


def check_unheard(program, directory):
    """A socket that is gone stops nothing."""
    with Daemon(program, "--http-address=127.0.0.1:{port}", f"--data-dir={directory}/state",
                f"--objstore.config={dir_bucket(directory + '/bucket')}",
                environment={"NOTIFY_SOCKET": f"{directory}/nobody"}) as store:
        assert "service manager is not told" in store.log_text()


def start_units(root, directory):
    for folder in ("data", "state", "bucket"):
        os.makedirs(f"{directory}/{folder}")
    write(f"{directory}/credentials/bucket.yml", dir_bucket(f"{directory}/bucket"))
    prometheus = FakePrometheus(LABELS).url
    start_unit(root, directory, UNITS[0], f"{directory}/notify", prometheus)
    start_unit(root, directory, UNITS[1], f"@blockhouse-{os.getpid()}", prometheus)
    check_unheard(f"{root}/usr/bin/blockhouse-store", directory)


def check_configuration_stays(build, directory):
    """A second installation leaves what was edited."""
    for _ in range(2):
        run("cmake", "--install", build, "--prefix", "/usr",
            env={**os.environ, "DESTDIR": f"{directory}/dest"})
        path = f"{directory}/dest/etc/blockhouse/bucket.yml"
        if os.path.getsize(path) > 10:
            write(path, "edited")
    with open(path, encoding="utf-8") as file:
        assert file.read() == "edited"


def main():
    build = os.path.abspath(sys.argv[1])
    if not glob.glob(f"{build}/deploy/*.gz"):
        print("SKIP: no manual pages were made; the package lowdown is needed")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="blockhouse-package-") as directory:
        deb, root = make(build, f"{directory}/made"), f"{directory}/root"
        run("dpkg-deb", "-x", deb, root)
        check_control(deb)
        check_files(root)
        check_copyright(build, f"{root}/usr/share/doc/blockhouse/copyright")
        for name in PROGRAMS:
            assert "version" in run(f"{root}/usr/bin/{name}", "--version"), name
        run(f"{root}/usr/bin/blockhouse", "store", "--version")
        for name in PAGES:
            check_page(f"{root}/usr/share/man/man{name[-1]}/{name}.gz",
                       f"{root}/usr/bin/{name[:-2]}")
        for name in UNITS:
            check_unit(root, name, directory)
        start_units(root, f"{directory}/run")
        check_configuration_stays(build, directory)
        print(json.dumps({"package": os.path.basename(deb), "bytes": os.path.getsize(deb)}))


if __name__ == "__main__":
    main()
