/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/time_bound.h"
#include "tests/support/expect.h"

static void
reads_times_and_distances(void **unused)
{
    static const struct {
        const char *text;
        int64_t at_1e12;
    } cases[] = {
        {"1970-01-01T00:00:01Z", 1000},
        {"0000-01-01T00:00:00Z", INT64_MIN},
        {"0000-01-01T00:00:01Z", INT64_C(-62167219199000)},
        {"9999-12-31T23:59:58Z", INT64_C(253402300798000)},
        {"9999-12-31T23:59:59Z", INT64_MAX},
        {"-2w", INT64_C(1000000000000) - INT64_C(14) * 86400000},
        {"1h", INT64_C(1000000000000) + 3600000},
    };
    struct store_time_bound bound;
    struct err err;
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_ok(store_time_bound_parse(cases[i].text, &bound, &err), err);
        assert_int_equal(store_time_bound_at(bound, INT64_C(1000000000000)),
                         cases[i].at_1e12);
    }
}

static void
refuses_anything_else(void **unused)
{
    static const char *const texts[] = {"", "yesterday", "2020-01-01", "5", "-"};
    struct store_time_bound bound;
    struct err err;
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        expect_fails(store_time_bound_parse(texts[i], &bound, &err), err, ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times_and_distances),
        cmocka_unit_test(refuses_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
