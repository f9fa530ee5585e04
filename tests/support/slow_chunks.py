# SPDX-License-Identifier: Apache-2.0
"""Chunks of every encoding, read and written as the format is written down: bit by bit,
with no thought for speed. Shares nothing with the code under test.

Floats are their 64 bits, and histograms hold them as such, too: nothing is rounded,
nothing compared as a number. Broken chunks raise ValueError."""
import dataclasses
import math
import struct
import typing

XOR, HISTOGRAM, FLOATHISTOGRAM, XOR2, HISTOGRAM_ST, FLOATHISTOGRAM_ST = range(1, 7)
AGGR = 255
WITH_START = (XOR2, HISTOGRAM_ST, FLOATHISTOGRAM_ST)
OF_FLOATS = (XOR, XOR2)
OF_FLOAT_HISTOGRAMS = (FLOATHISTOGRAM, FLOATHISTOGRAM_ST)

STALE = 0x7FF0000000000002
UNKNOWN_RESET, RESET, NOT_RESET, GAUGE = range(4)  # hints of histograms
ANY_HEADER, NOT_RESET_HEADER, RESET_HEADER, GAUGE_HEADER = range(4)  # of their chunks
CUSTOM_BOUNDS = -53
FORCED_CHANGE = 127
AGGREGATES = ("count", "sum", "min", "max", "counter")

DOD_CODES = (("0", 0), ("10", 14), ("110", 17), ("1110", 20), ("1111", 64))
VARBIT_CODES = (("0", 0), ("10", 3), ("110", 6), ("1110", 9), ("11110", 12),
                ("111110", 18), ("1111110", 25), ("11111110", 56), ("11111111", 64))
# Of XOR2, of a sample behind the second: time and value together.
IN_TIME_CODES = ("0", "100", "101")  # as of Float.read
STALE_IN_TIME = "11111"
XOR2_DOD_CODES = {"110": 13, "1110": 20, "11110": 64}


