# SPDX-License-Identifier: Apache-2.0
"""What AWS hands out keys by: STS for a web identity, the endpoint of a container of ECS
or EKS, the metadata service of an EC2 instance. The keys live for seconds and are known
to a verifier."""
import json
import math
import threading
import urllib.parse

from s3_verifier import Plain, Server, iso

ROLE = "arn:aws:iam::123456789012:role/blocks"
ROLE_NAME = "blocks+role@test"
ROLES = "/latest/meta-data/iam/security-credentials/"


class Metadata:
    """One of them all. asked counts requests; one of tokens has to be shown.

    early_s: a metadata service gives the same keys until so long before their end, as
    AWS does; None: each request gets others, as from STS."""

    def __init__(self, verifier, name, life_s, early_s=None):
        self.verifier = verifier
        self.name = name
        self.life_s, self.early_s = life_s, early_s
        self.lock = threading.Lock()
        self.asked = 0
        self.issued = []
        self.tokens = ()
        self.session = f"session-of-{name}"
        self.only_v1 = False
        self.is_down = False
        self.server = Server(Handler, self)
        self.url = f"http://{self.server.endpoint}"

    def close(self):
        self.server.close()

    def now(self):
        return self.verifier.now()

    def keys(self):
        """Those that hold now, with a time in whole seconds at which they end."""
        with self.lock:
            if self.issued and self.early_s is not None and \
                    self.now() < self.issued[-1][3] - self.early_s:
                return self.issued[-1]
            number = len(self.issued) + 1
            keys = (f"AKIA{self.name.upper()}{number}", f"secret-{self.name}-{number}/+",
                    f"token-{self.name}-{number}//+==",
                    math.floor(self.now() + self.life_s))
            self.issued.append(keys)
            self.verifier.add_key(*keys)
            return keys


class Handler(Plain):
    def do_any(self):
        owner = self.server.owner
        body = self.body()
        with owner.lock:
            owner.asked += 1
        if owner.is_down:
            self.close_connection = True
        elif self.command == "POST":
            self.assume_role(body.decode())
        elif self.path.startswith("/latest/"):
            self.metadata()
        else:
            self.container()

    do_GET = do_PUT = do_POST = do_any

    def say(self, status, text, kind="text/plain"):
        self.answer(status, text.encode(), {"Content-Type": kind})

    def assume_role(self, form):
        form = {name: values[0] for name, values in urllib.parse.parse_qs(form).items()}
        if form.get("WebIdentityToken") not in self.server.owner.tokens:
            return self.say(400, "<ErrorResponse><Error><Type>Sender</Type><Code>"
                            "ExpiredTokenException</Code><Message>Token "
                            f"{form.get('WebIdentityToken')} has expired</Message></Error>"
                            "</ErrorResponse>", "text/xml")
        if (form["Action"], form["RoleArn"]) != ("AssumeRoleWithWebIdentity", ROLE) or \
                not form["RoleSessionName"]:
            return self.say(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error>"
                            "</ErrorResponse>", "text/xml")
        access_key, secret, token, end = self.server.owner.keys()
        return self.say(200, "<AssumeRoleWithWebIdentityResponse "
                        'xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                        "<AssumeRoleWithWebIdentityResult><Credentials>"
                        f"<AccessKeyId>{access_key}</AccessKeyId>"
                        f"<SecretAccessKey>{secret}</SecretAccessKey>"
                        f"<SessionToken>{token}</SessionToken>"
                        f"<Expiration>{iso(end)}</Expiration></Credentials>"
                        "</AssumeRoleWithWebIdentityResult>"
                        "</AssumeRoleWithWebIdentityResponse>", "text/xml")

    def say_keys(self, **more):
        access_key, secret, token, end = self.server.owner.keys()
        self.say(200, json.dumps({"AccessKeyId": access_key, "SecretAccessKey": secret,
                                  "Token": token, "Expiration": iso(end), **more}),
                 "application/json")

    def container(self):
        if self.path != "/v1/credentials" or \
                self.headers.get("authorization") not in self.server.owner.tokens:
            return self.say(401, "Unauthorized: " + str(self.headers.get("authorization")))
        return self.say_keys(RoleArn=ROLE)

    def metadata(self):
        owner = self.server.owner
        if self.path == "/latest/api/token":
            if owner.only_v1:
                return self.say(404, "")
            if self.command != "PUT" or \
                    not self.headers.get("x-aws-ec2-metadata-token-ttl-seconds"):
                return self.say(400, "")
            return self.say(200, owner.session)
        if not owner.only_v1 and \
                self.headers.get("x-aws-ec2-metadata-token") != owner.session:
            return self.say(401, "")
        if self.path == ROLES:
            return self.say(200, ROLE_NAME)
        if self.path == ROLES + urllib.parse.quote(ROLE_NAME):
            return self.say_keys(Code="Success", Type="AWS-HMAC")
        return self.say(404, "")
