/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/series.h"
#include "tests/unit/common/tsdb/fixture.h"

static const struct tsdb_chunk_meta chunks[] = {
    {1000, 1999, 8},
    {2000, 2000, 100},
    {2001, 2999, (UINT64_C(1) << 32) + 8},
};

/* An entry with labels (1,2), (3,4) and these chunks. */
static void
put_entry(struct buf *b, const struct tsdb_chunk_meta *at, size_t count)
{
    CLEANUP(buf_fini) struct buf p = {0};
    buf_put(&p, BYTES("\x02\x01\x02\x03\x04"));
    varint_put_u64(&p, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t mint = (uint64_t)at[i].mint_ms;
        if (i == 0)
            varint_put_i64(&p, at[i].mint_ms);
        else
            varint_put_u64(&p, mint - (uint64_t)at[i - 1].maxt_ms);
        varint_put_u64(&p, (uint64_t)at[i].maxt_ms - mint);
        if (i == 0)
            varint_put_u64(&p, at[i].ref);
        else
            varint_put_i64(&p, (int64_t)(at[i].ref - at[i - 1].ref));
    }
    put_record(b, buf_bytes(&p));
}

struct parsed {
    struct room room;
    struct tsdb_series series;
    struct err err;
    bool ok;
};

static void
parse(struct parsed *p, struct bytes entry, int64_t mint_ms, int64_t maxt_ms)
{
    room_init(&p->room, SIZE_MAX);
    p->series = (struct tsdb_series){0};
    p->ok =
        tsdb_series_parse(&p->series, entry, mint_ms, maxt_ms, &p->room.arena, &p->err);
}

static void
parsed_fini(struct parsed *p)
{
    room_fini(&p->room);
}

static void
reads_labels_and_chunks(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, chunks, ARRAY_LEN(chunks));
    uint64_t size;
    assert_true(tsdb_series_size(buf_bytes(&entry), &size));
    assert_int_equal(size, entry.len);
    buf_put_str(&entry, "what stands behind it");
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, buf_bytes(&entry), INT64_MIN, INT64_MAX);
    assert_done(p.ok, &p.err);
    static const struct tsdb_series_label labels[] = {{1, 2}, {3, 4}};
    assert_int_equal(p.series.label_count, 2);
    assert_memory_equal(p.series.labels, labels, sizeof labels);
    assert_int_equal(p.series.chunk_count, ARRAY_LEN(chunks));
    assert_memory_equal(p.series.chunks, chunks, sizeof chunks);
    assert_int_equal(tsdb_chunk_ref_segment(p.series.chunks[2].ref), 1);
    assert_int_equal(tsdb_chunk_ref_offset(p.series.chunks[2].ref), 8);
}

static void
keeps_chunks_that_overlap_the_range(void **state)
{
    (void)state;
    static const struct {
        int64_t mint_ms, maxt_ms;
        size_t first, count;
    } cases[] = {
        {0, 999, 0, 0},     {0, 1000, 0, 1},    {1999, 1999, 0, 1}, {1999, 2000, 0, 2},
        {2000, 2000, 1, 1}, {2001, 9999, 2, 1}, {3000, 9999, 0, 0}, {5000, 10, 0, 0},
    };
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, chunks, ARRAY_LEN(chunks));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(parsed_fini) struct parsed p;
        parse(&p, buf_bytes(&entry), cases[i].mint_ms, cases[i].maxt_ms);
        assert_done(p.ok, &p.err);
        assert_int_equal(p.series.chunk_count, cases[i].count);
        if (cases[i].count > 0)
            assert_memory_equal(p.series.chunks, &chunks[cases[i].first],
                                cases[i].count * sizeof *chunks);
    }
}

static void
reads_chunks_in_any_order(void **state)
{
    (void)state;
    static const struct tsdb_chunk_meta wild[] = {
        {-5000, -1, 5000},
        {INT64_MIN, INT64_MAX, 8},
        {-100, -50, UINT64_MAX},
    };
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, wild, ARRAY_LEN(wild));
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, buf_bytes(&entry), -60, 0);
    assert_done(p.ok, &p.err);
    assert_int_equal(p.series.chunk_count, ARRAY_LEN(wild));
    assert_memory_equal(p.series.chunks, wild, sizeof wild);
}

