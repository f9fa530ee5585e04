/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/compress.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

enum { LIMIT = 1 << 20 };

/* "hello hello hello": a literal and a copy. */
static const struct bytes hello = BYTES("\x11\x14hello \x2a\x06\x00");

static bool
decode(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    CLEANUP(guard_fini) struct guard g = guard_new(in);
    return compress_snappy_decode(g.bytes, limit, out, err);
}

static void
decodes_a_known_block(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    buf_put_str(&out, "> ");
    expect_ok(decode(hello, LIMIT, &out, &err), err);
    assert_string_equal(buf_text(&out), "> hello hello hello");
}

static void
round_trips(void **state)
{
    static const size_t lengths[] = {0, 1, 60, 61, 1000, 70000, 300000};
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CLEANUP(buf_fini) struct buf text = {0};
        CLEANUP(buf_fini) struct buf block = {0};
        CLEANUP(buf_fini) struct buf back = {0};
        for (size_t n = 0; n < lengths[i]; n++)
            buf_put_u8(&text, i % 2 ? 0 : (uint8_t)(n * n >> (n % 7)));
        expect_ok(compress_snappy_encode(buf_bytes(&text), &block, &err), err);
        expect_ok(decode(buf_bytes(&block), LIMIT, &back, &err), err);
        assert_true(bytes_eq(buf_bytes(&text), buf_bytes(&back)));
    }
}

/* Text that compresses well, hardly, and in some places only. */
static void
put_text(struct buf *text, size_t length, int kind)
{
    uint64_t random = 88172645463325252u;
    for (size_t n = 0; n < length; n++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bool is_random = kind == 1 || (kind == 2 && n / 5000 % 2 == 0);
        buf_put_u8(text, is_random ? (uint8_t)random : (uint8_t)(n % 13));
    }
}

static void
portions_make_one_block(void **state)
{
    enum { P = COMPRESS_SNAPPY_PORTION };
    static const size_t lengths[] = {0,     1,     100,       P - 1,     P,
                                     P + 1, 2 * P, 3 * P - 1, 3 * P + 7, 20 * P};
    static const size_t portions[] = {P, 3 * P, 1000};
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(lengths) * 9; i++) {
        CLEANUP(buf_fini) struct buf text = {0};
        CLEANUP(buf_fini) struct buf block = {0};
        CLEANUP(buf_fini) struct buf back = {0};
        size_t length = lengths[i / 9], portion = portions[i / 3 % 3];
        put_text(&text, length, (int)(i % 3));
        expect_ok(compress_snappy_begin(length, &block, &err), err);
        for (size_t at = 0; at < length; at += portion) {
            size_t rest = length - at;
            struct bytes one = bytes_of(text.at + at, rest < portion ? rest : portion);
            expect_ok(compress_snappy_append(one, &block, &err), err);
        }
        expect_ok(decode(buf_bytes(&block), 2 * LIMIT, &back, &err), err);
        assert_true(bytes_eq(buf_bytes(&text), buf_bytes(&back)));
    }
}

static void
an_empty_portion_adds_nothing(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    buf_put_str(&out, "x");
    expect_ok(compress_snappy_append(BYTES(""), &out, &err), err);
    assert_string_equal(buf_text(&out), "x");
}

static void
refuses_more_than_a_block_can_hold(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    expect_ok(compress_snappy_begin(UINT32_MAX, &out, &err), err);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("\xff\xff\xff\xff\x0f")));
    expect_fails(compress_snappy_begin(UINT64_C(1) << 32, &out, &err), err, ERR_BUDGET);
}

static void
refuses_a_claim_above_the_limit_before_it_allocates(void **state)
{
    (void)state;
    struct err err;
    struct budget none;
    budget_init(&none, "test", 0, NULL);
    CLEANUP(buf_fini) struct buf out = {0};
    buf_init(&out, &none);
    expect_fails(decode(BYTES("\xff\xff\xff\xff\x0f\x00"), LIMIT, &out, &err), err,
                 ERR_INVALID);
    expect_fails(decode(hello, 16, &out, &err), err, ERR_INVALID);
    /* 1000 bytes out of nine: 21 each would be too dense. */
    expect_fails(decode(BYTES("\xe8\x07\x00x\x00x\x00x\x00x"), LIMIT, &out, &err), err,
                 ERR_INVALID);
}

static void
reports_a_spent_budget(void **state)
{
    (void)state;
    struct err err;
    struct budget small;
    budget_init(&small, "test", 8, NULL);
    CLEANUP(buf_fini) struct buf out = {0};
    buf_init(&out, &small);
    expect_fails(decode(hello, LIMIT, &out, &err), err, ERR_BUDGET);
    buf_clear(&out);
    expect_fails(compress_snappy_encode(hello, &out, &err), err, ERR_BUDGET);
}

