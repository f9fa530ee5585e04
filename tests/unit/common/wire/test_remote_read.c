/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/wire/remote_read.h"
#include "remote_read.pb-c.h"
#include "tests/support/guard.h"

static void
assert_bytes(struct bytes got, struct bytes expected)
{
    if (!bytes_eq(got, expected))
        fail_msg("got \"%.*s\", expected \"%.*s\"", BYTES_FMT(got),
                 BYTES_FMT(expected));
}

static void
assert_binary(ProtobufCBinaryData got, struct bytes expected)
{
    assert_bytes(bytes_of(got.data, got.len), expected);
}

struct parsed {
    struct budget budget;
    struct arena arena;
    struct wire_read_request request;
    struct err err;
    bool ok;
};

static void
parse(struct parsed *p, struct bytes body, size_t limit)
{
    *p = (struct parsed){0};
    budget_init(&p->budget, "test", limit, NULL);
    arena_init(&p->arena, &p->budget);
    p->ok = wire_read_request_parse(&p->request, body, &p->arena, &p->err);
}

static void
parsed_fini(struct parsed *p)
{
    arena_fini(&p->arena);
    budget_fini(&p->budget);
}

static void
expect_failure(const struct parsed *p, enum err_code code)
{
    assert_false(p->ok);
    if (p->err.code != code)
        fail_msg("%s: %s", err_code_name(p->err.code), p->err.text);
}

/* One query with two matchers and hints, as Prometheus sends it; unknown fields, and a
 * type of EQ that is not written. */
static const struct bytes typical =
    BYTES("\x0a\x45"     /* query */
          "\x08\xe8\x07" /* start 1000 */
          "\x10\xd0\x0f" /* end 2000 */
          "\x1a\x0e\x12\x08__name__\x1a\x02up"
          "\x1a\x10\x08\x02\x12\x03job\x1a\x03"
          "a.*\x28\x00\x30\x01" /* unknown 5 and 6 */
          "\x22\x19\x08\x01\x12\x04rate\x18\x02\x20\x03\x2a\x01"
          "g\x30\x01\x38\x04\x52\x02xx\x60\x05" /* hints, unknown 10 and 12 */
          "\x78\x01"
          "\x10\x01\x10\x00" /* accepted: chunks, samples */
          "\x92\x01\x03"
          "xyz"); /* unknown 18 */

static void
reads_a_typical_request(void **state)
{
    (void)state;
    CLEANUP(guard_fini) struct guard g = guard_new(typical);
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, g.bytes, SIZE_MAX);
    if (!p.ok)
        fail_msg("%s", p.err.text);
    assert_int_equal(p.request.query_count, 1);
    assert_int_equal(p.request.response, WIRE_STREAMED_CHUNKS);
    const struct wire_query *q = &p.request.queries[0];
    assert_int_equal(q->start_ms, 1000);
    assert_int_equal(q->end_ms, 2000);
    assert_int_equal(q->matcher_count, 2);
    assert_int_equal(q->matchers[0].type, TSDB_MATCH_EQ);
    assert_bytes(q->matchers[0].name, BYTES("__name__"));
    assert_bytes(q->matchers[0].value, BYTES("up"));
    assert_int_equal(q->matchers[1].type, TSDB_MATCH_RE);
    assert_bytes(q->matchers[1].name, BYTES("job"));
    assert_bytes(q->matchers[1].value, BYTES("a.*"));
    assert_true(q->hints.present);
    assert_int_equal(q->hints.step_ms, 1);
    assert_bytes(q->hints.func, BYTES("rate"));
    assert_int_equal(q->hints.start_ms, 2);
    assert_int_equal(q->hints.end_ms, 3);
    assert_int_equal(q->hints.range_ms, 4);
}