static void
reads_series_without_chunks(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, NULL, 0);
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, buf_bytes(&entry), INT64_MIN, INT64_MAX);
    assert_done(p.ok, &p.err);
    assert_int_equal(p.series.label_count, 2);
    assert_int_equal(p.series.chunk_count, 0);
}

static void
rejects_broken_payloads(void **state)
{
    (void)state;
    static const struct bytes payloads[] = {
        BYTES(""),
        BYTES("\x01"),
        BYTES("\x02\x01\x02\x03"), /* half a label */
        BYTES("\x01\x01\x02"),     /* no chunk count */
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x02"),
        BYTES("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x01\x01\x02\x00"),
        BYTES("\x01\x80\x80\x80\x80\x10\x02\x00"),     /* symbol 2^32 */
        BYTES("\x01\x01\x02\x01"),                     /* no chunk */
        BYTES("\x01\x01\x02\x01\x02\x02"),             /* no ref */
        BYTES("\x01\x01\x02\x02\x02\x02\x02\x01\x01"), /* second one cut */
        BYTES("\x01\x01\x02\xff\xff\xff\xff\x0f\x02\x02\x02"),
        BYTES("\x01\x01\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01\x01"),
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        CLEANUP(buf_fini) struct buf entry = {0};
        put_record(&entry, payloads[i]);
        CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&entry));
        CLEANUP(parsed_fini) struct parsed p;
        parse(&p, g.bytes, INT64_MIN, INT64_MAX);
        assert_failed(p.ok, &p.err, ERR_CORRUPT);
        assert_null(p.series.labels);
    }
}

static void
expect_corrupt(void *arg, struct bytes entry)
{
    (void)arg;
    CLEANUP(parsed_fini) struct parsed p;
    parse(&p, entry, INT64_MIN, INT64_MAX);
    assert_failed(p.ok, &p.err, ERR_CORRUPT);
}

static void
rejects_truncations_and_bit_flips(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, chunks, ARRAY_LEN(chunks));
    for_each_truncation(buf_bytes(&entry), expect_corrupt, NULL);
    for_each_bit_flip(buf_bytes(&entry), expect_corrupt, NULL);
}

static void
size_needs_a_whole_length_field(void **state)
{
    (void)state;
    static const struct {
        struct bytes bytes;
        bool known;
        uint64_t size;
    } cases[] = {
        {BYTES(""), false, 0},
        {BYTES("\x80"), false, 0},
        {BYTES("\x80\x80\x80\x80\x80"), false, 0},
        {BYTES("\x80\x80\x80\x80\x80\x01"), false, 0}, /* 6 bytes */
        {BYTES("\x00"), true, 5},
        {BYTES("\x80\x01"), true, 134},
        {BYTES("\xff\xff\xff\xff\x7f"), true, 0x7ffffffff + 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t size = 0;
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].bytes);
        assert_int_equal(tsdb_series_size(g.bytes, &size), cases[i].known);
        assert_int_equal(size, cases[i].size);
    }
}

static void
memory_is_bounded_by_the_budget(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf entry = {0};
    put_entry(&entry, chunks, ARRAY_LEN(chunks));
    CLEANUP(room_fini) struct room room;
    room_init(&room, 10);
    struct tsdb_series series;
    struct err err;
    assert_failed(
        tsdb_series_parse(&series, buf_bytes(&entry), 0, INT64_MAX, &room.arena, &err),
        &err, ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_labels_and_chunks),
        cmocka_unit_test(keeps_chunks_that_overlap_the_range),
        cmocka_unit_test(reads_chunks_in_any_order),
        cmocka_unit_test(reads_series_without_chunks),
        cmocka_unit_test(rejects_broken_payloads),
        cmocka_unit_test(rejects_truncations_and_bit_flips),
        cmocka_unit_test(size_needs_a_whole_length_field),
        cmocka_unit_test(memory_is_bounded_by_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
