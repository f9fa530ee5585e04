/* SPDX-License-Identifier: Apache-2.0 */
/* Fields are written in the order of their numbers, numbers that repeat are packed. */
#include "common/wire/histogram.h"

#include "common/wire/field.h"

/* Field numbers, as in remote_read.proto. */
enum {
    SERIES_HISTOGRAMS = 4,
    COUNT_INT = 1,
    COUNT_FLOAT = 2,
    SUM = 3,
    SCHEMA = 4,
    ZERO_THRESHOLD = 5,
    ZERO_COUNT_INT = 6,
    ZERO_COUNT_FLOAT = 7,
    NEGATIVE_SPANS = 8,
    NEGATIVE_DELTAS = 9,
    NEGATIVE_COUNTS = 10,
    POSITIVE_SPANS = 11,
    POSITIVE_DELTAS = 12,
    POSITIVE_COUNTS = 13,
    RESET_HINT = 14,
    T = 15,
    CUSTOM_VALUES = 16,
    SPAN_OFFSET = 1,
    SPAN_LENGTH = 2
};

/* Of CUSTOM_VALUES: the only field above 15. */
enum { LONG_TAG_SIZE = 2 };

static uint64_t
zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (0 - ((uint64_t)v >> 63));
}

static uint64_t
span_len(const struct tsdb_span *s)
{
    return wire_varint_size(zigzag(s->offset)) + wire_varint_size(s->length);
}

static uint64_t
spans_size(const struct tsdb_buckets *b)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < b->span_count; i++)
        size += wire_message_size(span_len(&b->spans[i]));
    return size;
}

static uint64_t
doubles_len(uint32_t count)
{
    return (uint64_t)count * WIRE_DOUBLE_SIZE;
}

static uint64_t
custom_size(const struct tsdb_histogram *h)
{
    uint64_t len = doubles_len(h->custom_count);
    return len == 0 ? 0 : LONG_TAG_SIZE + varint_size_u64(len) + len;
}

uint64_t
wire_histogram_layout_size(const struct tsdb_histogram *h)
{
    return wire_varint_size(zigzag(h->schema)) +
           wire_double_size(h->zero_threshold_bits) + spans_size(&h->negative) +
           spans_size(&h->positive) + custom_size(h);
}

/* Of the counts of the buckets on one side, packed. */
static uint64_t
values_len(const struct tsdb_histogram *h, const struct tsdb_buckets *b)
{
    uint64_t len = 0;
    if (h->is_float)
        return doubles_len(b->count);
    for (uint32_t i = 0; i < b->count; i++)
        len += varint_size_u64(zigzag((int64_t)b->values[i]));
    return len;
}

/* A packed field: left out if it is empty. */
static uint64_t
packed_size(uint64_t len)
{
    return len == 0 ? 0 : wire_message_size(len);
}

static uint64_t
count_size(const struct tsdb_histogram *h, uint64_t count)
{
    return WIRE_TAG_SIZE + (h->is_float ? WIRE_DOUBLE_SIZE : varint_size_u64(count));
}

/* What a message holds, by the lengths that are computed only once. */
struct lens {
    uint64_t message;
    uint64_t negative; /* counts of the buckets */
    uint64_t positive;
};

static struct lens
lens_of(int64_t t_ms, const struct tsdb_histogram *h, uint64_t layout_size)
{
    struct lens l = {.negative = values_len(h, &h->negative),
                     .positive = values_len(h, &h->positive)};
    l.message = count_size(h, h->count) + wire_double_size(h->sum_bits) +
                count_size(h, h->zero_count) + layout_size + packed_size(l.negative) +
                packed_size(l.positive) + wire_varint_size(h->reset) +
                wire_varint_size((uint64_t)t_ms);
    return l;
}

uint64_t
wire_histogram_size(int64_t t_ms, const struct tsdb_histogram *h, uint64_t layout_size)
{
    return wire_message_size(lens_of(t_ms, h, layout_size).message);
}

