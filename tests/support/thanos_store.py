# SPDX-License-Identifier: Apache-2.0
"""Run a Thanos store over a bucket and ask its StoreAPI, gRPC by curl."""
import socket
import struct
import subprocess

from daemon import Daemon, free_port
from remote_read import MATCHER_TYPES, compile_messages

pb = compile_messages("thanos_store.proto")


class ThanosStore(Daemon):
    ready_s = 60

    def __init__(self, program, directory, config, *flags):
        """config: object-store YAML."""
        self.grpc = free_port()
        super().__init__(program, "store", f"--data-dir={directory}",
                         f"--grpc-address=127.0.0.1:{self.grpc}",
                         "--http-address=127.0.0.1:{port}",
                         f"--objstore.config={config}", *flags)

    def is_ready(self):
        """The StoreAPI listens only once its blocks are loaded."""
        try:
            socket.create_connection(("127.0.0.1", self.grpc)).close()
        except OSError:
            return False
        return super().is_ready()

    def series(self, matchers, begin, end, resolution, aggregates):
        """Labels -> chunks, all of them in the order of their times."""
        request = pb.SeriesRequest(
            min_time=begin, max_time=end, max_resolution_window=resolution,
            aggregates=[pb.Aggr.Value(name.upper()) for name in aggregates],
            matchers=[pb.LabelMatcher(type=MATCHER_TYPES[kind], name=name, value=value)
                      for name, kind, value in matchers])
        found = {}
        for message in self.call("Series", request.SerializeToString()):
            response = pb.SeriesResponse.FromString(message)
            assert not response.warning, response.warning
            for one in (*response.batch.series, *([response.series] if
                                                  response.HasField("series") else [])):
                labels = tuple((label.name, label.value) for label in one.labels)
                found.setdefault(labels, []).extend(one.chunks)
        for chunks in found.values():
            chunks.sort(key=lambda chunk: chunk.min_time)
        return found

    def call(self, method, message):
        done = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--noproxy", "*", "--data-binary", "@-",
             "-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-D", "/dev/stderr",
             f"http://127.0.0.1:{self.grpc}/thanos.Store/{method}"],
            input=struct.pack(">BI", 0, len(message)) + message, capture_output=True,
            check=True, timeout=120)
        assert b"grpc-status: 0" in done.stderr, done.stderr.decode(errors="replace")
        body, at = done.stdout, 0
        while at < len(body):
            is_compressed, size = struct.unpack_from(">BI", body, at)
            assert not is_compressed
            at += 5
            yield body[at:at + size]
            at += size
