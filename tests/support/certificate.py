# SPDX-License-Identifier: Apache-2.0
"""Certificates that sign themselves, by way of openssl."""
import os
import shutil
import subprocess


def can_make():
    return shutil.which("openssl") is not None


def make(directory, name, file=None):
    """Paths of a certificate for a host, and of its key; file names them if not name."""
    key, cert = (os.path.join(directory, f"{file or name}.{end}") for end in ("key", "crt"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    return cert, key


class Authority:
    """Signs certificates for hosts and clients. Elliptic keys: those of RSA take long."""

    def __init__(self, directory, name="authority"):
        self.directory, self.count = directory, 0
        self.key, self.cert = self.paths(name)
        self.name = name
        run("req", "-x509", *NEW_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.key,
            "-out", self.cert)

    def paths(self, name):
        return [os.path.join(self.directory, f"{name}.{end}") for end in ("key", "crt")]

    def issue(self, name, sans, days=2):
        """Paths of a certificate and its key. sans as openssl has them: "DNS:a,IP:::1"."""
        self.count += 1
        key, cert = self.paths(f"{self.name}-{name}-{self.count}")
        with open(f"{cert}.ext", "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={sans}\nextendedKeyUsage=serverAuth,clientAuth\n")
        run("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", f"{cert}.csr")
        run("x509", "-req", "-in", f"{cert}.csr", "-CA", self.cert, "-CAkey", self.key,
            "-set_serial", str(self.count), "-days", str(days), "-extfile", f"{cert}.ext",
            "-out", cert)
        return cert, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def run(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)
