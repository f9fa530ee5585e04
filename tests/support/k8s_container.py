# SPDX-License-Identifier: Apache-2.0
"""Containers of rendered manifests (tests/e2e/k8s_manifests.mjs) as processes: volumes are
directories, ports of the loopback device take the place of hosts."""
import json
import os
import re
import subprocess

from daemon import Daemon, write


def read_containers(path):
    with open(path, encoding="utf-8") as file:
        return [Container(one) for one in json.load(file)]


class Container:
    def __init__(self, described):
        self.overlay, self.set = described["overlay"], described["set"]
        self.name, self.is_ours = described["name"], described["ours"]
        self.command, self.args = described["command"], described["args"]
        self.environment, self.mounts = described["env"], described["mounts"]

    def __str__(self):
        return f"{self.overlay}, {self.set}, {self.name}"

    def settle(self, directory, replaced, files=None):
        """Make the volumes below directory, which containers of a pod share. replaced: what
        takes the place of what, in arguments and files; files: other ones, by name."""
        for mount in self.mounts:
            # Those of charts are not rendered and have no name.
            place = os.path.join(directory, mount.get("volume") or mount["path"].strip("/"))
            os.makedirs(place, exist_ok=True)
            for name, text in (mount.get("files") or {}).items():
                write(os.path.join(place, name),
                      (files or {}).get(name) or exchange(text, replaced))
            self.args = [re.sub(rf"(^|=){re.escape(mount['path'])}(?=/|$)",
                                lambda found, place=place: found[1] + place, argument)
                         for argument in self.args]
        self.args = [exchange(argument, replaced) for argument in self.args]

    def daemon(self, programs, ready="/-/ready"):
        """Ours, as the entry of the image starts it; Kubernetes puts in variables."""
        arguments = [argument for argument in self.args
                     if not argument.startswith("--http-address=")]
        if arguments[0] == "store":  # no balancer has to look elsewhere
            arguments.append("--http-unready-delay=0s")
        return Daemon(os.path.join(programs, "blockhouse"),
                      *(expand(one, self.environment) for one in arguments),
                      "--http-address=127.0.0.1:{port}", ready=ready,
                      environment=self.environment)

    def run(self, **more):
        """To its end."""
        return subprocess.run([*self.command, *self.args], capture_output=True, text=True,
                              timeout=120, check=False,
                              env={**os.environ, **self.environment, **more})


def exchange(text, replaced):
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def expand(argument, environment):
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), argument)
