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
