/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/varbit.h"
#include "tests/support/guard.h"

/* Bits that a number takes, as the format has it. */
struct row {
    int64_t lowest;
    int64_t highest;
    uint64_t highest_unsigned;
    unsigned bits;
};

static const struct row rows[] = {
    {0, 0, 0, 1},
    {-3, 4, 7, 5},
    {-31, 32, 63, 9},
    {-255, 256, 511, 13},
    {-2047, 2048, 4095, 17},
    {-131071, 131072, 262143, 24},
    {-16777215, 16777216, 33554431, 32},
    {-(INT64_C(1) << 55) + 1, INT64_C(1) << 55, (UINT64_C(1) << 56) - 1, 64},
    {INT64_MIN, INT64_MAX, UINT64_MAX, 72},
};

static void
expect_i64(int64_t v, unsigned bits)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    varbit_write_i64(&w, v);
    assert_int_equal(out.len * 8 + w.used, bits);
    bits_flush(&w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&out));
    struct bits_reader r = bits_reader_of(g.bytes);
    assert_int_equal(varbit_read_i64(&r), v);
    assert_false(r.bad);
    assert_int_equal(bits_left(&r), out.len * 8 - bits);
}

static void
expect_u64(uint64_t v, unsigned bits)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    varbit_write_u64(&w, v);
    assert_int_equal(out.len * 8 + w.used, bits);
    bits_flush(&w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&out));
    struct bits_reader r = bits_reader_of(g.bytes);
    assert_int_equal(varbit_read_u64(&r), v);
    assert_false(r.bad);
}

static void
each_width_holds_what_the_format_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        expect_i64(row->lowest, row->bits);
        expect_i64(row->highest, row->bits);
        expect_u64(row->highest_unsigned, row->bits);
        if (i + 1 == ARRAY_LEN(rows))
            break;
        expect_i64(row->lowest - 1, rows[i + 1].bits);
        expect_i64(row->highest + 1, rows[i + 1].bits);
        expect_u64(row->highest_unsigned + 1, rows[i + 1].bits);
    }
}

/* Whoever reads accepts numbers in forms longer than they need. */
static void
reads_each_form_of_a_number(void **state)
{
    (void)state;
    for (unsigned ones = 1; ones <= VARBIT_MAX_ONES; ones++) {
        CLEANUP(buf_fini) struct buf out = {0};
        struct bits_writer w = bits_writer_of(&out);
        for (uint64_t v = 0; v < 6; v++) {
            bits_write_ones(&w, ones, VARBIT_MAX_ONES);
            bits_write(&w, v - 3, varbit_widths[ones]);
        }
        bits_flush(&w);
        struct bits_reader r = bits_reader_of(buf_bytes(&out));
        for (int64_t v = 0; v < 6; v++)
            assert_int_equal(varbit_read_i64(&r), v - 3);
        assert_false(r.bad);
    }
}

static void
goes_bad_where_the_data_ends(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    varbit_write_u64(&w, UINT64_MAX);
    bits_flush(&w);
    for (size_t len = 0; len < out.len; len++) {
        CLEANUP(guard_fini) struct guard g = guard_new(bytes_of(out.at, len));
        struct bits_reader r = bits_reader_of(g.bytes);
        varbit_read_u64(&r);
        assert_true(r.bad);
        r = bits_reader_of(g.bytes);
        varbit_read_i64(&r);
        assert_true(r.bad);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_width_holds_what_the_format_says),
        cmocka_unit_test(reads_each_form_of_a_number),
        cmocka_unit_test(goes_bad_where_the_data_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
