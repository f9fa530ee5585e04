/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/bits.h"
#include "common/codec/varint.h"
#include "tests/support/guard.h"

static const struct bytes sample =
    BYTES("\xa5\x5a\xff\x00\x12\x34\x56\x78\x9a\xbc\xde\xf0\x0f\x1e\x2d\x3c\x4b\x5a\x69"
          "\x78\x87\x96\xa5\xb4\xc3\xd2\xe1");

/* One bit after the other: what bits_read is compared with. */
static uint64_t
slow_read(struct bytes b, size_t bit, unsigned n)
{
    uint64_t v = 0;
    for (; n > 0; n--, bit++)
        v = v << 1 | ((unsigned)b.at[bit / 8] >> (7 - bit % 8) & 1);
    return v;
}

static void
reads_every_width_at_every_position(void **state)
{
    (void)state;
    CLEANUP(guard_fini) struct guard g = guard_new(sample);
    size_t total = g.bytes.len * 8;
    for (unsigned skip = 0; skip <= 64; skip++)
        for (unsigned n = 0; n <= 64; n++) {
            struct bits_reader r = bits_reader_of(g.bytes);
            assert_int_equal(bits_read(&r, skip), slow_read(g.bytes, 0, skip));
            size_t at = skip;
            for (; at + n <= total && at < total; at += n ? n : total)
                assert_int_equal(bits_read(&r, n), slow_read(g.bytes, at, n));
            assert_false(r.bad);
        }
}

static void
reads_up_to_the_last_bit_and_no_further(void **state)
{
    (void)state;
    for (size_t len = 0; len <= sample.len; len++)
        for (unsigned n = 1; n <= 64; n++) {
            CLEANUP(guard_fini) struct guard g = guard_new(bytes_of(sample.at, len));
            struct bits_reader r = bits_reader_of(g.bytes);
            for (size_t whole = len * 8 / n; whole > 0; whole--)
                bits_read(&r, n);
            assert_false(r.bad);
            assert_int_equal(bits_read(&r, n), 0);
            assert_true(r.bad);
        }
}

static void
stays_bad_and_yields_zeros(void **state)
{
    (void)state;
    struct bits_reader r = bits_reader_of(BYTES("\xff"));
    assert_int_equal(bits_read(&r, 9), 0);
    for (unsigned n = 0; n <= 64; n++)
        assert_int_equal(bits_read(&r, n), 0);
    assert_int_equal(bits_read_uvarint(&r), 0);
    assert_int_equal(bits_read_varint(&r), 0);
    assert_true(r.bad);
}

static void
counts_ones_at_every_position(void **state)
{
    (void)state;
    CLEANUP(guard_fini) struct guard g = guard_new(sample);
    size_t total = g.bytes.len * 8;
    for (unsigned skip = 0; skip <= 64; skip++)
        for (unsigned max = 1; max <= 63; max++) {
            struct bits_reader r = bits_reader_of(g.bytes);
            bits_read(&r, skip);
            for (size_t at = skip; at + max <= total;) {
                unsigned ones = 0;
                while (ones < max && slow_read(g.bytes, at + ones, 1) == 1)
                    ones++;
                assert_int_equal(bits_read_ones(&r, max), ones);
                at += ones < max ? ones + 1 : max;
                assert_int_equal(bits_left(&r), total - at);
            }
            assert_false(r.bad);
        }
}

static void
ones_end_with_the_data(void **state)
{
    (void)state;
    CLEANUP(guard_fini) struct guard g = guard_new(BYTES("\xff\xff"));
    struct bits_reader r = bits_reader_of(g.bytes);
    assert_int_equal(bits_read_ones(&r, 16), 16);
    assert_false(r.bad);
    r = bits_reader_of(g.bytes);
    bits_read_ones(&r, 17);
    assert_true(r.bad);
    assert_int_equal(bits_read_ones(&r, 5), 0);
    assert_int_equal(bits_left(&r), 0);
}

