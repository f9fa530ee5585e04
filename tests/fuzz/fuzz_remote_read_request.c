/* SPDX-License-Identifier: Apache-2.0 */
/* Any request survives its encoding: with fields that nobody knows between those that
 * we read, which may be there twice, or packed. */
#include "common/base/check.h"
#include "common/wire/remote_read.h"
#include "tests/support/fuzz_script.h"
#include "tests/support/slow_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    QUERIES_MAX = 3,
    MATCHERS_MAX = 4,
    ACCEPTED_MAX = 4,
    TEXT_LIMIT = 40,
    UNKNOWN = 20 /* no message has so many fields */
};

struct query {
    struct wire_query wire;
    struct wire_matcher matchers[MATCHERS_MAX];
};

/* What is asked for, by whose bytes, and whether it may be answered. */
struct work {
    struct fuzz_script script;
    struct query queries[QUERIES_MAX];
    size_t query_count;
    enum wire_response_type response;
    bool is_valid;
};

static void
put_unknown(struct work *w, struct buf *out)
{
    uint8_t how = fuzz_script_byte(&w->script);
    unsigned field = UNKNOWN + (how >> 3);
    switch (how & 7) {
    case 1:
        slow_proto_put_number(out, field, fuzz_script_number(&w->script));
        break;
    case 2:
        slow_proto_put_bytes(out, field, fuzz_script_text(&w->script, TEXT_LIMIT));
        break;
    case 3:
        slow_proto_put_varint(out, (uint64_t)field << 3 | SLOW_PROTO_FIXED64);
        buf_put_be64(out, fuzz_script_number(&w->script));
        break;
    case 4:
        slow_proto_put_varint(out, (uint64_t)field << 3 | SLOW_PROTO_FIXED32);
        buf_put_be32(out, (uint32_t)fuzz_script_number(&w->script));
        break;
    default:
        break;
    }
}

/* A number; one that is there twice counts as its last. */
static int64_t
put_number(struct work *w, unsigned field, struct buf *out)
{
    uint64_t n = fuzz_script_number(&w->script);
    if (n % 16 == 5)
        slow_proto_put_number(out, field, ~n);
    if (n != 0)
        slow_proto_put_number(out, field, n);
    put_unknown(w, out);
    return (int64_t)n;
}

static struct bytes
put_text(struct work *w, unsigned field, struct buf *out)
{
    struct bytes text = fuzz_script_text(&w->script, TEXT_LIMIT);
    slow_proto_put_bytes(out, field, text);
    put_unknown(w, out);
    return text;
}

static void
put_message(struct buf *out, unsigned field, struct buf *message)
{
    slow_proto_put_bytes(out, field, buf_bytes(message));
    buf_fini(message);
}

static void
make_matcher(struct work *w, struct wire_matcher *m, struct buf *out)
{
    CLEANUP(buf_fini) struct buf body = {0};
    uint32_t type = fuzz_script_byte(&w->script);
    type = type > 250 ? type : type % (TSDB_MATCH_NRE + 1);
    m->type = (enum tsdb_matcher_type)type;
    w->is_valid = w->is_valid && type <= TSDB_MATCH_NRE;
    if (type != 0)
        slow_proto_put_number(&body, 1, type);
    m->name = put_text(w, 2, &body);
    m->value = put_text(w, 3, &body);
    put_message(out, 3, &body);
}

static void
make_hints(struct work *w, struct wire_hints *hints, struct buf *out)
{
    CLEANUP(buf_fini) struct buf body = {0};
    hints->present = true;
    hints->step_ms = put_number(w, 1, &body);
    hints->func = put_text(w, 2, &body);
    hints->start_ms = put_number(w, 3, &body);
    hints->end_ms = put_number(w, 4, &body);
    hints->range_ms = put_number(w, 7, &body);
    put_message(out, 4, &body);
}

static void
make_query(struct work *w, struct query *q, struct buf *out)
{
    CLEANUP(buf_fini) struct buf body = {0};
    q->wire.start_ms = put_number(w, 1, &body);
    q->wire.end_ms = put_number(w, 2, &body);
    q->wire.matcher_count = fuzz_script_below(&w->script, MATCHERS_MAX + 1);
    for (size_t i = 0; i < q->wire.matcher_count; i++)
        make_matcher(w, &q->matchers[i], &body);
    if (fuzz_script_byte(&w->script) & 1)
        make_hints(w, &q->wire.hints, &body);
    put_message(out, 1, &body);
}

/* The first one that we know, or samples when none is named. */
static void
make_accepted(struct work *w, struct buf *out)
{
    CLEANUP(buf_fini) struct buf packed = {0};
    uint32_t count = fuzz_script_below(&w->script, ACCEPTED_MAX + 1);
    bool is_packed = fuzz_script_byte(&w->script) & 1, is_known = count == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t type = fuzz_script_below(&w->script, 4);
        if (!is_known)
            w->response = (enum wire_response_type)type;
        is_known = is_known || type <= WIRE_STREAMED_CHUNKS;
        if (is_packed)
            slow_proto_put_varint(&packed, type);
        else
            slow_proto_put_number(out, 2, type);
    }
    if (is_packed && count > 0)
        slow_proto_put_bytes(out, 2, buf_bytes(&packed));
    w->is_valid = w->is_valid && is_known;
}

static void
make_request(struct work *w, struct buf *out)
{
    w->is_valid = true;
    w->query_count = fuzz_script_below(&w->script, QUERIES_MAX + 1);
    for (size_t i = 0; i < w->query_count; i++) {
        make_query(w, &w->queries[i], out);
        put_unknown(w, out);
    }
    make_accepted(w, out);
    put_unknown(w, out);
}

static void
check_hints(const struct wire_hints *a, const struct wire_hints *b)
{
    CHECK(a->present == b->present && a->step_ms == b->step_ms);
    CHECK(a->start_ms == b->start_ms && a->end_ms == b->end_ms);
    CHECK(a->range_ms == b->range_ms && bytes_eq(a->func, b->func));
}

static void
check_query(const struct query *q, const struct wire_query *got)
{
    CHECK(got->start_ms == q->wire.start_ms && got->end_ms == q->wire.end_ms);
    check_hints(&got->hints, &q->wire.hints);
    CHECK(got->matcher_count == q->wire.matcher_count);
    for (size_t i = 0; i < got->matcher_count; i++) {
        CHECK(got->matchers[i].type == q->matchers[i].type);
        CHECK(bytes_eq(got->matchers[i].name, q->matchers[i].name));
        CHECK(bytes_eq(got->matchers[i].value, q->matchers[i].value));
    }
}

static void
check_request(const struct work *w, struct bytes body, struct arena *arena)
{
    struct wire_read_request request;
    struct err err;
    bool ok = wire_read_request_parse(&request, body, arena, &err);
    CHECK(ok == w->is_valid);
    if (!ok) {
        CHECK(err.code == ERR_INVALID);
        return;
    }
    CHECK(request.response == w->response && request.query_count == w->query_count);
    for (size_t i = 0; i < w->query_count; i++)
        check_query(&w->queries[i], &request.queries[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct work w = {.script = {bytes_of(data, size)}};
    CLEANUP(buf_fini) struct buf body = {0};
    struct budget budget;
    struct arena arena;
    budget_init(&budget, "fuzz", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    make_request(&w, &body);
    check_request(&w, buf_bytes(&body), &arena);
    arena_fini(&arena);
    budget_fini(&budget);
    return 0;
}
