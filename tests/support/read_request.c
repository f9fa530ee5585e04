/* SPDX-License-Identifier: Apache-2.0 */
/* A query of remote read and a SeriesRequest agree in the numbers of the fields for
 * time range and matchers, and in what a matcher is. */
#include "tests/support/read_request.h"

#include "common/codec/compress.h"
#include "common/codec/varint.h"
#include "common/tsdb/matcher.h"

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2 };
enum { GRPC_PREFIX = 5, PARTIAL_RESPONSE_STRATEGY = 7, STRATEGY_ABORT = 1 };

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
put_matcher(struct buf *query, const char *text, struct err *err)
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
    return err_set(err, ERR_INVALID, "%s is no matcher", text);
}

static void
put_grpc_message(struct buf *out, struct bytes message)
{
    uint8_t prefix[GRPC_PREFIX] = {0}; /* not compressed */
    be32_store(prefix + 1, (uint32_t)message.len);
    buf_put(out, bytes_of(prefix, sizeof prefix));
    buf_put(out, message);
}

bool
read_request_make(const struct read_question *q, struct buf *out, struct err *err)
{
    CLEANUP(buf_fini) struct buf query;
    CLEANUP(buf_fini) struct buf request;
    buf_init(&query, NULL);
    buf_init(&request, NULL);
    put_number(&query, 1, q->from_ms);
    put_number(&query, 2, q->to_ms);
    for (size_t i = 0; i < q->matcher_count; i++) {
        if (!put_matcher(&query, q->matchers[i], err))
            return false;
    }
    if (q->protocol == READ_STORE_API) {
        put_number(&query, PARTIAL_RESPONSE_STRATEGY, STRATEGY_ABORT);
        put_grpc_message(out, buf_bytes(&query));
        return true;
    }
    for (size_t i = 0; i < q->copies; i++)
        put_bytes(&request, 1, buf_bytes(&query));
    put_number(&request, 2, q->protocol == READ_STREAMED);
    return compress_snappy_encode(buf_bytes(&request), out, err);
}
