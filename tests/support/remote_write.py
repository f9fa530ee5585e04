# SPDX-License-Identifier: Apache-2.0
"""Fill a Prometheus by remote write 2.0: floats and native histograms, with start times."""
import struct

import snappy
from remote_read import compile_messages

pb = compile_messages("prometheus_write.proto")
HEADERS = {"Content-Encoding": "snappy", "User-Agent": "blockhouse-tests",
           "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
           "X-Prometheus-Remote-Write-Version": "2.0.0"}


def float_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


STALE = float_of(0x7ff0000000000002)


def spans_of(indices):
    """Spans of buckets with these indices, ascending."""
    spans, end = [], None
    for index in indices:
        if end == index:
            spans[-1].length += 1
        else:
            spans.append(pb.BucketSpan(offset=index - (end or 0), length=1))
        end = index + 1
    return spans


def deltas_of(counts):
    return [count - before for before, count in zip([0, *counts], counts)]


def histogram(positive, total, *, negative=None, zero=0, schema=0, threshold=0.001,
              custom=None, is_float=False, is_gauge=False):
    """positive and negative: index -> count; total: the sum of what was observed."""
    negative = negative or {}
    message = pb.Histogram(
        sum=total, schema=schema, zero_threshold=threshold, custom_values=custom or (),
        reset_hint=pb.Histogram.GAUGE if is_gauge else pb.Histogram.UNSPECIFIED)
    kind, fill = ("float", list) if is_float else ("int", deltas_of)
    field = "counts" if is_float else "deltas"
    setattr(message, f"count_{kind}", sum(positive.values()) + sum(negative.values()) + zero)
    setattr(message, f"zero_count_{kind}", zero)
    for sign, buckets in (("positive", positive), ("negative", negative)):
        indices = sorted(buckets)
        getattr(message, f"{sign}_spans").extend(spans_of(indices))
        getattr(message, f"{sign}_{field}").extend(fill([buckets[i] for i in indices]))
    return message


def encode(series):
    """A request, of (labels, samples, histograms)."""
    symbols = {"": 0}
    request = pb.Request()
    for labels, samples, histograms in series:
        one = request.timeseries.add(samples=samples, histograms=histograms)
        for name, value in sorted(labels.items()):
            one.labels_refs.append(symbols.setdefault(name, len(symbols)))
            one.labels_refs.append(symbols.setdefault(value, len(symbols)))
    request.symbols.extend(symbols)
    return snappy.compress(request.SerializeToString())


def write(daemon, series):
    """All of it must be taken."""
    answer = daemon.request("POST", "/api/v1/write", body=encode(series), headers=HEADERS)
    assert answer.status == 204, (answer.status, answer.text[:2000])