static void
reads_what_is_not_written_as_zero(void **state)
{
    (void)state;
    static const struct {
        struct bytes body;
        size_t queries;
        bool hints;
    } cases[] = {
        {BYTES(""), 0, false},
        {BYTES("\x0a\x00"), 1, false},
        {BYTES("\x0a\x00\x0a\x02\x22\x00"), 2, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(parsed_fini) struct parsed p;
        parse(&p, cases[i].body, SIZE_MAX);
        assert_true(p.ok);
        assert_int_equal(p.request.response, WIRE_SAMPLES);
        assert_int_equal(p.request.query_count, cases[i].queries);
        if (cases[i].queries == 0)
            continue;
        const struct wire_query *q = &p.request.queries[cases[i].queries - 1];
        assert_int_equal(q->start_ms, 0);
        assert_int_equal(q->matcher_count, 0);
        assert_int_equal(q->hints.present, cases[i].hints);
        assert_int_equal(q->hints.func.len, 0);
    }
}

static void
texts_keep_their_bytes(void **state)
{
    (void)state;
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p,
          BYTES("\x0a\x0d\x1a\x0b\x12\x03"
                "a\0b\x1a\x04\xff\xfe\0\x80"),
          SIZE_MAX);
    assert_true(p.ok);
    assert_bytes(p.request.queries[0].matchers[0].name, BYTES("a\0b"));
    assert_bytes(p.request.queries[0].matchers[0].value, BYTES("\xff\xfe\0\x80"));
}

static void
negative_times_survive(void **state)
{
    (void)state;
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p,
          BYTES("\x0a\x16\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                "\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
          SIZE_MAX);
    assert_true(p.ok);
    assert_int_equal(p.request.queries[0].start_ms, -1);
    assert_int_equal(p.request.queries[0].end_ms, INT64_MIN);
}

static void
takes_the_first_known_response_type(void **state)
{
    (void)state;
    static const struct {
        struct bytes body;
        bool known;
        enum wire_response_type response;
    } cases[] = {
        {BYTES("\x10\x00"), true, WIRE_SAMPLES},
        {BYTES("\x10\x01"), true, WIRE_STREAMED_CHUNKS},
        {BYTES("\x10\x00\x10\x01"), true, WIRE_SAMPLES},
        {BYTES("\x10\x07\x10\x01\x10\x00"), true, WIRE_STREAMED_CHUNKS},
        {BYTES("\x12\x02\x01\x00"), true, WIRE_STREAMED_CHUNKS}, /* packed */
        {BYTES("\x12\x04\xff\x01\x09\x00"), true, WIRE_SAMPLES},
        {BYTES("\x12\x00"), true, WIRE_SAMPLES},
        {BYTES("\x10\x02"), false, 0},
        {BYTES("\x12\x02\x02\x03"), false, 0},
        {BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(parsed_fini) struct parsed p;
        parse(&p, cases[i].body, SIZE_MAX);
        if (!cases[i].known)
            expect_failure(&p, ERR_INVALID);
        else
            assert_int_equal(p.request.response, cases[i].response);
    }
}

static void
refuses_what_is_no_request(void **state)
{
    (void)state;
    static const struct bytes bodies[] = {
        BYTES("\x0a"),                     /* no length */
        BYTES("\x0a\x05\x08\x01"),         /* query cut */
        BYTES("\x0a\xff\xff\xff\xff\x0f"), /* length of 4 GiB */
        BYTES("\x0a\x02\x1a\x7f"),         /* matcher cut */
        BYTES("\x0a\x04\x1a\x02\x08\x04"), /* matcher of type 4 */
        BYTES("\x0a\x0d\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* -1 */
        BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        BYTES("\x00\x00"), /* field 0 */
        BYTES("\x0b\x0c"), /* groups */
        BYTES("not protobuf"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        CLEANUP(guard_fini) struct guard g = guard_new(bodies[i]);
        CLEANUP(parsed_fini) struct parsed p;
        parse(&p, g.bytes, SIZE_MAX);
        expect_failure(&p, ERR_INVALID);
    }
}

static void
expect_no_harm(void *arg, struct bytes body)
{
    (void)arg;
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, body, 1 << 20);
    if (!p.ok)
        expect_failure(&p, p.err.code == ERR_BUDGET ? ERR_BUDGET : ERR_INVALID);
}

static void
truncations_and_bit_flips_do_no_harm(void **state)
{
    (void)state;
    for_each_truncation(typical, expect_no_harm, NULL);
    for_each_bit_flip(typical, expect_no_harm, NULL);
}

static void
many_queries_are_bounded_by_the_budget(void **state)
{
    (void)state;
    enum { COUNT = 100000, LIMIT = 1 << 20 };
    CLEANUP(buf_fini) struct buf body = {0};
    for (int i = 0; i < COUNT; i++)
        buf_put(&body, BYTES("\x0a\x00"));
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, buf_bytes(&body), LIMIT);
    expect_failure(&p, ERR_BUDGET);
    assert_true(budget_peak(&p.budget) <= LIMIT);
}

static const struct tsdb_label label_array[] = {
    {BYTES("__name__"), BYTES("up")},
    {BYTES("job"), BYTES("")},
    {BYTES("k8s.pod"), BYTES("k\xc3\xb6ln")},
};
static const struct tsdb_labels labels = {label_array, ARRAY_LEN(label_array)};

static struct tsdb_timed_chunk chunks[] = {
    {0, 0, {.encoding = TSDB_CHUNK_XOR, .data = BYTES("first\0chunk")}},
    {-5, 1600000000000, {.encoding = TSDB_CHUNK_XOR2, .data = BYTES("second")}},
    {INT64_MIN,
     INT64_MAX,
     {.encoding = TSDB_CHUNK_FLOAT_HISTOGRAM_ST, .data = BYTES("")}},
};

static int
hash_chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        chunks[i].chunk.crc = tsdb_chunk_crc(&chunks[i].chunk);
    return 0;
}

