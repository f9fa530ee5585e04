# SPDX-License-Identifier: Apache-2.0
"""A client of Prometheus remote read that checks every byte of the protocol.

Ends the program with status 77 where Debian's protobuf or snappy module is missing."""
import importlib
import os
import subprocess
import sys
import tempfile

try:
    import google.protobuf  # noqa: F401 (only that it is there)
    import snappy
except ImportError as missing:
    print(f"SKIP: {missing}; packages python3-protobuf and python3-snappy have it")
    sys.exit(77)

from crc32c import crc32c

STREAMED_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
SAMPLED_TYPE = "application/x-protobuf"


def compile_messages():
    """Module with the messages of prometheus_remote.proto."""
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["protoc", f"--proto_path={here}", f"--python_out={directory}",
                        "prometheus_remote.proto"], check=True)
        sys.path.insert(0, directory)
        try:
            return importlib.import_module("prometheus_remote_pb2")
        finally:
            sys.path.remove(directory)


pb = compile_messages()
MATCHER_TYPES = {"=": pb.LabelMatcher.EQ, "!=": pb.LabelMatcher.NEQ,
                 "=~": pb.LabelMatcher.RE, "!~": pb.LabelMatcher.NRE}


def query(matchers, start_ms, end_ms):
    """matchers: (name, type, value) with type one of = != =~ !~."""
    return pb.Query(start_timestamp_ms=start_ms, end_timestamp_ms=end_ms, matchers=[
        pb.LabelMatcher(name=name, type=MATCHER_TYPES[kind], value=value)
        for name, kind, value in matchers])


def encode(queries, accepted):
    request = pb.ReadRequest(queries=queries, accepted_response_types=accepted)
    return snappy.compress(request.SerializeToString())


def post(daemon, body, agent="Prometheus/3.16.0", **more):
    return daemon.request("POST", "/api/v1/read", body=body, headers={
        "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
        "User-Agent": agent, "X-Prometheus-Remote-Read-Version": "0.1.0",
    }, **more)


def frames(body):
    """Split a streamed body: minimal uvarint length, BE32 CRC-32C, message."""
    at = 0
    while at < len(body):
        length, shift, begin = 0, 0, at
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at - begin == max(1, -(-length.bit_length() // 7)), "length is not minimal"
        stored = int.from_bytes(body[at:at + 4], "big")
        message = body[at + 4:at + 4 + length]
        assert len(message) == length > 0, "frame is cut or empty"
        assert crc32c(message) == stored, "checksum of a frame differs"
        at += 4 + length
        yield message


def read_streamed(daemon, queries):
    """[(query_index, labels, [(type, min, max, data)])] in the order of the answer."""
    return series_of(post_streamed(daemon, queries))


def post_streamed(daemon, queries):
    return post(daemon, encode(queries, [pb.ReadRequest.STREAMED_XOR_CHUNKS,
                                         pb.ReadRequest.SAMPLES]))


def series_of(answer):
    """What a streamed answer holds, as of read_streamed."""
    assert answer.status == 200, (answer.status, answer.text)
    assert answer.headers["Content-Type"] == STREAMED_TYPE, answer.headers
    assert answer.headers["Content-Encoding"] is None, answer.headers
    series = []
    for message in frames(answer.body):
        frame = pb.ChunkedReadResponse.FromString(message)
        # Nothing beyond the known fields, no other encoding of them.
        assert frame.SerializeToString(deterministic=True) == message
        assert len(frame.chunked_series) == 1, "a frame holds one series"
        one = frame.chunked_series[0]
        assert one.chunks, "a frame without chunks"
        series.append((frame.query_index, labels_of(one),
                       [(c.type, c.min_time_ms, c.max_time_ms, c.data) for c in one.chunks]))
    return series


def read_time_series(daemon, queries, accepted=(pb.ReadRequest.SAMPLES,)):
    """Per query the TimeSeries of a sampled answer."""
    answer = post(daemon, encode(queries, accepted))
    assert answer.status == 200, (answer.status, answer.text)
    assert answer.headers["Content-Type"] == SAMPLED_TYPE, answer.headers
    assert answer.headers["Content-Encoding"] == "snappy", answer.headers
    response = pb.ReadResponse.FromString(snappy.decompress(answer.body))
    return [list(result.timeseries) for result in response.results]


def read_sampled(daemon, queries, accepted=(pb.ReadRequest.SAMPLES,)):
    """Per query [(labels, [(ms, float)])]."""
    return [[(labels_of(series), [(s.timestamp, s.value) for s in series.samples])
             for series in result] for result in read_time_series(daemon, queries, accepted)]


def labels_of(series):
    return tuple((label.name, label.value) for label in series.labels)
