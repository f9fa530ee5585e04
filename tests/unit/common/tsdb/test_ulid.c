/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/ulid.h"
#include "tests/unit/common/tsdb/fixture.h"

static struct tsdb_ulid
parsed(const char *text)
{
    struct tsdb_ulid id;
    assert_true(tsdb_ulid_parse(&id, bytes_of_str(text)));
    return id;
}

static void
prints_what_it_parsed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "00000000000000000000000000", "01M84JHDKMEAZBFV6XNC2DVPEC",
        "0123456789ABCDEFGHJKMNPQRS", "3TVWXYZ0000000000000000001",
        "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct tsdb_ulid id = parsed(texts[i]);
        assert_string_equal(tsdb_ulid_print(&id).text, texts[i]);
    }
}

static void
lays_out_time_then_randomness(void **state)
{
    (void)state;
    struct tsdb_ulid id = parsed("01ARYZ6S41TSV4RRFFQ69G5FAV");
    static const uint8_t expected[] = {0x01, 0x56, 0x3d, 0xf3, 0x64, 0x81, 0xd6, 0x76,
                                       0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b};
    assert_memory_equal(id.raw, expected, sizeof expected);
    assert_int_equal(tsdb_ulid_time_ms(&id), INT64_C(1469918176385));
    struct tsdb_ulid last = parsed("7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    assert_int_equal(tsdb_ulid_time_ms(&last), (INT64_C(1) << 48) - 1);
}

static void
refuses_what_is_not_canonical(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "01M84JHDKMEAZBFV6XNC2DVPE",
        "01M84JHDKMEAZBFV6XNC2DVPECC",
        "01m84jhdkmeazbfv6xnc2dvpec",
        "81M84JHDKMEAZBFV6XNC2DVPEC",
        "/1M84JHDKMEAZBFV6XNC2DVPEC",
        "01M84JHDKMEAZBFV6XNC2DVPEI",
        "01M84JHDKMEAZBFV6XNC2DVPEL",
        "01M84JHDKMEAZBFV6XNC2DVPEO",
        "01M84JHDKMEAZBFV6XNC2DVPEU",
        "01M84JHDKMEAZBFV6XNC2-VPEC",
    };
    const struct tsdb_ulid before = {{1, 2, 3}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct tsdb_ulid id = before;
        assert_false(tsdb_ulid_parse(&id, bytes_of_str(texts[i])));
        assert_memory_equal(&id, &before, sizeof id);
    }
    struct tsdb_ulid id;
    assert_false(tsdb_ulid_parse(&id, BYTES("01M84JHDKMEAZBFV6XNC2DVPE\0")));
}

static void
expect_refused(void *arg, struct bytes text)
{
    (void)arg;
    struct tsdb_ulid id;
    assert_false(tsdb_ulid_parse(&id, text));
}

static void
refuses_every_truncation(void **state)
{
    (void)state;
    for_each_truncation(BYTES("01M84JHDKMEAZBFV6XNC2DVPEC"), expect_refused, NULL);
}

static void
orders_by_time(void **state)
{
    (void)state;
    struct tsdb_ulid early = parsed("01M84JHDKMEAZBFV6XNC2DVPEC");
    struct tsdb_ulid late = parsed("01M84JHDKNEAZBFV6XNC2DVPEC");
    assert_true(tsdb_ulid_cmp(&early, &late) < 0);
    assert_true(tsdb_ulid_cmp(&late, &early) > 0);
    assert_int_equal(tsdb_ulid_cmp(&early, &early), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_what_it_parsed),
        cmocka_unit_test(lays_out_time_then_randomness),
        cmocka_unit_test(refuses_what_is_not_canonical),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(orders_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
