/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the messages of three protocols by their field numbers alone. */
#include "tests/support/read_count.h"

#include "common/base/cursor.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

/* Step to the next length-delimited field of that number; false at the end. */
static bool
next_message(struct cursor *c, unsigned field, struct bytes *message)
{
    while (!c->bad && c->rest.len > 0) {
        uint64_t key = varint_u64(c);
        struct bytes value = {0};
        switch (key & 7) {
        case WIRE_VARINT:
            varint_u64(c);
            break;
        case WIRE_FIXED64:
            cursor_take(c, 8);
            break;
        case WIRE_LENGTH:
            value = cursor_take(c, varint_u64(c));
            break;
        case WIRE_FIXED32:
            cursor_take(c, 4);
            break;
        default:
            c->bad = true;
        }
        *message = value;
        if (key == (field << 3 | WIRE_LENGTH) && !c->bad)
            return true;
    }
    return false;
}

/* The first field of that number. */
static bool
find_message(struct bytes in, unsigned field, struct bytes *message)
{
    struct cursor c = cursor_of(in);
    return next_message(&c, field, message);
}

static bool
count_chunk_data(struct bytes data, struct read_totals *t)
{
    if (data.len < 2)
        return false;
    t->samples += be16_load(data.at);
    return true;
}

static bool
count_chunked_series(struct bytes series, struct read_totals *t)
{
    struct cursor chunks = cursor_of(series);
    struct bytes chunk, data;
    while (next_message(&chunks, 2, &chunk)) {
        if (!find_message(chunk, 4, &data) || !count_chunk_data(data, t))
            return false;
    }
    t->series++;
    return !chunks.bad;
}

static bool
count_frame(struct bytes message, struct read_totals *t)
{
    struct cursor all = cursor_of(message);
    for (struct bytes series; next_message(&all, 1, &series);) {
        if (!count_chunked_series(series, t))
            return false;
    }
    return !all.bad;
}

bool
read_count_arrived(struct bytes *rest, struct read_totals *t)
{
    for (struct cursor frames = cursor_of(*rest);; *rest = frames.rest) {
        uint64_t len = varint_u64(&frames);
        uint32_t crc = cursor_be32(&frames);
        struct bytes message = cursor_take(&frames, len);
        if (frames.bad)
            return true;
        if (crc32c(message) != crc || !count_frame(message, t))
            return false;
    }
}

static bool
count_streamed(struct bytes body, struct read_totals *t)
{
    return read_count_arrived(&body, t) && body.len == 0;
}

static bool
count_sampled(struct bytes response, struct read_totals *t)
{
    struct cursor results = cursor_of(response);
    struct bytes result, series, sample;
    while (next_message(&results, 1, &result)) {
        struct cursor all = cursor_of(result);
        while (next_message(&all, 1, &series)) {
            struct cursor samples = cursor_of(series);
            while (next_message(&samples, 2, &sample))
                t->samples++;
            t->series++;
        }
    }
    return !results.bad;
}

static bool
count_snappy(struct bytes body, struct read_totals *t)
{
    CLEANUP(buf_fini) struct buf plain;
    buf_init(&plain, NULL);
    struct err err = {0};
    return compress_snappy_decode(body, UINT32_MAX, &plain, &err) &&
           count_sampled(buf_bytes(&plain), t);
}

static bool
count_store_series(struct bytes series, struct read_totals *t)
{
    struct cursor chunks = cursor_of(series);
    struct bytes chunk, raw, data;
    while (next_message(&chunks, 2, &chunk)) {
        if (!find_message(chunk, 3, &raw) || !find_message(raw, 2, &data) ||
            !count_chunk_data(data, t))
            return false;
    }
    t->series++;
    return !chunks.bad;
}

static bool
count_store_api(struct bytes body, struct read_totals *t)
{
    struct cursor frames = cursor_of(body);
    while (frames.rest.len > 0) {
        struct bytes compressed = cursor_take(&frames, 1);
        struct bytes message = cursor_take(&frames, cursor_be32(&frames));
        struct bytes warning, series;
        if (frames.bad || compressed.at[0] != 0 || find_message(message, 2, &warning))
            return false;
        if (find_message(message, 1, &series) && !count_store_series(series, t))
            return false;
    }
    return true;
}

bool
read_count(enum read_protocol protocol, struct bytes body, struct read_totals *t)
{
    switch (protocol) {
    case READ_STREAMED:
        return count_streamed(body, t);
    case READ_SAMPLED:
        return count_snappy(body, t);
    case READ_STORE_API:
        return count_store_api(body, t);
    }
    return false;
}
