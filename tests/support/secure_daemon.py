# SPDX-License-Identifier: Apache-2.0
"""A daemon under test that asks for TLS or passwords, and passwords for it."""
import base64
import http.client
import os
import ssl
import warnings

from daemon import Answer, Daemon

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt


def bcrypt(password, cost=4):
    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << cost))


def login(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def replace(path, text):
    """As editors and configuration managers do it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


def client_tls(ca, pair=None):
    """What a client goes by; pair is its own certificate and key."""
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    return context


class SecureDaemon(Daemon):
    """tls: an SSL context, None for plain HTTP; headers go with every request."""

    def __init__(self, *arguments, tls=None, headers=None, **named):
        super().__init__(*arguments, **named)
        self.tls, self.headers = tls, headers or {}

    def open(self, tls=None, timeout=30):
        context = tls or self.tls
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                           context=context)

    def ask(self, path, tls=None, headers=None, method="GET", body=None):
        connection = self.open(tls)
        try:
            connection.request(method, path, body=body,
                               headers=self.headers if headers is None else headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def request(self, method, path, body=None, headers=None, timeout=30):
        return self.ask(path, headers={**self.headers, **(headers or {})}, method=method,
                        body=body)
