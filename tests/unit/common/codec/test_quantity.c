/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/quantity.h"
#include "tests/support/expect.h"

#define S INT64_C(1000000000)

static void
reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"1ns", 1},
        {"3us", 3000},
        {"3µs", 3000},
        {"500ms", S / 2},
        {"1.5s", 3 * S / 2},
        {".5s", S / 2},
        {"1m", 60 * S},
        {"1h30m", 5400 * S},
        {"1m30s500ms", 90 * S + S / 2},
        {"2d", 2 * 86400 * S},
        {"1w", 7 * 86400 * S},
        {"1y", 365 * 86400 * S},
        {"-2w", -14 * 86400 * S},
        {"0.000000001s", 1},
        {"1.5ns", 1},
        {"9223372036854775807ns", INT64_MAX},
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns = -1;
        expect_ok(quantity_duration(cases[i].text, &ns, &err), err);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void
refuses_what_is_no_duration(void **state)
{
    static const char *const cases[] = {
        "",
        "-",
        "30",
        "00",
        "s",
        ".s",
        "1.s2",
        "1x",
        "1 s",
        " 1s",
        "1s ",
        "--1s",
        "1h-3m",
        "+1s",
        "1e3s",
        "1m5",
        "300y",
        "9223372036854775808ns",
        "99999999999999999999s",
        "5h0",
        "1h\n",
        "0x1s",
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns = 77;
        expect_fails(quantity_duration(cases[i], &ns, &err), err, ERR_INVALID);
        assert_int_equal(ns, 77);
    }
}

static void
reads_times(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2024-02-29T12:34:56.789+02:00", 1709202896789},
        {"2024-02-29T12:34:56.7891234567890123456789-00:30", 1709211896789},
        {"2000-03-01T00:00:00Z", 951868800000},
        {"1900-03-01T00:00:00Z", -2203891200000},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"0000-02-29T00:00:00Z", -62162121600000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = -7;
        expect_ok(quantity_rfc3339(cases[i].text, &ms, &err), err);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void
refuses_what_is_no_time(void **state)
{
    static const char *const cases[] = {
        "",
        "2024",
        "2024-01-01",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00Z ",
        "-024-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 77;
        expect_fails(quantity_rfc3339(cases[i], &ms, &err), err, ERR_INVALID);
        assert_int_equal(ms, 77);
    }
}

static void
reads_sizes_in_base_two(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"7B", 7},
        {"1KB", 1024},
        {"1KiB", 1024},
        {"250MB", UINT64_C(250) << 20},
        {"250MiB", UINT64_C(250) << 20},
        {"1.5MB", UINT64_C(3) << 19},
        {"2GB", UINT64_C(2) << 30},
        {"1TB", UINT64_C(1) << 40},
        {"1PiB", UINT64_C(1) << 50},
        {"15EB", UINT64_C(15) << 60},
        {"1GB1KB", (UINT64_C(1) << 30) + 1024},
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 77;
        expect_ok(quantity_size(cases[i].text, &bytes, &err), err);
        assert_true(bytes == cases[i].bytes);
    }
}

static void
refuses_what_is_no_size(void **state)
{
    static const char *const cases[] = {
        "",          "-1MB", "5",    "1K",   "1mb",
        "MB",        "16EB", "1 MB", "1MBi", "99999999999999999999B",
        "15.9EB1EB",
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 77;
        expect_fails(quantity_size(cases[i], &bytes, &err), err, ERR_INVALID);
        assert_int_equal(bytes, 77);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(reads_times),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(reads_sizes_in_base_two),
        cmocka_unit_test(refuses_what_is_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