static void
check_labels(Wirepb__Label *const *got, size_t count)
{
    assert_int_equal(count, labels.len);
    for (size_t i = 0; i < count; i++) {
        assert_binary(got[i]->name, labels.at[i].name);
        assert_binary(got[i]->value, labels.at[i].value);
    }
}

/* Check the frame at the start of c, and step behind it. */
static void
check_frame(struct cursor *c, size_t query_index, size_t chunk_count)
{
    uint64_t len = varint_u64(c);
    uint32_t crc = cursor_be32(c);
    struct bytes message = cursor_take(c, len);
    assert_false(c->bad);
    assert_int_equal(crc, crc32c(message));
    Wirepb__ChunkedReadResponse *frame =
        wirepb__chunked_read_response__unpack(NULL, message.len, message.at);
    assert_non_null(frame);
    assert_int_equal(frame->query_index, query_index);
    assert_int_equal(frame->n_series, 1);
    check_labels(frame->series[0]->labels, frame->series[0]->n_labels);
    assert_int_equal(frame->series[0]->n_chunks, chunk_count);
    for (size_t i = 0; i < chunk_count; i++) {
        const Wirepb__Chunk *chunk = frame->series[0]->chunks[i];
        assert_int_equal(chunk->mint_ms, chunks[i].mint_ms);
        assert_int_equal(chunk->maxt_ms, chunks[i].maxt_ms);
        assert_int_equal(chunk->encoding, chunks[i].chunk.encoding);
        assert_binary(chunk->data, chunks[i].chunk.data);
    }
    assert_int_equal(wirepb__chunked_read_response__get_packed_size(frame),
                     message.len);
    wirepb__chunked_read_response__free_unpacked(frame, NULL);
}