static void
writes_ones_and_varints_that_are_read_again(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    for (unsigned ones = 0; ones <= 63; ones++) {
        bits_write_ones(&w, ones, 63);
        bits_write_uvarint(&w, UINT64_MAX >> ones);
        bits_write_varint(&w, INT64_MIN >> ones);
    }
    bits_flush(&w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&out));
    struct bits_reader r = bits_reader_of(g.bytes);
    for (unsigned ones = 0; ones <= 63; ones++) {
        assert_int_equal(bits_read_ones(&r, 63), ones);
        assert_int_equal(bits_read_uvarint(&r), UINT64_MAX >> ones);
        assert_int_equal(bits_read_varint(&r), INT64_MIN >> ones);
    }
    assert_false(r.bad);
}

static void
reading_no_bits_is_never_an_error(void **state)
{
    (void)state;
    struct bits_reader r = bits_reader_of((struct bytes){0});
    assert_int_equal(bits_read(&r, 0), 0);
    assert_false(r.bad);
}

static void
writes_what_it_reads(void **state)
{
    (void)state;
    for (unsigned skip = 0; skip <= 64; skip++)
        for (unsigned n = 0; n <= 64; n++) {
            CLEANUP(buf_fini) struct buf out = {0};
            struct bits_writer w = bits_writer_of(&out);
            uint64_t value = UINT64_C(0xdeadbeefcafef00d);
            bits_write(&w, UINT64_MAX, skip);
            bits_write(&w, value, n);
            bits_flush(&w);
            assert_int_equal(out.len, (skip + n + 7) / 8);
            struct bits_reader r = bits_reader_of(buf_bytes(&out));
            bits_read(&r, skip);
            assert_int_equal(bits_read(&r, n),
                             n < 64 ? value & ((UINT64_C(1) << n) - 1) : value);
            unsigned padding = (unsigned)(out.len * 8) - skip - n;
            assert_int_equal(bits_read(&r, padding), 0);
            assert_false(r.bad);
        }
}

/* The varint bytes behind an offset of some bits. */
static struct bits_reader
shifted(struct buf *out, struct bytes varint, unsigned offset)
{
    struct bits_writer w = bits_writer_of(out);
    bits_write(&w, 0, offset);
    for (size_t i = 0; i < varint.len; i++)
        bits_write(&w, varint.at[i], 8);
    bits_flush(&w);
    struct bits_reader r = bits_reader_of(buf_bytes(out));
    bits_read(&r, offset);
    return r;
}

static void
reads_varints_at_any_bit(void **state)
{
    static const uint64_t values[] = {0,         1, 127, 128, 15000, UINT64_MAX / 3,
                                      UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        for (unsigned offset = 0; offset < 16; offset++) {
            CLEANUP(buf_fini) struct buf out = {0};
            uint8_t raw[VARINT_MAX_BYTES];
            struct bytes varint = {raw, varint_store_u64(raw, values[i])};
            struct bits_reader r = shifted(&out, varint, offset);
            struct bits_reader again = r;
            assert_int_equal(bits_read_uvarint(&r), values[i]);
            assert_int_equal(bits_read_varint(&again), varint_unzigzag(values[i]));
            assert_false(r.bad);
        }
}

static void
rejects_varints_that_are_cut_or_too_long(void **state)
{
    static const struct bytes broken[] = {
        BYTES(""),
        BYTES("\x80"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        CLEANUP(guard_fini) struct guard g = guard_new(broken[i]);
        struct bits_reader r = bits_reader_of(g.bytes);
        assert_int_equal(bits_read_uvarint(&r), 0);
        assert_true(r.bad);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_width_at_every_position),
        cmocka_unit_test(reads_up_to_the_last_bit_and_no_further),
        cmocka_unit_test(stays_bad_and_yields_zeros),
        cmocka_unit_test(counts_ones_at_every_position),
        cmocka_unit_test(ones_end_with_the_data),
        cmocka_unit_test(writes_ones_and_varints_that_are_read_again),
        cmocka_unit_test(reading_no_bits_is_never_an_error),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(reads_varints_at_any_bit),
        cmocka_unit_test(rejects_varints_that_are_cut_or_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
