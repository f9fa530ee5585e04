#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reloader of the sidecar beside a real Prometheus: ConfigMaps are swapped, rules come
and go, configurations are broken, variables missing. The regular look is an hour away, so
everything here is noticed by the kernel's notice or by trying again.

usage: sidecar_reloader.py <blockhouse-sidecar> <prometheus>
"""
import gzip
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, free_port, wait_until, write  # noqa: E402

SKIP = 77
PREFIX = "thanos_sidecar_reloader_"
SWAPS = 40
END = "# end\n"


class ConfigMap:
    """A directory as the kubelet mounts one: files are links through ..data, which is
    replaced by a rename."""

    counter = itertools.count()

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory)
        self.swap({})

    def swap(self, files):
        name = f"..2026_{next(self.counter)}"
        data = os.path.join(self.directory, "..data")
        old = os.readlink(data) if os.path.islink(data) else None
        os.makedirs(os.path.join(self.directory, name))
        for file, content in files.items():
            mode = "wb" if isinstance(content, bytes) else "w"
            with open(os.path.join(self.directory, name, file), mode) as out:
                out.write(content)
        os.symlink(name, data + "_tmp")
        os.rename(data + "_tmp", data)
        for file in os.listdir(self.directory):
            if not file.startswith("..") and file not in files:
                os.unlink(os.path.join(self.directory, file))
        for file in files:
            path = os.path.join(self.directory, file)
            if not os.path.islink(path):
                os.symlink(os.path.join("..data", file), path)
        if old is not None:
            shutil.rmtree(os.path.join(self.directory, old))


def rule(name):
    return f"groups:\n- name: {name}\n  rules:\n  - record: {name}\n    expr: vector(1)\n"


class World:
    def __init__(self, root):
        self.root = root
        self.data = os.path.join(root, "data")
        self.output = os.path.join(root, "out", "prometheus.yml")
        self.nested = os.path.join(root, "nested")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for path in (self.data, os.path.dirname(self.output), self.nested):
            os.makedirs(path)
        self.config = ConfigMap(os.path.join(root, "config"))
        self.rules = ConfigMap(os.path.join(root, "rules"))

    def text(self, marker="first", extra=""):
        return (f"global:\n  external_labels:\n    cluster: $(CLUSTER)\n    mark: {marker}\n"
                f"rule_files:\n- {self.root}/rules/*.yml\n- {self.nested}/team/*.yml\n"
                f"- {self.nested}/x/*.yml\n{extra}{END}")

    def set_config(self, *arguments):
        self.config.swap({"prometheus.yml": self.text(*arguments)})

    def set_raw(self, content):
        self.config.swap({"prometheus.yml": content})

    def sidecar(self, program, *flags, cluster="eu1"):
        return Daemon(program, "--http-address=127.0.0.1:{port}",
                      f"--tsdb.path={self.data}", f"--prometheus.url={self.url}",
                      f"--reloader.config-file={self.config.directory}/prometheus.yml",
                      f"--reloader.config-envsubst-file={self.output}",
                      f"--reloader.rule-dir={self.rules.directory}",
                      f"--reloader.rule-dir={self.nested}",
                      "--reloader.watch-interval=1h", "--reloader.retry-interval=200ms",
                      *flags, ready="/-/healthy", environment={"CLUSTER": cluster})


class Prometheus(Daemon):
    def __init__(self, program, world, *flags):
        super().__init__(program, f"--config.file={world.output}",
                         f"--storage.tsdb.path={world.data}",
                         f"--web.listen-address=127.0.0.1:{world.port}", *flags)
        self.port = world.port

    def api(self, path):
        return json.loads(self.request("GET", f"/api/v1/{path}").text)["data"]

    def rules(self):
        return {group["name"] for group in self.api("rules")["groups"]}

    def config(self):
        return self.api("status/config")["yaml"]


def metric(sidecar, name):
    return sidecar.metric(PREFIX + name)


def expect(sidecar, what, name, value):
    print("==", what)
    wait_until(f"{name} to be {value}: {what}", lambda: metric(sidecar, name) == value)


def expect_growth(sidecar, name, by=1):
    before = metric(sidecar, name)
    wait_until(f"{name} to grow", lambda: metric(sidecar, name) >= before + by)


def expect_log(sidecar, *parts):
    wait_until(f"a line with {parts}", lambda: any(
        all(part in line for part in parts) for line in sidecar.log_text().splitlines()))


def expect_rules(prometheus, *names):
    wait_until(f"rules {names}", lambda: prometheus.rules() == set(names))


def output_of(world):
    with open(world.output, encoding="utf-8") as file:
        return file.read()


def check_start(world, sidecar):
    """Before there is a Prometheus."""
    wait_until("the output", lambda: os.path.exists(world.output))
    assert "cluster: eu1\n" in output_of(world), output_of(world)
    mode = stat.S_IMODE(os.stat(world.output).st_mode)
    assert mode == 0o644, oct(mode)
    expect_growth(sidecar, "reloads_failed_total")
    assert metric(sidecar, "last_reload_successful") == 0
    expect_log(sidecar, "level=warn", "prometheus has not reloaded")
    info = sidecar.request("GET", "/metrics").text
    assert PREFIX + 'info{method="http"} 1\n' in info


def check_rules(world, prometheus, sidecar):
    expect(sidecar, "Prometheus is there", "last_reload_successful", 1)
    wait_until("its time", lambda: metric(sidecar, "last_reload_success_timestamp_seconds") > 0)
    world.rules.swap({"a.yml": rule("first")})
    expect_rules(prometheus, "first")
    world.rules.swap({"a.yml": rule("second"), "b.yml": rule("third")})
    expect_rules(prometheus, "second", "third")
    write(os.path.join(world.nested, "team", "a.yml"), rule("nested"))
    expect_rules(prometheus, "second", "third", "nested")
    watches = metric(sidecar, "watches")
    assert watches >= 4, watches
    write(os.path.join(world.nested, "team", "b.yml"), rule("later"))
    expect_rules(prometheus, "second", "third", "nested", "later")
    shutil.rmtree(os.path.join(world.nested, "team"))
    expect_rules(prometheus, "second", "third")
    wait_until("one directory less", lambda: metric(sidecar, "watches") == watches - 1)
    assert metric(sidecar, "watch_events_total") > 0
    assert metric(sidecar, "watch_errors_total") == 0


def check_unchanged(world, prometheus, sidecar):
    """A swap to the same files is no reason to reload."""
    reloads, passes = (metric(sidecar, name) for name in ("reloads_total",
                                                          "config_apply_operations_total"))
    world.set_config()
    wait_until("another look", lambda: metric(sidecar, "config_apply_operations_total") > passes)
    write(os.path.join(world.nested, "x", "empty.yml"), "groups: []\n")
    wait_until("the next reload", lambda: metric(sidecar, "reloads_total") > reloads)
    assert metric(sidecar, "reloads_total") == reloads + 1
    assert prometheus.rules() == {"second", "third"}


def check_broken(world, prometheus, sidecar):
    world.set_config("broken", "no_such_section: {}\n")
    expect(sidecar, "the configuration is broken", "last_reload_successful", 0)
    expect_log(sidecar, "level=error", "prometheus has not reloaded", "status 500",
               "failed to reload config")
    assert "mark: first" in prometheus.config() and prometheus.rules() == {"second", "third"}
    expect_growth(sidecar, "reloads_failed_total", by=2)
    world.set_config("mended")
    expect(sidecar, "it is mended", "last_reload_successful", 1)
    assert "mark: mended" in prometheus.config()
    world.rules.swap({"a.yml": "groups: what?\n"})
    expect(sidecar, "a rule is broken", "last_reload_successful", 0)
    assert prometheus.rules() == {"second", "third"}
    world.rules.swap({"a.yml": rule("second")})
    expect(sidecar, "the rule is mended", "last_reload_successful", 1)
    expect_rules(prometheus, "second")


def check_variables(world, sidecar):
    before, failed = output_of(world), metric(sidecar, "config_apply_operations_failed_total")
    world.set_config("$(NOBODY_SET_THIS)")
    expect(sidecar, "a variable is not set", "config_environment_variable_expansion_errors", 1)
    expect_log(sidecar, "level=error", "cannot apply configuration", "NOBODY_SET_THIS")
    assert metric(sidecar, "config_apply_operations_failed_total") > failed
    assert output_of(world) == before
    world.set_config("known")
    expect(sidecar, "none is missing", "config_environment_variable_expansion_errors", 0)


def check_odd_files(world, prometheus, sidecar):
    """Compressed, tiny, and gone."""
    for content in (b"", b"x", b"\x1f\x8b"):
        passes = metric(sidecar, "config_apply_operations_total")
        world.set_raw(content)
        wait_until("a look", lambda n=passes: metric(sidecar, "config_apply_operations_total") > n)
    world.set_raw(gzip.compress(world.text("compressed").encode()))
    wait_until("the compressed configuration", lambda: "mark: compressed" in prometheus.config())
    world.set_raw(gzip.compress(world.text("cut").encode())[:-9])
    expect_log(sidecar, "cannot apply configuration", "gzip is cut")
    os.rename(world.nested, world.nested + ".away")
    world.set_config("again")
    expect_log(sidecar, "cannot apply configuration", world.nested)
    os.rename(world.nested + ".away", world.nested)
    wait_until("the next configuration", lambda: "mark: again" in prometheus.config())
    expect(sidecar, "all is well again", "last_reload_successful", 1)


def check_atomic(world, prometheus, sidecar):
    """Whoever reads the output sees a whole configuration."""
    stop, torn = threading.Event(), []

    def read():
        while not stop.is_set():
            if not output_of(world).endswith(END):
                torn.append(output_of(world))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(SWAPS):
        passes = metric(sidecar, "config_apply_operations_total")
        world.set_config(f"swap{i}")
        if i % 4 == 3:
            wait_until("a look", lambda n=passes:
                       metric(sidecar, "config_apply_operations_total") > n)
    wait_until("the last swap", lambda: f"mark: swap{SWAPS - 1}" in prometheus.config())
    stop.set()
    reader.join()
    assert not torn, torn[0]
    expect(sidecar, f"{SWAPS} swaps later", "last_reload_successful", 1)


def check_signal(world, program, prometheus_program):
    """The executable has a name of its own: another Prometheus may run here."""
    name = f"prom-{world.port}"
    link = os.path.join(world.root, name)
    os.symlink(shutil.which(prometheus_program), link)
    world.set_config("signal")
    with world.sidecar(program, "--reloader.method=signal",
                       f"--reloader.process-name={name}") as sidecar:
        expect_growth(sidecar, "reloads_failed_total")
        with Prometheus(link, world) as prometheus:
            expect(sidecar, "Prometheus has got a signal", "last_reload_successful", 1)
            world.rules.swap({"a.yml": rule("signalled")})
            expect_rules(prometheus, "signalled")
            world.rules.swap({"a.yml": "groups: what?\n"})
            expect(sidecar, "a rule is broken", "last_reload_successful", 0)
            expect_log(sidecar, "level=error", "prometheus has refused")
            world.rules.swap({"a.yml": rule("mended")})
            expect_rules(prometheus, "mended")
            expect(sidecar, "the rule is mended", "last_reload_successful", 1)
    with Prometheus(link, world), world.sidecar(
            program, "--reloader.method=signal",
            f"--reloader.process-name=no-{name}") as sidecar:
        expect_log(sidecar, "level=error", f"no process is called \\\"no-{name}\\\"")


def check_refusal(world, program, prometheus_program):
    """What to do is said where Prometheus may not be told."""
    with Prometheus(prometheus_program, world), world.sidecar(program) as sidecar:
        expect_log(sidecar, "level=error", "--web.enable-lifecycle", "--reloader.method=signal")


def check_once(world, program):
    """As an init container."""
    def run(**environment):
        return subprocess.run(
            [program, f"--reloader.config-file={world.config.directory}/prometheus.yml",
             f"--reloader.config-envsubst-file={world.output}", "--reloader.watch-interval=0"],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=30,
            check=False)

    os.unlink(world.output)
    ended = run()
    assert ended.returncode == 1 and "CLUSTER" in ended.stderr, ended
    assert not os.path.exists(world.output)
    ended = run(CLUSTER="init")
    assert ended.returncode == 0, ended
    assert "cluster: init\n" in output_of(world)


def main(program, prometheus_program):
    if shutil.which(prometheus_program) is None:
        print(f"SKIP: no {prometheus_program}")
        return SKIP
    with tempfile.TemporaryDirectory() as root:
        world = World(root)
        world.set_config()
        with world.sidecar(program) as sidecar:
            check_start(world, sidecar)
            with Prometheus(prometheus_program, world, "--web.enable-lifecycle") as prometheus:
                check_rules(world, prometheus, sidecar)
                check_unchanged(world, prometheus, sidecar)
                check_broken(world, prometheus, sidecar)
                check_variables(world, sidecar)
                check_odd_files(world, prometheus, sidecar)
                check_atomic(world, prometheus, sidecar)
        check_signal(world, program, prometheus_program)
        check_refusal(world, program, prometheus_program)
        check_once(world, program)
    print("passed")
    return 0


sys.exit(main(*sys.argv[1:]))
