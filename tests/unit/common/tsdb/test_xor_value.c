/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/xor_value.h"
#include "tests/unit/common/tsdb/fixture.h"

static const uint64_t values[] = {
    0x3ff0000000000000, 0x3ff0000000000000, TSDB_STALE_BITS,    0x7ff8000000000001,
    0x8000000000000000, 0x0000000000000000, 0x0000000000000001, 0x0000000000000000,
    0xffffffffffffffff, 0xfffffffffffffffe, 0x7ffffffffffffffe, 0x7ffffffffffffffe,
};

static void
every_bit_survives(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    struct tsdb_xor_value written = {.lead = TSDB_XOR_NO_WINDOW}, read = {0};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        tsdb_xor_value_write(&written, &w, values[i]);
    bits_flush(&w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&out));
    struct bits_reader r = bits_reader_of(g.bytes);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        tsdb_xor_value_read(&read, &r);
        assert_int_equal(read.bits, values[i]);
    }
    assert_false(r.bad);
}

/* Bits that each value takes: none that changed; a new window; the same one. */
static void
windows_are_kept_while_changes_fit(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t bits;
    } cases[] = {
        {0, 1},
        {0x0ff0, 2 + 5 + 6 + 33 - 4}, /* no more than 31 zeros in front */
        {0x0ff0, 1},
        {0x0f00, 2 + 33 - 4},
        {0x0f01, 2 + 5 + 6 + 33},
        {0x0f11, 2 + 33},
        {UINT64_C(1) << 63, 2 + 5 + 6 + 64}, /* 64 bits are written as 0 */
    };
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    struct tsdb_xor_value v = {.lead = TSDB_XOR_NO_WINDOW};
    size_t before = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tsdb_xor_value_write(&v, &w, cases[i].value);
        assert_int_equal(out.len * 8 + w.used - before, cases[i].bits);
        before = out.len * 8 + w.used;
    }
}

static void
a_window_wider_than_a_float_is_bad(void **state)
{
    (void)state;
    for (unsigned lead = 0; lead < 32; lead++)
        for (unsigned significant = 0; significant < 64; significant++) {
            CLEANUP(buf_fini) struct buf out = {0};
            struct bits_writer w = bits_writer_of(&out);
            struct tsdb_xor_value v = {0};
            bits_write(&w, 3, 2);
            bits_write(&w, lead, 5);
            bits_write(&w, significant, 6);
            bits_write(&w, UINT64_MAX, 64);
            bits_flush(&w);
            struct bits_reader r = bits_reader_of(buf_bytes(&out));
            tsdb_xor_value_read(&v, &r);
            unsigned width = significant == 0 ? 64 : significant;
            assert_int_equal(r.bad, lead + width > 64);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_survives),
        cmocka_unit_test(windows_are_kept_while_changes_fit),
        cmocka_unit_test(a_window_wider_than_a_float_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
