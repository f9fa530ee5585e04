/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/deletion_mark.h"
#include "tests/support/expect.h"

static void
reads_the_time(void **unused)
{
    int64_t ms = 0;
    struct err err;
    (void)unused;
    expect_ok(store_deletion_mark_parse(
                  BYTES("{\"id\":\"01M852M9MD7R7B87FBFM0F3DC8\",\"version\":1,"
                        "\"details\":\"x\",\"deletion_time\":1700000000}"),
                  &ms, &err),
              err);
    assert_int_equal(ms, INT64_C(1700000000000));
}

static void
refuses_what_is_no_mark(void **unused)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"version\":1}",
        "{\"version\":2,\"deletion_time\":1}",
        "{\"version\":1,\"deletion_time\":\"1\"}",
        "{\"version\":1,\"deletion_time\":9223372036854775807}",
        "{\"version\":1,\"deletion_time\":17",
    };
    struct err err;
    int64_t ms = 0;
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        expect_fails(store_deletion_mark_parse(bytes_of_str(texts[i]), &ms, &err), err,
                     ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_time),
        cmocka_unit_test(refuses_what_is_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
