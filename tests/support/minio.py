# SPDX-License-Identifier: Apache-2.0
"""A MinIO with one bucket, in a directory of the caller's."""
import datetime
import hashlib
import hmac
import os
import subprocess
import urllib.parse

from daemon import free_port, wait_until

USER, SECRET, BUCKET = "blockhouse", "blockhouse-secret", "blocks"


class Minio:
    """Context manager."""

    def __init__(self, program, directory):
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.objects = directory / BUCKET  # each object is a directory there
        self.objects.mkdir(parents=True)
        self.command = [program, "server", "--quiet", "--address", self.address,
                        "--console-address", f"127.0.0.1:{free_port()}", directory]

    def __enter__(self):
        environment = {**os.environ, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET}
        self.process = subprocess.Popen(self.command, env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("MinIO", self.is_ready)
        return self

    def is_ready(self):
        return subprocess.run(
            ["curl", "-fs", "-o", os.devnull, f"http://{self.address}/minio/health/ready"],
            check=False).returncode == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def presigned(self, method, key):
        """A URL that anybody may use for an hour."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        query = urllib.parse.urlencode(sorted({
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{USER}/{scope}",
            "X-Amz-Date": now, "X-Amz-Expires": "3600",
            "X-Amz-SignedHeaders": "host"}.items()))
        canonical = f"{method}\n/{BUCKET}/{key}\n{query}\nhost:{self.address}\n\nhost\n" \
                    "UNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n" \
               + hashlib.sha256(canonical.encode()).hexdigest()
        secret = ("AWS4" + SECRET).encode()
        for part in scope.split("/"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return f"{self.url}/{BUCKET}/{key}?{query}&X-Amz-Signature={signature}"

    def config(self, more="", prefix="", endpoint=None):
        """Object-store YAML; more are lines of its config section."""
        return (f"type: S3\nprefix: '{prefix}'\nconfig:\n  bucket: {BUCKET}\n"
                f"  endpoint: {endpoint or self.address}\n  insecure: true\n"
                f"  region: us-east-1\n  access_key: {USER}\n  secret_key: {SECRET}\n" + more)
