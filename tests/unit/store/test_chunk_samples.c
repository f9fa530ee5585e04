/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "store/chunk_samples.h"
#include "tests/support/expect.h"

#define STALE UINT64_C(0x7ff0000000000002)

static const struct tsdb_sample samples[] = {
    {-30000, 0}, {-15000, STALE}, {0, 0x8000000000000000}, {15000, 0}, {30001, 7},
};

enum { COUNT = ARRAY_LEN(samples) };

static struct tsdb_chunk
encode(const struct tsdb_sample *from, size_t count, struct buf *data)
{
    struct tsdb_xor_writer writer;
    tsdb_xor_writer_init(&writer, data);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&writer, from[i]);
    tsdb_xor_finish(&writer);
    return tsdb_chunk_loose(TSDB_CHUNK_XOR, buf_bytes(data));
}

static void
expect_range(int64_t mint_ms, int64_t maxt_ms, size_t first, size_t count)
{
    struct err err;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    const struct tsdb_chunk chunk = encode(samples, COUNT, &data);
    buf_put_str(&out, "of the chunk before");
    expect_ok(store_chunk_samples(&chunk, mint_ms, maxt_ms, &out, &err), err);
    assert_int_equal(store_samples_count(&out), count);
    if (count > 0)
        assert_memory_equal(store_samples_at(&out), samples + first,
                            count * sizeof *samples);
}

static void
yields_those_in_the_range(void **state)
{
    (void)state;
    expect_range(INT64_MIN, INT64_MAX, 0, COUNT);
    expect_range(-30000, 30001, 0, COUNT);
    expect_range(-29999, 30000, 1, 3);
    expect_range(INT64_MIN, -15000, 0, 2);
    expect_range(15000, INT64_MAX, 3, 2);
    expect_range(0, 0, 2, 1);
    expect_range(1, 14999, 0, 0);
    expect_range(30002, INT64_MAX, 0, 0);
    expect_range(1, 0, 0, 0);
}

/* Blocks may hold anything: the range decides for each sample alone. */
static void
yields_those_in_the_range_out_of_order(void **state)
{
    static const struct tsdb_sample mixed[] = {{9, 1}, {2, 2}, {8, 3}, {1, 4}, {7, 5}};
    static const struct tsdb_sample kept[] = {{2, 2}, {8, 3}, {7, 5}};
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    const struct tsdb_chunk chunk = encode(mixed, ARRAY_LEN(mixed), &data);
    expect_ok(store_chunk_samples(&chunk, 2, 8, &out, &err), err);
    assert_int_equal(store_samples_count(&out), ARRAY_LEN(kept));
    assert_memory_equal(store_samples_at(&out), kept, sizeof kept);
}

static void
an_empty_chunk_has_none(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    const struct tsdb_chunk chunk = encode(NULL, 0, &data);
    expect_ok(store_chunk_samples(&chunk, INT64_MIN, INT64_MAX, &out, &err), err);
    assert_int_equal(store_samples_count(&out), 0);
}

static void
reports_what_it_cannot_decode(void **state)
{
    (void)state;
    struct err err;
    struct budget budget;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    struct tsdb_chunk chunk = encode(samples, COUNT, &data);
    chunk.data.len--;
    expect_fails(store_chunk_samples(&chunk, 0, 1, &out, &err), err, ERR_CORRUPT);
    chunk.data.len++;
    chunk.encoding = TSDB_CHUNK_FLOAT_HISTOGRAM;
    expect_fails(store_chunk_samples(&chunk, 0, 1, &out, &err), err, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, tsdb_chunk_encoding_name(chunk.encoding)));
    chunk.encoding = TSDB_CHUNK_XOR;
    budget_init(&budget, "test", 8, NULL);
    CLEANUP(buf_fini) struct buf small;
    buf_init(&small, &budget);
    expect_fails(store_chunk_samples(&chunk, 0, 1, &small, &err), err, ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yields_those_in_the_range),
        cmocka_unit_test(yields_those_in_the_range_out_of_order),
        cmocka_unit_test(an_empty_chunk_has_none),
        cmocka_unit_test(reports_what_it_cannot_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