static uint8_t *
store_count(uint8_t *at, const struct tsdb_histogram *h, unsigned integer_field,
            uint64_t count)
{
    if (!h->is_float) {
        *at++ = wire_tag(integer_field, WIRE_VARINT);
        return at + varint_store_u64(at, count);
    }
    *at++ = wire_tag(integer_field + 1, WIRE_FIXED64);
    memcpy(at, &count, sizeof count);
    return at + sizeof count;
}

static uint8_t *
store_spans(uint8_t *at, unsigned field, const struct tsdb_buckets *b)
{
    for (uint32_t i = 0; i < b->span_count; i++) {
        const struct tsdb_span *s = &b->spans[i];
        at = wire_store_message_head(at, field, span_len(s));
        at = wire_store_varint(at, SPAN_OFFSET, zigzag(s->offset));
        at = wire_store_varint(at, SPAN_LENGTH, s->length);
    }
    return at;
}

/* Little-endian, as the machine. */
static uint8_t *
store_doubles(uint8_t *at, const uint64_t *bits, uint32_t count)
{
    size_t len = doubles_len(count);
    memcpy(at, bits, len);
    return at + len;
}

/* The counts of the buckets on one side; len is that of values_len. */
static uint8_t *
store_values(uint8_t *at, const struct tsdb_histogram *h, const struct tsdb_buckets *b,
             unsigned delta_field, uint64_t len)
{
    if (len == 0)
        return at;
    at = wire_store_message_head(at, h->is_float ? delta_field + 1 : delta_field, len);
    if (h->is_float)
        return store_doubles(at, b->values, b->count);
    for (uint32_t i = 0; i < b->count; i++)
        at += varint_store_u64(at, zigzag((int64_t)b->values[i]));
    return at;
}

static uint8_t *
store_custom(uint8_t *at, const struct tsdb_histogram *h)
{
    if (h->custom_count == 0)
        return at;
    at += varint_store_u64(at, CUSTOM_VALUES << 3 | WIRE_LENGTH);
    at += varint_store_u64(at, doubles_len(h->custom_count));
    return store_doubles(at, h->custom_bits, h->custom_count);
}

_Static_assert(COUNT_FLOAT == COUNT_INT + 1 && ZERO_COUNT_FLOAT == ZERO_COUNT_INT + 1 &&
                   NEGATIVE_COUNTS == NEGATIVE_DELTAS + 1 &&
                   POSITIVE_COUNTS == POSITIVE_DELTAS + 1,
               "floats follow integers");

void
wire_histogram_put(int64_t t_ms, const struct tsdb_histogram *h, uint64_t layout_size,
                   struct buf *out)
{
    struct lens l = lens_of(t_ms, h, layout_size);
    uint8_t *at = buf_reserve(out, wire_message_size(l.message));
    if (at == NULL)
        return;
    at = wire_store_message_head(at, SERIES_HISTOGRAMS, l.message);
    at = store_count(at, h, COUNT_INT, h->count);
    at = wire_store_double(at, SUM, h->sum_bits);
    at = wire_store_varint(at, SCHEMA, zigzag(h->schema));
    at = wire_store_double(at, ZERO_THRESHOLD, h->zero_threshold_bits);
    at = store_count(at, h, ZERO_COUNT_INT, h->zero_count);
    at = store_spans(at, NEGATIVE_SPANS, &h->negative);
    at = store_values(at, h, &h->negative, NEGATIVE_DELTAS, l.negative);
    at = store_spans(at, POSITIVE_SPANS, &h->positive);
    at = store_values(at, h, &h->positive, POSITIVE_DELTAS, l.positive);
    at = wire_store_varint(at, RESET_HINT, h->reset);
    at = wire_store_varint(at, T, (uint64_t)t_ms);
    at = store_custom(at, h);
    out->len = (size_t)(at - out->at);
}
