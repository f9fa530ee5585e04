# SPDX-License-Identifier: Apache-2.0
"""A bucket on a server that verifies, and every way in which a program comes by the keys
to it."""
import os
import tempfile

from aws_metadata import ROLE, Metadata
from daemon import write
from s3_verifier import Verifier


def replace(path, text):
    """As operators and kubelets do."""
    write(path + ".new", text)
    os.rename(path + ".new", path)


class Account:
    """Context manager. environment and settings (lines of the S3 section) are for the
    program; each use_... adds one kind of credentials to them."""

    def __init__(self, certificate=None):
        self.directory = tempfile.TemporaryDirectory()
        self.verifier = Verifier(certificate)
        self.environment = {"HOME": self.path("")}
        self.settings = []
        self.metadata = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.verifier.close()
        if self.metadata:
            self.metadata.close()
        self.directory.cleanup()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def config_file(self):
        return write(self.path("bucket.yml"), self.verifier.yaml(*self.settings))

    def use_config(self):
        keys = "AKIACONFIG", "secret-of-config/+", "token-of-config//=="
        self.verifier.add_key(*keys)
        self.settings += [f"{name}: {value}" for name, value in
                          zip(("access_key", "secret_key", "session_token"), keys)]

    def use_environment(self):
        keys = "AKIAENVIRONMENT", "secret-of-environment/+", "token-of-environment//=="
        self.verifier.add_key(*keys)
        self.environment.update(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                     "AWS_SESSION_TOKEN"), keys))

    def use_file(self, number=0, access_key="AKIAFILE0", token=None):
        """Write other keys into the file. token: unless it is to change, too."""
        secret, token = f"secret-{number}/+", token or f"token-{number}//=="
        self.verifier.add_key(access_key, secret, token)
        replace(self.path(".aws/credentials"),
                "[other]\naws_access_key_id = no\n[default]\n"
                f"aws_access_key_id = {access_key}\n"
                f"aws_secret_access_key = {secret}\naws_session_token = {token}\n")

    # The others hand out keys that live for life_s. Where a token is shown for them, the
    # function that rotates it is returned; the one before it still holds.

    def use_web_identity(self, life_s):
        sts = self.metadata = Metadata(self.verifier, "sts", life_s)
        self.settings += [f"sts_endpoint: {sts.url}/"]
        self.environment.update(AWS_WEB_IDENTITY_TOKEN_FILE=self.path("token"),
                                AWS_ROLE_ARN=ROLE, AWS_ROLE_SESSION_NAME="rotation")
        return self.rotating("ey.identity{}.x-_/", "\n")

    def use_container(self, life_s):
        pod = self.metadata = Metadata(self.verifier, "pod", life_s)
        self.environment.update(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{pod.url}/v1/credentials",
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=self.path("token"))
        return self.rotating("Bearer-of-pod-{}")

    def use_instance(self, life_s, early_s):
        ec2 = self.metadata = Metadata(self.verifier, "ec2", life_s, early_s)
        self.environment.update(AWS_EC2_METADATA_SERVICE_ENDPOINT=ec2.url + "/")

    def rotating(self, token, end=""):
        def rotate(number):
            self.metadata.tokens = (*self.metadata.tokens[-1:], token.format(number))
            replace(self.path("token"), self.metadata.tokens[-1] + end)

        rotate(0)
        return rotate