class Sample(typing.NamedTuple):
    ms: int
    value: typing.Any  # the bits of a float, or a Histogram
    start: int = 0     # start timestamp, ms; 0 for none


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Spans are (offset, length). Buckets of integer histograms are differences to the
    one before, those of float ones are the bits of absolute counts."""
    is_float: bool
    sum: int
    count: int = 0
    zero_count: int = 0
    zero_threshold: int = 0
    schema: int = 0
    positive_spans: tuple = ()
    negative_spans: tuple = ()
    positive: tuple = ()
    negative: tuple = ()
    bounds: tuple = ()
    hint: int = UNKNOWN_RESET

    @property
    def layout(self):
        return (self.zero_threshold, self.schema, self.positive_spans, self.negative_spans,
                self.bounds)


def bits_of(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def number_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def unsigned(number):
    """As arithmetic in 64 bits leaves it."""
    return number % (1 << 64)


def signed(number):
    number = unsigned(number)
    return number - (1 << 64) if number >= 1 << 63 else number


class Source:
    """The bits of a chunk, each a character."""

    def __init__(self, data):
        self.bits = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, width):
        """The next bits as a number without a sign."""
        taken = self.bits[self.at:self.at + width]
        if len(taken) < width:
            raise ValueError("the chunk ends in a sample")
        self.at += width
        return int(taken or "0", 2)

    def code(self, codes):
        """Which of codes is next; one of them must be."""
        for code in codes:
            if self.bits.startswith(code, self.at):
                self.at += len(code)
                return code
        raise ValueError("the chunk ends in a sample")

    def biased(self, width):
        """The largest number is 2^(width-1)."""
        taken = self.take(width)
        return taken - (1 << width) if width and taken > 1 << width - 1 else taken

    def twos_complement(self, width):
        taken = self.take(width)
        return taken - (1 << width) if taken >= 1 << width - 1 else taken

    def coded(self, codes):
        return self.biased(dict(codes)[self.code(dict(codes))])

    def varbit_int(self):
        return signed(self.coded(VARBIT_CODES))

    def varbit_uint(self):
        return self.take(dict(VARBIT_CODES)[self.code(dict(VARBIT_CODES))])

    def uvarint(self):
        value = 0
        for place in range(10):
            byte = self.take(8)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return value
        raise ValueError("a varint of more than 64 bits")

    def varint(self):
        zigzag = self.uvarint()
        return zigzag >> 1 if zigzag % 2 == 0 else -(zigzag >> 1) - 1


class Sink:
    """The bits of a chunk to be."""

    def __init__(self):
        self.parts = []

    def code(self, bits):
        self.parts.append(bits)

    def put(self, number, width):
        if width:
            self.parts.append(f"{number % (1 << width):0{width}b}")

    def coded(self, codes, number):
        """In the first field that takes it; the last takes all."""
        for code, width in codes:
            half = 1 << width - 1 if width else 0
            if width == 64 or (-half < number <= half if width else number == 0):
                self.code(code)
                self.put(number, width)
                return

    def varbit_int(self, number):
        self.coded(VARBIT_CODES, signed(number))

    def varbit_uint(self, number):
        for code, width in VARBIT_CODES:
            if number < 1 << width:
                self.code(code)
                self.put(number, width)
                return

    def uvarint(self, number):
        while number >= 0x80:
            self.put(number & 0x7F | 0x80, 8)
            number >>= 7
        self.put(number, 8)

    def varint(self, number):
        number = signed(number)
        self.uvarint(number * 2 if number >= 0 else -number * 2 - 1)

    def data(self):
        bits = "".join(self.parts)
        bits += "0" * (-len(bits) % 8)
        return bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits), 8))


class Float:
    """A value that is stored as how it differs from the one before."""

    def __init__(self, value=0):
        self.value = value
        self.window = None  # (leading zeros, trailing zeros) of the last new one

    def read(self, source, codes=("0", "10", "11")):
        """codes: as it was; changed in the window; changed in a new window."""
        return self.read_behind(source, codes.index(source.code(codes)))

    def read_behind(self, source, which):
        """Which of the codes was there."""
        if which == 2:
            lead, width = source.take(5), source.take(6) or 64
            if lead + width > 64:
                raise ValueError("a window of more than 64 bits")
            self.window = (lead, 64 - lead - width)
        if which > 0:
            lead, trail = self.window or (0, 0)
            self.value ^= source.take(64 - lead - trail) << trail
        return self.value

    def write(self, sink, value, codes=("0", "10", "11")):
        change = value ^ self.value
        if change == 0:
            sink.code(codes[0])
            return
        bits = f"{change:064b}"
        lead = min(31, len(bits) - len(bits.lstrip("0")))
        trail = len(bits) - len(bits.rstrip("0"))
        if self.window and self.window[0] <= lead and self.window[1] <= trail:
            sink.code(codes[1])
        else:
            self.window = (lead, trail)
            sink.code(codes[2])
            sink.put(lead, 5)
            sink.put(64 - lead - trail, 6)  # 64 becomes 0
        sink.put(change >> self.window[1], 64 - self.window[0] - self.window[1])
        self.value = value


class Start:
    """Start timestamps; the same for reading and writing."""

    def __init__(self, is_known=0, change_on=0):
        self.is_known, self.change_on = is_known, change_on
        self.ms = self.difference = 0

    def read(self, source, number, ms, before):
        """Of the sample of that number and time, behind one of the time before."""
        if number == 0 and self.is_known:
            self.ms = signed(ms - source.varint())
        if number == 0 or self.change_on == 0 or number < self.change_on:
            return self.ms
        if number == self.change_on:
            self.difference = source.varbit_int()
        else:
            self.difference = signed(self.difference + source.varbit_int())
        self.ms = signed(before - self.difference)
        return self.ms

    def write(self, sink, number, ms, before, start):
        if number == 0:
            self.is_known, self.ms = int(start != 0), start
            if self.is_known:
                sink.varint(ms - start)
            return
        if not self.change_on and start == self.ms and number != FORCED_CHANGE:
            return
        difference = signed(before - start)
        if self.change_on:
            sink.varbit_int(difference - self.difference)
        else:
            self.change_on = number
            sink.varbit_int(difference)
        self.difference, self.ms = difference, start

    def header(self):
        return self.is_known << 7 | self.change_on


def decode_xor(data):
    source, value, samples = Source(data), Float(), []
    ms = delta = 0
    for number in range(source.take(16)):
        if number == 0:
            ms, value.value = source.varint(), source.take(64)
        else:
            delta = source.uvarint() if number == 1 else delta + source.coded(DOD_CODES)
            ms = signed(ms + delta)
            value.read(source)
        samples.append(Sample(ms, value.value))
    return samples


def encode_xor(samples):
    sink, value = Sink(), Float()
    sink.put(len(samples), 16)
    before = delta = 0
    for number, sample in enumerate(samples):
        last_delta, delta = delta, sample.ms - before
        before = sample.ms
        if number == 0:
            sink.varint(sample.ms)
            sink.put(sample.value, 64)
            value.value = sample.value
            continue
        if number == 1:
            sink.uvarint(unsigned(delta))
        else:
            sink.coded(DOD_CODES, signed(delta - last_delta))
        value.write(sink, sample.value)
    return sink.data()


def read_xor2_value(source, value):
    which = ("0", "10", "110", "111").index(source.code(("0", "10", "110", "111")))
    return STALE if which == 3 else value.read_behind(source, which)


def write_xor2_value(sink, value, bits):
    if bits == STALE:
        sink.code("111")
    else:
        value.write(sink, bits, ("0", "10", "110"))


def decode_xor2(data):
    source, samples = Source(data), []
    count = source.take(16)
    start = Start(source.take(1), source.take(7))
    value = Float()  # of the last sample that is not stale
    ms = delta = 0
    for number in range(count):
        before = ms
        if number == 0:
            ms, bits = source.varint(), source.take(64)
            value.value = 0 if bits == STALE else bits
        elif number == 1:
            delta = source.uvarint()
            bits = read_xor2_value(source, value)
        else:
            code = source.code((*IN_TIME_CODES, *XOR2_DOD_CODES, STALE_IN_TIME))
            if code in IN_TIME_CODES:
                bits = value.read_behind(source, IN_TIME_CODES.index(code))
            elif code in XOR2_DOD_CODES:
                delta += source.twos_complement(XOR2_DOD_CODES[code])
                bits = read_xor2_value(source, value)
            else:
                bits = STALE
        if number > 0:
            ms = signed(ms + delta)
        samples.append(Sample(ms, bits, start.read(source, number, ms, before)))
    return samples


def encode_xor2(samples):
    sink, value, start = Sink(), Float(), Start()
    before = delta = 0
    for number, (ms, bits, start_ms) in enumerate(samples):
        last_delta, delta = delta, signed(ms - before)
        if number == 0:
            sink.varint(ms)
            sink.put(bits, 64)
            value.value = 0 if bits == STALE else bits
        elif number == 1:
            sink.uvarint(unsigned(delta))
            write_xor2_value(sink, value, bits)
        else:
            dod = signed(delta - last_delta)
            if dod != 0:
                code, width = next((code, width) for code, width in XOR2_DOD_CODES.items()
                                   if -1 << width - 1 <= dod < 1 << width - 1)
                sink.code(code)
                sink.put(dod, width)
                write_xor2_value(sink, value, bits)
            elif bits == STALE:
                sink.code(STALE_IN_TIME)
            else:
                value.write(sink, bits, IN_TIME_CODES)
        start.write(sink, number, ms, before, start_ms)
        before = ms
    return (len(samples).to_bytes(2, "big") + bytes([start.header()]) + sink.data())


def read_layout(source):
    z = source.take(8)
    threshold = source.take(64) if z == 255 else bits_of(math.ldexp(1, z - 244) if z else 0)
    schema = source.varbit_int()
    spans = []
    for _ in ("positive", "negative"):
        pairs = [(source.varbit_uint(), source.varbit_int())
                 for _ in range(source.varbit_uint())]
        spans.append(tuple((offset, length) for length, offset in pairs))
    bounds = ()
    if schema == CUSTOM_BOUNDS:
        bounds = tuple(read_bound(source) for _ in range(source.varbit_uint()))
    return threshold, schema, *spans, bounds


def read_bound(source):
    thousandths = source.varbit_uint()
    return bits_of((thousandths - 1) / 1000) if thousandths else source.take(64)


def write_layout(sink, threshold, schema, positive_spans, negative_spans, bounds):
    short = {bits_of(math.ldexp(1, z - 244)): z for z in range(1, 255)}
    short[0] = 0
    sink.put(short.get(threshold, 255), 8)
    if threshold not in short:
        sink.put(threshold, 64)
    sink.varbit_int(schema)
    for spans in (positive_spans, negative_spans):
        sink.varbit_uint(len(spans))
        for offset, length in spans:
            sink.varbit_uint(length)
            sink.varbit_int(offset)
    if schema == CUSTOM_BOUNDS:
        sink.varbit_uint(len(bounds))
        for bound in bounds:
            write_bound(sink, bound)


def write_bound(sink, bound):
    thousandths = number_of(bound) * 1000
    if 0 <= thousandths <= 33554430 and bits_of(round(thousandths) / 1000) == bound:
        sink.varbit_uint(round(thousandths) + 1)
    else:
        sink.varbit_uint(0)
        sink.put(bound, 64)


class Number:
    """A number without a fraction, stored as the change of its change."""

    def __init__(self, first=0):
        self.value, self.delta = first, 0

    def read(self, source):
        self.delta += source.varbit_int()
        self.value += self.delta
        return self.value

    def write(self, sink, value):
        last_delta, self.delta = self.delta, value - self.value
        sink.varbit_int(self.delta - last_delta)
        self.value = value


def decode_histograms(encoding, data):
    source, samples = Source(data), []
    if encoding in WITH_START:
        header, count = source.take(2), source.take(14)
        start = Start(source.take(1), source.take(7))
    else:
        count, header = source.take(16), source.take(2)
        source.take(6)
        start = Start()
    if count == 0:
        return []
    layout = read_layout(source)
    is_float = encoding in OF_FLOAT_HISTOGRAMS
    fields = None
    for number in range(count):
        if number == 0:
            before, ms = 0, Number(source.varbit_int())
            fields = FloatFields() if is_float else IntegerFields()
            fields.read_first(source, *(sum(length for _, length in spans)
                                        for spans in layout[2:4]))
        else:
            before = signed(ms.value)
            ms.read(source)
            fields.read(source)
        hint = UNKNOWN_RESET if number == 0 else NOT_RESET
        histogram = fields.histogram(layout, GAUGE if header == GAUGE_HEADER else hint)
        now = signed(ms.value)
        samples.append(Sample(now, histogram, start.read(source, number, now, before)))
    return samples


class IntegerFields:
    """What is stored of a histogram beside its layout, with integer counts."""

    is_float = False

    def read_first(self, source, positive, negative):
        self.count, self.zero_count = (Number(source.varbit_uint()) for _ in range(2))
        self.sum = Float(source.take(64))
        self.positive = [Number(source.varbit_int()) for _ in range(positive)]
        self.negative = [Number(source.varbit_int()) for _ in range(negative)]

    def read(self, source):
        self.count.read(source)
        self.zero_count.read(source)
        if self.sum.read(source) != STALE:
            for bucket in self.positive + self.negative:
                bucket.read(source)

    def write_first(self, sink, histogram):
        self.count, self.zero_count = Number(histogram.count), Number(histogram.zero_count)
        self.sum = Float(histogram.sum)
        self.positive = [Number(bucket) for bucket in histogram.positive]
        self.negative = [Number(bucket) for bucket in histogram.negative]
        sink.varbit_uint(histogram.count)
        sink.varbit_uint(histogram.zero_count)
        sink.put(histogram.sum, 64)
        for bucket in histogram.positive + histogram.negative:
            sink.varbit_int(bucket)

    def write(self, sink, histogram):
        if histogram.sum == STALE:
            sink.varbit_int(0)
            sink.varbit_int(0)
            self.sum.write(sink, STALE)
            return
        self.count.write(sink, histogram.count)
        self.zero_count.write(sink, histogram.zero_count)
        self.sum.write(sink, histogram.sum)
        for field, bucket in zip(self.positive + self.negative,
                                 histogram.positive + histogram.negative):
            field.write(sink, bucket)

    def histogram(self, layout, hint):
        return made_histogram(self, layout, hint, signed)


class FloatFields:
    """With the bits of floats as counts."""

    is_float = True

    def read_first(self, source, positive, negative):
        self.count, self.zero_count, self.sum = (Float(source.take(64)) for _ in range(3))
        self.positive = [Float(source.take(64)) for _ in range(positive)]
        self.negative = [Float(source.take(64)) for _ in range(negative)]

    def read(self, source):
        self.count.read(source)
        self.zero_count.read(source)
        if self.sum.read(source) != STALE:
            for bucket in self.positive + self.negative:
                bucket.read(source)

    def write_first(self, sink, histogram):
        self.count, self.zero_count, self.sum = (
            Float(bits) for bits in (histogram.count, histogram.zero_count, histogram.sum))
        self.positive = [Float(bits) for bits in histogram.positive]
        self.negative = [Float(bits) for bits in histogram.negative]
        for bits in (histogram.count, histogram.zero_count, histogram.sum,
                     *histogram.positive, *histogram.negative):
            sink.put(bits, 64)

    def write(self, sink, histogram):
        self.count.write(sink, histogram.count)
        self.zero_count.write(sink, histogram.zero_count)
        self.sum.write(sink, histogram.sum)
        if histogram.sum != STALE:
            for field, bits in zip(self.positive + self.negative,
                                   histogram.positive + histogram.negative):
                field.write(sink, bits)

    def histogram(self, layout, hint):
        return made_histogram(self, layout, hint, unsigned)


def made_histogram(fields, layout, hint, bucket_of):
    if fields.sum.value == STALE:
        return stale_histogram(fields.is_float)
    threshold, schema, positive_spans, negative_spans, bounds = layout
    return Histogram(
        is_float=fields.is_float, sum=fields.sum.value, count=unsigned(fields.count.value),
        zero_count=unsigned(fields.zero_count.value), zero_threshold=threshold,
        schema=schema, positive_spans=positive_spans, negative_spans=negative_spans,
        positive=tuple(bucket_of(bucket.value) for bucket in fields.positive),
        negative=tuple(bucket_of(bucket.value) for bucket in fields.negative),
        bounds=bounds, hint=hint)


def stale_histogram(is_float):
    return Histogram(is_float=is_float, sum=STALE)


def encode_histograms(encoding, samples, header=ANY_HEADER):
    """All of one layout; behind one that is stale are only such."""
    sink, start = Sink(), Start()
    fields = FloatFields() if encoding in OF_FLOAT_HISTOGRAMS else IntegerFields()
    before, ms = 0, Number()
    for number, (now, histogram, start_ms) in enumerate(samples):
        if histogram.is_float != fields.is_float:
            raise ValueError("a histogram of the other kind")
        if number == 0:
            layout = histogram.layout
            write_layout(sink, *layout)
            ms.value = now
            sink.varbit_int(now)
            fields.write_first(sink, histogram)
        else:
            if histogram.sum != STALE and (fields.sum.value == STALE or
                                           histogram.layout != layout):
                raise ValueError("a histogram that belongs into another chunk")
            ms.write(sink, now)
            fields.write(sink, histogram)
        if encoding in WITH_START:
            start.write(sink, number, now, before, start_ms)
        before = now
    head = Sink()
    if encoding in WITH_START:
        head.put(header, 2)
        head.put(len(samples), 14)
        head.put(start.header(), 8)
    else:
        head.put(len(samples), 16)
        head.put(header, 2)
        head.put(0, 6)
    return head.data() + sink.data()


def decode(encoding, data):
    """[Sample] of the data of a chunk, without length, encoding and checksum."""
    if encoding == XOR:
        return decode_xor(data)
    if encoding == XOR2:
        return decode_xor2(data)
    if encoding in (HISTOGRAM, FLOATHISTOGRAM, HISTOGRAM_ST, FLOATHISTOGRAM_ST):
        return decode_histograms(encoding, data)
    raise ValueError(f"encoding {encoding}")


def encode(encoding, samples, header=ANY_HEADER):
    """The opposite. Start timestamps are lost where the encoding has none."""
    if encoding == XOR:
        return encode_xor(samples)
    if encoding == XOR2:
        return encode_xor2(samples)
    return encode_histograms(encoding, samples, header)


def header_of(encoding, data):
    """What a chunk of histograms says of resets before it."""
    return data[0 if encoding in WITH_START else 2] >> 6


def decode_aggregates(data):
    """{name: (encoding, data)} of a downsampled chunk; what is absent is left out."""
    found, source = {}, Source(data)
    for name in AGGREGATES:
        if source.at == len(source.bits):
            break  # some writers end where the last ones are absent
        length = source.uvarint()
        if length:
            encoding = source.take(8)
            found[name] = encoding, bytes(source.take(8) for _ in range(length))
    return found


def encode_aggregates(aggregates):
    sink = Sink()
    for name in AGGREGATES:
        encoding, data = aggregates.get(name, (None, b""))
        sink.uvarint(len(data))
        for byte in bytes([encoding]) + data if data else b"":
            sink.put(byte, 8)
    return sink.data()