static void
expect_invalid(void *arg, struct bytes bytes)
{
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    (void)arg;
    expect_fails(compress_snappy_decode(bytes, LIMIT, &out, &err), err, ERR_INVALID);
    assert_int_equal(out.len, 0);
}

static void
rejects_each_truncation(void **state)
{
    (void)state;
    for_each_truncation(hello, expect_invalid, NULL);
}

static void
decode_anyway(void *arg, struct bytes bytes)
{
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    (void)arg;
    if (compress_snappy_decode(bytes, LIMIT, &out, &err))
        assert_true(out.len <= LIMIT);
}

static void
survives_each_bit_flip(void **state)
{
    (void)state;
    for_each_bit_flip(hello, decode_anyway, NULL);
}

static void
round_trips_zstd(void **state)
{
    static const size_t lengths[] = {0, 1, 1000, 300000};
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CLEANUP(buf_fini) struct buf text = {0};
        CLEANUP(buf_fini) struct buf frame = {0};
        CLEANUP(buf_fini) struct buf back = {0};
        for (size_t n = 0; n < lengths[i]; n++)
            buf_put_u8(&text, (uint8_t)(n * n >> (n % 7)));
        expect_ok(compress_zstd_encode(buf_bytes(&text), &frame, &err), err);
        expect_ok(compress_zstd_decode(buf_bytes(&frame), lengths[i], &back, &err),
                  err);
        assert_true(bytes_eq(buf_bytes(&text), buf_bytes(&back)));
        if (lengths[i] > 0)
            expect_fails(
                compress_zstd_decode(buf_bytes(&frame), lengths[i] - 1, &back, &err),
                err, ERR_INVALID);
    }
}

static void
refuses_cut_zstd(void *unused, struct bytes in)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    (void)unused;
    expect_fails(compress_zstd_decode(in, LIMIT, &out, &err), err, ERR_INVALID);
    assert_int_equal(out.len, 0);
}

static void
refuses_broken_zstd(void **state)
{
    CLEANUP(buf_fini) struct buf frame = {0};
    struct err err;
    (void)state;
    expect_ok(compress_zstd_encode(BYTES("hello hello hello"), &frame, &err), err);
    for_each_truncation(buf_bytes(&frame), refuses_cut_zstd, NULL);
    refuses_cut_zstd(NULL, BYTES("no frame of zstd at all"));
}

/* "hello hello hello", as Python compresses it. */
#define GZIP_HELLO                                             \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9" \
    "\xc9\x57\xc8\x40\x90\x00\x80\x88\xf9\xe5\x11\x00\x00\x00"

static bool
gunzip(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    CLEANUP(guard_fini) struct guard g = guard_new(in);
    return compress_gzip_decode(g.bytes, limit, out, err);
}

static void
decodes_gzip(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    (void)state;
    assert_true(compress_is_gzip(BYTES(GZIP_HELLO)));
    assert_false(compress_is_gzip(BYTES("\x1f\x8b")));
    buf_put_str(&out, "> ");
    expect_ok(gunzip(BYTES(GZIP_HELLO GZIP_HELLO), 34, &out, &err), err);
    assert_string_equal(buf_text(&out), "> hello hello hellohello hello hello");
}

static void
refuses_cut_gzip(void *arg, struct bytes cut)
{
    (void)arg;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    expect_fails(gunzip(cut, LIMIT, &out, &err), err, ERR_INVALID);
}

static void
refuses_broken_gzip(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    (void)state;
    for_each_truncation(BYTES(GZIP_HELLO), refuses_cut_gzip, NULL);
    refuses_cut_gzip(NULL, BYTES("no gzip at all, and long enough"));
    refuses_cut_gzip(NULL, BYTES(GZIP_HELLO "behind it"));
    expect_fails(gunzip(BYTES(GZIP_HELLO), 16, &out, &err), err, ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_a_known_block),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(portions_make_one_block),
        cmocka_unit_test(an_empty_portion_adds_nothing),
        cmocka_unit_test(refuses_more_than_a_block_can_hold),
        cmocka_unit_test(refuses_a_claim_above_the_limit_before_it_allocates),
        cmocka_unit_test(reports_a_spent_budget),
        cmocka_unit_test(rejects_each_truncation),
        cmocka_unit_test(survives_each_bit_flip),
        cmocka_unit_test(round_trips_zstd),
        cmocka_unit_test(refuses_broken_zstd),
        cmocka_unit_test(decodes_gzip),
        cmocka_unit_test(refuses_broken_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
