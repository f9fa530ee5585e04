/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/postings.h"
#include "tests/unit/common/tsdb/fixture.h"

static const tsdb_ref refs[] = {3, 5, 7, 9, 100, 4096, UINT32_MAX};

static void
put_list(struct buf *b, uint32_t count, const tsdb_ref *at, size_t len)
{
    CLEANUP(buf_fini) struct buf payload = {0};
    buf_put_be32(&payload, count);
    for (size_t i = 0; i < len; i++)
        buf_put_be32(&payload, at[i]);
    put_section(b, buf_bytes(&payload));
}

static struct tsdb_postings
parsed(struct bytes section)
{
    struct tsdb_postings p;
    struct err err;
    assert_done(tsdb_postings_parse(&p, section, &err), &err);
    return p;
}

static void
yields_every_reference(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    put_list(&section, ARRAY_LEN(refs), refs, ARRAY_LEN(refs));
    struct tsdb_postings p = parsed(buf_bytes(&section));
    assert_int_equal(tsdb_postings_count(&p), ARRAY_LEN(refs));
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        tsdb_ref ref;
        assert_true(tsdb_postings_next(&p, 0, &ref));
        assert_int_equal(ref, refs[i]);
    }
    tsdb_ref untouched = 42;
    assert_false(tsdb_postings_next(&p, 0, &untouched));
    assert_int_equal(untouched, 42);
}

static void
finds_first_not_below(void **state)
{
    (void)state;
    static const struct {
        tsdb_ref at_least, expected;
    } cases[] = {{0, 3},
                 {3, 3},
                 {4, 5},
                 {9, 9},
                 {10, 100},
                 {101, 4096},
                 {4097, UINT32_MAX},
                 {UINT32_MAX, UINT32_MAX}};
    CLEANUP(buf_fini) struct buf section = {0};
    put_list(&section, ARRAY_LEN(refs), refs, ARRAY_LEN(refs));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tsdb_postings p = parsed(buf_bytes(&section));
        tsdb_ref ref;
        assert_true(tsdb_postings_next(&p, cases[i].at_least, &ref));
        assert_int_equal(ref, cases[i].expected);
    }
}

static void
ends_when_all_are_below(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    put_list(&section, 2, refs, 2);
    struct tsdb_postings p = parsed(buf_bytes(&section));
    tsdb_ref ref;
    assert_false(tsdb_postings_next(&p, 6, &ref));
    assert_false(tsdb_postings_next(&p, 0, &ref));
}

static void
the_zero_value_is_empty(void **state)
{
    (void)state;
    struct tsdb_postings p = {0};
    tsdb_ref ref;
    assert_false(tsdb_postings_next(&p, 0, &ref));
    assert_int_equal(tsdb_postings_count(&p), 0);
}

static void
rejects_count_that_does_not_match(void **state)
{
    (void)state;
    /* 0x40000001 times 4 wraps to the 4 bytes that are there. */
    static const uint32_t counts[] = {0, 2, 0x40000001, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        CLEANUP(buf_fini) struct buf section = {0};
        struct tsdb_postings p;
        struct err err;
        put_list(&section, counts[i], refs, 1);
        assert_failed(tsdb_postings_parse(&p, buf_bytes(&section), &err), &err,
                      ERR_CORRUPT);
    }
}

static void
rejects_payload_without_count(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    struct tsdb_postings p;
    struct err err;
    put_section(&section, BYTES("\0\0\0"));
    assert_failed(tsdb_postings_parse(&p, buf_bytes(&section), &err), &err,
                  ERR_CORRUPT);
}

static void
expect_corrupt(void *arg, struct bytes section)
{
    (void)arg;
    struct tsdb_postings p;
    struct err err;
    assert_failed(tsdb_postings_parse(&p, section, &err), &err, ERR_CORRUPT);
}

static void
rejects_truncations_and_bit_flips(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    put_list(&section, ARRAY_LEN(refs), refs, ARRAY_LEN(refs));
    for_each_truncation(buf_bytes(&section), expect_corrupt, NULL);
    for_each_bit_flip(buf_bytes(&section), expect_corrupt, NULL);
}

static void
ignores_bytes_behind_the_list(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    put_list(&section, 1, refs, 1);
    buf_put_str(&section, "more");
    struct tsdb_postings p = parsed(buf_bytes(&section));
    assert_int_equal(tsdb_postings_count(&p), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yields_every_reference),
        cmocka_unit_test(finds_first_not_below),
        cmocka_unit_test(ends_when_all_are_below),
        cmocka_unit_test(the_zero_value_is_empty),
        cmocka_unit_test(rejects_count_that_does_not_match),
        cmocka_unit_test(rejects_payload_without_count),
        cmocka_unit_test(rejects_truncations_and_bit_flips),
        cmocka_unit_test(ignores_bytes_behind_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
