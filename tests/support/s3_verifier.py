# SPDX-License-Identifier: Apache-2.0
"""An S3 server in memory that verifies Signature Version 4 by itself: what was signed is
put together from the bytes of the request. It knows many keys, each with an end of its
own, counts who asked for what, and answers what AWS answers when it refuses.

It holds one bucket, addressed by path."""
import base64
import collections
import datetime
import email.utils
import functools
import hashlib
import hmac
import http.server
import itertools
import ssl
import sys
import threading
import time
import urllib.parse
import xml.sax.saxutils

from crc32c import crc32c

REGION = "us-east-1"
BUCKET = "blocks"
MAX_SKEW_S = 15 * 60
STREAMED, UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "UNSIGNED-PAYLOAD"
SECRET_HEADERS = ("authorization", "x-amz-security-token",
                  "x-amz-server-side-encryption-customer-key")


@functools.lru_cache(maxsize=64)
def checksum(data):
    """Remembered, because Python takes half a second for some MiB."""
    return base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()


def iso(seconds):
    return datetime.datetime.fromtimestamp(
        seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def escape(text):
    return xml.sax.saxutils.escape(text)


class Refused(Exception):
    def __init__(self, status, code, text, **elements):
        super().__init__(code)
        self.status, self.code, self.text, self.elements = status, code, text, elements


Key = collections.namedtuple("Key", "secret token end")
Stored = collections.namedtuple("Stored", "data etag checksum mtime")


class Verifier:
    """Keys may be added and revoked at any time; objects is {key: Stored}."""

    def __init__(self, certificate=None):
        self.lock = threading.Lock()
        self.keys = {}
        self.accepted = collections.Counter()  # by access key
        self.refused = collections.Counter()   # by the code of the answer
        self.shown = set()                     # values of SECRET_HEADERS
        self.log = collections.deque(maxlen=20)  # of refusals, to explain a failure
        self.ahead_s = 0
        self.objects = {}
        self.uploads = {}
        self.numbers = itertools.count(1)
        self.server = Server(Handler, self, certificate)
        self.endpoint = self.server.endpoint

    def close(self):
        self.server.close()

    def now(self):
        return time.time() + self.ahead_s

    def add_key(self, access_key, secret, token="", end=None):
        """end: by now(); without, the key holds until it is revoked."""
        self.keys[access_key] = Key(secret, token, end)

    def revoke(self, access_key):
        del self.keys[access_key]

    def yaml(self, *lines):
        """The configuration of the bucket, without keys."""
        return "\n".join(["type: S3", "config:", f"  bucket: {BUCKET}",
                          f"  endpoint: {self.endpoint}", f"  region: {REGION}",
                          f"  insecure: {'false' if self.server.context else 'true'}",
                          *(f"  {line}" for line in lines), ""])


class Server(http.server.ThreadingHTTPServer):
    """Serves owner by handler, in threads, on a free port of this machine."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler, owner, certificate=None):
        super().__init__(("127.0.0.1", 0), handler)
        self.owner = owner
        # By the name that the certificate has to be for.
        self.endpoint = f"{'localhost' if certificate else '127.0.0.1'}:{self.server_port}"
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def finish_request(self, request, client_address):
        """In the thread of the connection, which a handshake may keep waiting."""
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        """Says what is wrong here; a client that has gone away is not."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self):
        self.shutdown()
        self.server_close()


class Plain(http.server.BaseHTTPRequestHandler):
    """Keeps connections, answers in one piece, logs nothing."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.server.owner.now(), usegmt=True)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, body=b"", headers=()):
        headers = dict(headers)
        self.send_response(status)
        if status != 204:
            headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


class Handler(Plain):
    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_any(self):
        owner = self.server.owner
        # What holds when a request arrives holds for it, however long its body takes.
        self.keys, self.arrived = dict(owner.keys), owner.now()
        raw = self.body()
        try:
            # self.path is no longer what came: slashes at its begin are put together.
            owner.shown.update(self.headers[name] for name in SECRET_HEADERS
                               if name in self.headers)
            self.target, _, self.query = self.requestline.split(" ")[1].partition("?")
            access_key = self.verify(raw)
            data = self.content(raw)
            with owner.lock:
                owner.accepted[access_key] += 1
            self.answer(*self.perform(data))
        except Refused as refusal:
            with owner.lock:
                owner.refused[refusal.code] += 1
                owner.log.append(f"{self.requestline}: {refusal.code}: {refusal.text}")
            self.refuse(refusal)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def refuse(self, refusal):
        elements = "".join(f"<{name.replace('_', '-')}>{escape(value)}"
                           f"</{name.replace('_', '-')}>"
                           for name, value in refusal.elements.items())
        body = ('<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
                f"<Code>{refusal.code}</Code><Message>{escape(refusal.text)}</Message>"
                f"{elements}<RequestId>R{next(self.server.owner.numbers)}</RequestId>"
                "</Error>").encode()
        headers = {"Content-Type": "application/xml"}
        if self.command == "HEAD":
            headers["Content-Length"] = "0"
        self.answer(refusal.status, body, headers)

    # Who asks.

    def verify(self, raw):
        """The access key of a request that its owner has signed, now and as it came."""
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        if scheme != "AWS4-HMAC-SHA256" or \
                set(parts) != {"Credential", "SignedHeaders", "Signature"}:
            raise Refused(403, "AccessDenied", "Anonymous access is forbidden.")
        access_key, scope = parts["Credential"].split("/", 1)
        key = self.find_key(access_key)
        self.check_clock()
        self.check_signature(key, access_key, scope, parts)
        self.check_payload_hash(raw)
        return access_key

    def find_key(self, access_key):
        token = self.headers.get("x-amz-security-token", "")
        key = self.keys.get(access_key)
        if key is None:
            raise Refused(403, "InvalidAccessKeyId",
                          "The AWS Access Key Id you provided does not exist in our "
                          "records.", AWSAccessKeyId=access_key)
        if not hmac.compare_digest(key.token, token):
            raise Refused(400, "InvalidToken",
                          "The provided token is malformed or otherwise invalid.",
                          Token_0=token)
        if key.end is not None and self.arrived >= key.end:
            raise Refused(400, "ExpiredToken", "The provided token has expired.",
                          Token_0=token)
        return key

    def check_clock(self):
        sent = datetime.datetime.strptime(self.headers.get("x-amz-date", ""),
                                          "%Y%m%dT%H%M%SZ")
        sent = sent.replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(self.arrived - sent) > MAX_SKEW_S:
            raise Refused(403, "RequestTimeTooSkewed",
                          "The difference between the request time and the current "
                          "time is too large.", ServerTime=iso(self.arrived))

    def check_signature(self, key, access_key, scope, parts):
        day, region, service, end = scope.split("/")
        date = self.headers["x-amz-date"]
        signed = parts["SignedHeaders"].split(";")
        unsigned = [name.lower() for name in self.headers
                    if name.lower().startswith("x-amz-") and name.lower() not in signed]
        if unsigned or "host" not in signed:
            raise Refused(403, "AccessDenied", "There were headers present in the "
                          "request which were not signed", HeadersNotSigned=str(unsigned))
        if (region, service, end) != (REGION, "s3", "aws4_request") or \
                not date.startswith(day):
            raise Refused(400, "AuthorizationHeaderMalformed",
                          f"the scope {scope} is wrong; expecting '{REGION}'",
                          Region=REGION)
        canonical = self.canonical(signed)
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope,
                          hashlib.sha256(canonical).hexdigest()])
        digest = ("AWS4" + key.secret).encode()
        for step in day, region, service, end, text:
            digest = hmac.digest(digest, step.encode(), "sha256")
        if not hmac.compare_digest(digest.hex(), parts["Signature"]):
            raise Refused(403, "SignatureDoesNotMatch",
                          "The request signature we calculated does not match the "
                          "signature you provided. Check your key and signing method.",
                          AWSAccessKeyId=access_key, StringToSign=text,
                          SignatureProvided=parts["Signature"],
                          CanonicalRequest=canonical.decode())

    def canonical(self, signed):
        """The canonical request; encoded anew, so that its rules are ours."""
        def encode(text, safe):
            return urllib.parse.quote(urllib.parse.unquote_to_bytes(text), safe=safe)

        pairs = sorted(tuple(encode(half, "-_.~") for half in pair.partition("=")[::2])
                       for pair in self.query.split("&") if pair)
        headers = "".join(
            f"{name}:{','.join(' '.join(v.split()) for v in self.headers.get_all(name, []))}\n"
            for name in signed)
        return "\n".join([self.command, encode(self.target, "/-_.~"),
                          "&".join(f"{name}={value}" for name, value in pairs),
                          headers, ";".join(signed),
                          self.headers["x-amz-content-sha256"]]).encode()

    def check_payload_hash(self, raw):
        announced = self.headers["x-amz-content-sha256"]
        if announced not in (STREAMED, UNSIGNED) and \
                announced != hashlib.sha256(raw).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "The provided "
                          "'x-amz-content-sha256' header does not match what was computed.")

    # What is sent along.

    def content(self, raw):
        """The object in the body, which has to be what each checksum says."""
        trailer = {}
        if self.headers["x-amz-content-sha256"] == STREAMED:
            raw, trailer = self.unwrap(raw)
        md5 = self.headers.get("content-md5")
        if md5 and md5 != base64.b64encode(hashlib.md5(raw).digest()).decode():
            raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match.")
        self.checksum = trailer.get("x-amz-checksum-crc32c",
                                    self.headers.get("x-amz-checksum-crc32c"))
        if self.checksum and self.checksum != checksum(raw):
            raise Refused(400, "BadDigest", "The CRC32C you specified did not match.")
        return raw

    def unwrap(self, raw):
        """Chunks and trailer of aws-chunked."""
        data, at = bytearray(), 0
        while True:
            end = raw.index(b"\r\n", at)
            size, at = int(raw[at:end], 16), end + 2
            if size == 0:
                break
            data += raw[at:at + size]
            if raw[at + size:at + size + 2] != b"\r\n":
                raise Refused(400, "IncompleteBody", "A chunk does not end.")
            at += size + 2
        lines = raw[at:].decode().split("\r\n")
        trailer = dict(line.split(":", 1) for line in lines if line)
        if list(trailer) != [self.headers["x-amz-trailer"]] or lines[-2:] != ["", ""] or \
                len(data) != int(self.headers["x-amz-decoded-content-length"]):
            raise Refused(400, "MalformedTrailerError", "The trailer is not as announced.")
        return bytes(data), trailer

    # What is asked for; each returns the arguments of answer.

    def perform(self, data):
        query = {name: values[0] for name, values in urllib.parse.parse_qs(
            self.query, keep_blank_values=True).items()}
        bucket, _, key = urllib.parse.unquote(self.target)[1:].partition("/")
        if bucket != BUCKET:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        with self.server.owner.lock:
            if not key:
                return self.of_bucket(query)
            if "uploads" in query or "uploadId" in query:
                return self.of_upload(key, query, data)
            return getattr(self, "object_" + self.command.lower())(key, data)

    def xml(self, name, content):
        return 200, (f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{content}'
                     f"</{name}>").encode(), {"Content-Type": "application/xml"}

    def of_bucket(self, query):
        if "location" in query:
            return self.xml("LocationConstraint", "")
        if "uploads" in query:
            return self.xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>"
                            + "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{number}"
                                      "</UploadId></Upload>" for number, (key, _)
                                      in self.server.owner.uploads.items()))
        v2 = query.get("list-type") == "2"
        after = query.get("continuation-token" if v2 else "marker", "")
        keys = sorted(key for key in self.server.owner.objects
                      if key.startswith(query.get("prefix", "")) and key > after)
        page = keys[:int(query.get("max-keys", "1000"))]
        content = f"<IsTruncated>{str(page != keys).lower()}</IsTruncated>"
        if page != keys:
            name = "NextContinuationToken" if v2 else "NextMarker"
            content += f"<{name}>{escape(page[-1])}</{name}>"
        for key in page:
            stored = self.server.owner.objects[key]
            content += (f"<Contents><Key>{urllib.parse.quote(key)}</Key>"
                        f"<LastModified>{iso(stored.mtime)}</LastModified>"
                        f"<ETag>{escape(stored.etag)}</ETag>"
                        f"<Size>{len(stored.data)}</Size></Contents>")
        return self.xml("ListBucketResult", content)

    def stored_as(self, stored):
        headers = {"ETag": stored.etag}
        name = "x-amz-server-side-encryption-customer-algorithm"
        if name in self.headers:
            headers[name] = self.headers[name]
        if stored.checksum:
            headers["x-amz-checksum-crc32c"] = stored.checksum
        return headers

    def keep(self, data):
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return Stored(data, etag, self.checksum, self.server.owner.now())

    def object_put(self, key, data):
        if self.headers.get("if-none-match") == "*" and key in self.server.owner.objects:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions "
                          "you specified did not hold")
        stored = self.server.owner.objects[key] = self.keep(data)
        return 200, b"", self.stored_as(stored)

    def find(self, key):
        if key not in self.server.owner.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        stored = self.server.owner.objects[key]
        headers = self.stored_as(stored)
        headers["Last-Modified"] = email.utils.formatdate(stored.mtime, usegmt=True)
        return stored, headers

    def object_head(self, key, _):
        stored, headers = self.find(key)
        return 200, b"", {**headers, "Content-Length": str(len(stored.data))}

    def object_get(self, key, _):
        stored, headers = self.find(key)
        if "range" not in self.headers:
            return 200, stored.data, headers
        first, last = map(int, self.headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, len(stored.data) - 1)
        if first > last:
            raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(stored.data)}"
        del headers["ETag"]
        return 206, stored.data[first:last + 1], {**headers, "ETag": stored.etag}

    def object_delete(self, key, _):
        self.server.owner.objects.pop(key, None)
        return 204, b""

    def of_upload(self, key, query, data):
        owner = self.server.owner
        if "uploads" in query:
            upload = f"upload-{next(owner.numbers)}"
            owner.uploads[upload] = key, {}
            return self.xml("InitiateMultipartUploadResult",
                            f"<UploadId>{upload}</UploadId>")
        if owner.uploads.get(query["uploadId"], (None,))[0] != key:
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        parts = owner.uploads[query["uploadId"]][1]
        if self.command == "PUT":
            part = parts[int(query["partNumber"])] = self.keep(data)
            return 200, b"", self.stored_as(part)
        del owner.uploads[query["uploadId"]]
        if self.command == "DELETE":
            return 204, b""
        return self.complete(key, [parts[number] for number in sorted(parts)])

    def complete(self, key, parts):
        def of_all(texts, decode):
            return b"".join(decode(text) for text in texts)

        etag = hashlib.md5(of_all((part.etag.strip('"') for part in parts), bytes.fromhex))
        self.checksum = None
        if all(part.checksum for part in parts):
            self.checksum = checksum(of_all((part.checksum for part in parts),
                                          base64.b64decode)) + f"-{len(parts)}"
        stored = self.keep(b"".join(part.data for part in parts))._replace(
            etag=f'"{etag.hexdigest()}-{len(parts)}"')
        self.server.owner.objects[key] = stored
        said = f"<ETag>{escape(stored.etag)}</ETag>"
        if self.checksum:
            said += f"<ChecksumCRC32C>{self.checksum}</ChecksumCRC32C>"
        return self.xml("CompleteMultipartUploadResult", said)
