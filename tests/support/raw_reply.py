# SPDX-License-Identifier: Apache-2.0
"""HTTP answers byte for byte as they came, the end of the connection included."""


class RawReply:
    """An answer taken apart: status, headers, body, trailers. is_whole is false when it
    was cut: its last chunk, or bytes of its length, did not come."""

    def __init__(self, raw):
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if raw else 0
        self.headers = dict(line.split(": ", 1) for line in lines[1:])
        self.trailers, self.body = {}, rest
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.is_whole = self.take_chunks(rest)
        else:
            length = self.headers.get("Content-Length")
            self.is_whole = length is not None and len(rest) == int(length)

    def take_chunks(self, rest):
        pieces, at = [], 0
        while (end := rest.find(b"\r\n", at)) >= 0:
            size, at = int(rest[at:end], 16), end + 2
            if size == 0:
                break
            pieces.append(rest[at:at + size])
            at += size + 2
        self.body = b"".join(pieces)
        if end < 0 or not rest.endswith(b"\r\n", at):
            return False
        self.trailers = dict(line.split(": ", 1) for line in
                             rest[at:-2].decode().split("\r\n") if line)
        return True


def request(method, path, body=b"", headers=None):
    """The bytes of a request whose answer is the last on its connection."""
    fields = {"Host": "h", "Connection": "close", "Content-Length": len(body),
              **(headers or {})}
    return f"{method} {path} HTTP/1.1\r\n".encode() \
        + "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() \
        + b"\r\n" + body


def read_to_end(connection):
    """Whatever comes until the connection ends, in whichever way."""
    pieces = []
    try:
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)