static void
frames_are_read_back(void **state)
{
    (void)state;
    static const size_t indices[] = {0, 1, 127, 128, 100000};
    CLEANUP(buf_fini) struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(indices); i++)
        for (size_t count = 1; count <= ARRAY_LEN(chunks); count++) {
            size_t before = out.len;
            uint64_t size = wire_frame_put(indices[i], labels, chunks, count, &out);
            assert_int_equal(out.len - before, size);
        }
    struct cursor c = cursor_of(buf_bytes(&out));
    for (size_t i = 0; i < ARRAY_LEN(indices); i++)
        for (size_t count = 1; count <= ARRAY_LEN(chunks); count++)
            check_frame(&c, indices[i], count);
    assert_int_equal(c.rest.len, 0);
}

static void
a_frame_has_these_bytes(void **state)
{
    (void)state;
    static const struct tsdb_label label = {BYTES("a"), BYTES("b")};
    struct tsdb_timed_chunk chunk = {
        1, 2, {.encoding = TSDB_CHUNK_XOR, .data = BYTES("xy")}};
    CLEANUP(buf_fini) struct buf out = {0};
    chunk.chunk.crc = tsdb_chunk_crc(&chunk.chunk);
    uint64_t size = wire_frame_put(3, (struct tsdb_labels){&label, 1}, &chunk, 1, &out);
    static const struct bytes message =
        BYTES("\x0a\x14\x0a\x06\x0a\x01"
              "a\x12\x01"
              "b\x12\x0a\x08\x01\x10\x02\x18\x01\x22\x02xy\x10\x03");
    assert_int_equal(size, out.len);
    assert_int_equal(out.at[0], message.len);
    assert_int_equal(be32_load(out.at + 1), crc32c(message));
    assert_bytes(bytes_of(out.at + 5, out.len - 5), message);
}

static void
a_frame_that_does_not_fit_latches(void **state)
{
    (void)state;
    struct budget budget;
    struct buf out;
    struct err err;
    budget_init(&budget, "test", 300, NULL);
    buf_init(&out, &budget);
    static uint8_t data[1000];
    const struct tsdb_timed_chunk chunk = {
        1, 2, {.encoding = TSDB_CHUNK_XOR, .data = bytes_of(data, sizeof data)}};
    wire_frame_put(0, labels, &chunk, 1, &out);
    assert_false(buf_ok(&out, &err));
    assert_int_equal(err.code, ERR_BUDGET);
    buf_fini(&out);
    budget_fini(&budget);
}

static void
a_frame_that_clients_refuse_is_not_written(void **state)
{
    (void)state;
    static uint8_t data[WIRE_FRAME_MAX];
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    struct tsdb_timed_chunk chunk = {
        1, 2, {.encoding = TSDB_CHUNK_XOR, .data = bytes_of(data, sizeof data)}};
    assert_true(wire_frame_put(0, labels, &chunk, 1, &out) > WIRE_FRAME_MAX);
    assert_int_equal(out.len, 0);
    assert_true(buf_ok(&out, &err));
    chunk.chunk.data.len -= 100;
    chunk.chunk.crc = tsdb_chunk_crc(&chunk.chunk);
    uint64_t size = wire_frame_put(0, labels, &chunk, 1, &out);
    assert_true(size <= WIRE_FRAME_MAX && size > WIRE_FRAME_MAX - 100);
    assert_int_equal(out.len, size);
}

#define STALE UINT64_C(0x7ff0000000000002)

static const struct tsdb_sample samples[] = {
    {0, 0},
    {1, 0x8000000000000000},
    {-1, 0x7ff0000000000002},
    {INT64_MAX, 0x3ff0000000000000},
};

/* A series with the first count samples, in two portions. Both sizes are as written. */
static void
put_series(size_t count, struct buf *out)
{
    size_t begin = out->len, first = count / 2;
    uint64_t len = wire_samples_size(samples, count);
    wire_series_head_put(labels, len, out);
    size_t samples_begin = out->len;
    wire_samples_put(samples, first, out);
    wire_samples_put(samples + first, count - first, out);
    assert_int_equal(out->len - samples_begin, len);
    assert_int_equal(out->len - begin, wire_series_size(labels, len));
}

