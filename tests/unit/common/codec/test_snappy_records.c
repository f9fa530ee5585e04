/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/compress.h"
#include "common/codec/snappy_records.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

enum { LIMIT = 1 << 20 };

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* len bytes of records of which each byte is that of the record before, but for some of
 * a hundred. */
static void
put_records(struct buf *out, size_t len, size_t stride, unsigned percent, uint64_t *x)
{
    for (size_t i = 0; i < len; i++) {
        bool is_new = i < stride || next_random(x) % 100 < percent;
        buf_put_u8(out, is_new ? (uint8_t)next_random(x) : out->at[i - stride]);
    }
}

/* Yields the bytes of the block. */
static size_t
expect_back(struct bytes plain, size_t stride)
{
    struct err err;
    CLEANUP(guard_fini) struct guard g = guard_new(plain);
    CLEANUP(buf_fini) struct buf block = {0};
    CLEANUP(buf_fini) struct buf back = {0};
    expect_ok(compress_snappy_begin(plain.len, &block, &err), err);
    expect_ok(snappy_records_append(g.bytes, stride, &block, &err), err);
    expect_ok(compress_snappy_decode(buf_bytes(&block), LIMIT, &back, &err), err);
    assert_true(bytes_eq(buf_bytes(&back), plain));
    return block.len;
}

static void
every_length_is_read_back(void **state)
{
    static const unsigned percents[] = {0, 1, 5, 20, 50, 100};
    (void)state;
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < ARRAY_LEN(percents); i++)
        for (size_t len = 0; len < 300; len++) {
            CLEANUP(buf_fini) struct buf plain = {0};
            size_t stride = 1 + next_random(&random) % 40;
            put_records(&plain, len, stride, percents[i], &random);
            expect_back(buf_bytes(&plain), stride);
        }
}

static void
large_portions_are_read_back(void **state)
{
    static const size_t strides[] = {1, 9, 18, 255, 256, SNAPPY_RECORDS_MOST};
    enum { P = COMPRESS_SNAPPY_PORTION };
    static const size_t lengths[] = {P - 1, P, P + 1, 3 * P};
    (void)state;
    uint64_t random = 1;
    for (size_t i = 0; i < ARRAY_LEN(strides); i++)
        for (size_t k = 0; k < ARRAY_LEN(lengths) * 5; k++) {
            CLEANUP(buf_fini) struct buf plain = {0};
            put_records(&plain, lengths[k / 5], strides[i], (unsigned)(k % 5) * 4,
                        &random);
            expect_back(buf_bytes(&plain), strides[i]);
            /* Records of another length than is claimed. */
            expect_back(buf_bytes(&plain), strides[i] % 50 + 1);
        }
}

/* As samples are: a head, a value with its low bits at random, a time. */
static void
is_about_as_small_as_the_general_encoder(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (unsigned bits = 0; bits <= 56; bits += 8) {
        CLEANUP(buf_fini) struct buf plain = {0};
        CLEANUP(buf_fini) struct buf block = {0};
        struct err err;
        for (uint64_t i = 0; i < 20000; i++) {
            uint64_t value = UINT64_C(0x4059000000000000) ^
                             (next_random(&random) & ((UINT64_C(1) << bits) - 1));
            buf_put(&plain, BYTES("\x12\x10\x09"));
            buf_put_be64(&plain, __builtin_bswap64(value));
            buf_put_be32(&plain, (uint32_t)(0x10000000 + i * 15000 % 0x1000000));
            buf_put(&plain, BYTES("\xfb\xfb\x33"));
        }
        expect_ok(compress_snappy_encode(buf_bytes(&plain), &block, &err), err);
        size_t len = expect_back(buf_bytes(&plain), 18);
        /* With few random bits the general encoder finds some copies farther back. */
        assert_true(len <= block.len + block.len / 4);
    }
}

static void
leaves_what_is_no_record_to_the_general_encoder(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf plain = {0};
    for (int i = 0; i < 20000; i++)
        buf_put_str(&plain, i * i % 7 < 3 ? "{job=\"a\"}" : "instance=x");
    assert_true(expect_back(buf_bytes(&plain), 18) < plain.len / 4);
}

static void
reports_a_spent_budget(void **state)
{
    (void)state;
    struct err err;
    struct budget small;
    budget_init(&small, "test", 8, NULL);
    CLEANUP(buf_fini) struct buf out;
    buf_init(&out, &small);
    expect_fails(snappy_records_append(BYTES("0123456789"), 5, &out, &err), err,
                 ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_is_read_back),
        cmocka_unit_test(large_portions_are_read_back),
        cmocka_unit_test(is_about_as_small_as_the_general_encoder),
        cmocka_unit_test(leaves_what_is_no_record_to_the_general_encoder),
        cmocka_unit_test(reports_a_spent_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
