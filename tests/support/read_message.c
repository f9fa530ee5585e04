/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/read_message.h"

#include "common/base/cursor.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/tsdb/matcher.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

static void
put_key(struct buf *out, unsigned field, unsigned wire_type)
{
    varint_put_u64(out, field << 3 | wire_type);
}

static void
put_number(struct buf *out, unsigned field, int64_t v)
{
    put_key(out, field, WIRE_VARINT);
    varint_put_u64(out, (uint64_t)v);
}

static void
put_bytes(struct buf *out, unsigned field, struct bytes b)
{
    put_key(out, field, WIRE_LENGTH);
    varint_put_u64(out, b.len);
    buf_put(out, b);
}

static bool
put_matcher(struct buf *query, const char *text)
{
    static const struct {
        const char *sign;
        enum tsdb_matcher_type type;
    } signs[] = {{"=~", TSDB_MATCH_RE},
                 {"!~", TSDB_MATCH_NRE},
                 {"!=", TSDB_MATCH_NEQ},
                 {"=", TSDB_MATCH_EQ}};
    size_t name_len = strcspn(text, "=!");
    CLEANUP(buf_fini) struct buf matcher;
    buf_init(&matcher, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        size_t sign_len = strlen(signs[i].sign);
        if (strncmp(text + name_len, signs[i].sign, sign_len) != 0)
            continue;
        put_number(&matcher, 1, signs[i].type);
        put_bytes(&matcher, 2, bytes_of(text, name_len));
        put_bytes(&matcher, 3, bytes_of_str(text + name_len + sign_len));
        put_bytes(query, 3, buf_bytes(&matcher));
        return true;
    }
    return false;
}

static bool
put_query(const struct read_query *q, struct buf *request)
{
    CLEANUP(buf_fini) struct buf query = {0};
    put_number(&query, 1, q->from_ms);
    put_number(&query, 2, q->to_ms);
    for (size_t i = 0; i < q->matcher_count; i++) {
        if (!put_matcher(&query, q->matchers[i]))
            return false;
    }
    put_bytes(request, 1, buf_bytes(&query));
    return true;
}

bool
read_message_request(const struct read_query *query, size_t copies, bool is_sampled,
                     struct buf *out)
{
    CLEANUP(buf_fini) struct buf request = {0};
    for (size_t i = 0; i < copies; i++) {
        if (!put_query(query, &request))
            return false;
    }
    put_number(&request, 2, is_sampled ? 0 : 1);
    struct err err;
    return compress_snappy_encode(buf_bytes(&request), out, &err);
}

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

static bool
count_chunked_series(struct bytes series, struct read_totals *t)
{
    struct cursor chunks = cursor_of(series);
    struct bytes chunk, data;
    while (next_message(&chunks, 2, &chunk)) {
        struct cursor fields = cursor_of(chunk);
        if (!next_message(&fields, 4, &data) || data.len < 2)
            return false;
        t->samples += be16_load(data.at);
    }
    t->series++;
    return !chunks.bad;
}

bool
read_message_count_frames(struct bytes body, struct read_totals *t)
{
    struct cursor frames = cursor_of(body);
    while (frames.rest.len > 0) {
        uint64_t len = varint_u64(&frames);
        uint32_t crc = cursor_be32(&frames);
        struct bytes message = cursor_take(&frames, len);
        if (frames.bad || crc32c(message) != crc)
            return false;
        struct cursor all = cursor_of(message);
        for (struct bytes series; next_message(&all, 1, &series);) {
            if (!count_chunked_series(series, t))
                return false;
        }
        if (all.bad)
            return false;
    }
    return !frames.bad;
}

static bool
count_results(struct bytes response, struct read_totals *t)
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

bool
read_message_count_sampled(struct bytes body, struct read_totals *t)
{
    CLEANUP(buf_fini) struct buf plain = {0};
    struct err err;
    return compress_snappy_decode(body, UINT32_MAX, &plain, &err) &&
           count_results(buf_bytes(&plain), t);
}