static void
put_result(const size_t *counts, size_t count, struct buf *out)
{
    CLEANUP(buf_fini) struct buf series = {0};
    size_t begin = out->len;
    for (size_t i = 0; i < count; i++)
        put_series(counts[i], &series);
    wire_result_head_put(series.len, out);
    buf_put(out, buf_bytes(&series));
    assert_int_equal(out->len - begin, wire_result_size(series.len));
}

static void
sampled_answers_are_read_back(void **state)
{
    (void)state;
    static const size_t counts[] = {ARRAY_LEN(samples), 1, 0};
    CLEANUP(buf_fini) struct buf out = {0};
    put_result(NULL, 0, &out);
    put_result(counts, ARRAY_LEN(counts), &out);
    put_result(NULL, 0, &out);
    Wirepb__ReadResponse *response =
        wirepb__read_response__unpack(NULL, out.len, out.at);
    assert_non_null(response);
    assert_int_equal(response->n_results, 3);
    assert_int_equal(response->results[0]->n_series, 0);
    assert_int_equal(response->results[1]->n_series, ARRAY_LEN(counts));
    assert_int_equal(response->results[2]->n_series, 0);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        const Wirepb__TimeSeries *series = response->results[1]->series[i];
        check_labels(series->labels, series->n_labels);
        assert_int_equal(series->n_samples, counts[i]);
        for (size_t k = 0; k < counts[i]; k++) {
            assert_int_equal(series->samples[k]->t_ms, samples[k].t_ms);
            assert_memory_equal(&series->samples[k]->value, &samples[k].value_bits, 8);
        }
    }
    wirepb__read_response__free_unpacked(response, NULL);
}

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void
sizes_of_random_samples_are_those_written(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 300; round++) {
        struct tsdb_sample some[50];
        CLEANUP(buf_fini) struct buf out = {0};
        for (size_t i = 0; i < ARRAY_LEN(some); i++) {
            uint64_t bits = next_random(&random);
            /* Of every length, negative ones among them. */
            some[i].t_ms = (int64_t)(next_random(&random) >> bits % 65 / 2 * 2 % 64);
            some[i].value_bits = bits % 5 == 0 ? 0 : bits % 5 == 1 ? STALE : bits;
        }
        wire_samples_put(some, ARRAY_LEN(some), &out);
        assert_int_equal(out.len, wire_samples_size(some, ARRAY_LEN(some)));
    }
}

static void
samples_that_do_not_fit_latch(void **state)
{
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    budget_init(&budget, "test", 20, NULL);
    CLEANUP(buf_fini) struct buf out;
    struct err err;
    buf_init(&out, &budget);
    wire_samples_put(samples, ARRAY_LEN(samples), &out);
    assert_false(buf_ok(&out, &err));
    assert_int_equal(err.code, ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_typical_request),
        cmocka_unit_test(reads_what_is_not_written_as_zero),
        cmocka_unit_test(texts_keep_their_bytes),
        cmocka_unit_test(negative_times_survive),
        cmocka_unit_test(takes_the_first_known_response_type),
        cmocka_unit_test(refuses_what_is_no_request),
        cmocka_unit_test(truncations_and_bit_flips_do_no_harm),
        cmocka_unit_test(many_queries_are_bounded_by_the_budget),
        cmocka_unit_test(frames_are_read_back),
        cmocka_unit_test(a_frame_has_these_bytes),
        cmocka_unit_test(a_frame_that_does_not_fit_latches),
        cmocka_unit_test(a_frame_that_clients_refuse_is_not_written),
        cmocka_unit_test(sampled_answers_are_read_back),
        cmocka_unit_test(sizes_of_random_samples_are_those_written),
        cmocka_unit_test(samples_that_do_not_fit_latch),
    };
    return cmocka_run_group_tests(tests, hash_chunks, NULL);
}
