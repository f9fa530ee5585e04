/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/block_path.h"
#include "tests/unit/common/tsdb/fixture.h"

#define ID "01M84JHDKMEAZBFV6XNC2DVPEC"

static void
segments_are_decimal_numbers(void **state)
{
    (void)state;
    static const char *const good[] = {"000001", "1", "1000000", "0"};
    static const char *const bad[] = {"",           "00000a", "-1", "+1",
                                      "000001.tmp", " 1",     "0x1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(tsdb_block_path_is_segment(bytes_of_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(tsdb_block_path_is_segment(bytes_of_str(bad[i])));
}

static void
splits_keys_of_blocks(void **state)
{
    (void)state;
    struct tsdb_ulid id;
    struct bytes rest;
    assert_true(tsdb_block_path_split(BYTES(ID "/chunks/000001"), &id, &rest));
    assert_string_equal(tsdb_ulid_print(&id).text, ID);
    assert_bytes(rest, BYTES("chunks/000001"));
}

static void
refuses_other_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        ID,
        ID "/",
        "debug/metas/" ID ".json",
        ID "x/index",
        "01m84jhdkmeazbfv6xnc2dvpec/index",
        "/" ID "/index",
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct tsdb_ulid id;
        struct bytes rest;
        CLEANUP(guard_fini) struct guard key = guard_new(bytes_of_str(keys[i]));
        assert_false(tsdb_block_path_split(key.bytes, &id, &rest));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_decimal_numbers),
        cmocka_unit_test(splits_keys_of_blocks),
        cmocka_unit_test(refuses_other_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
