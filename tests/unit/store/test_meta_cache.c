/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "store/meta_cache.h"
#include "tests/support/expect.h"

static const char block[] = "01M852M9MD7R7B87FBFM0F3DC8";

static void
keeps_a_copy_while_the_object_stays(void **unused)
{
    char dir[] = "/tmp/blockhouse-metas-XXXXXX";
    const int64_t times[] = {INT64_C(1700000000123), 0, -1, 999};
    CLEANUP(buf_fini) struct buf text = {0};
    struct err err;
    (void)unused;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct store_stamp stamp = {true, 5, times[i]}, other = stamp;
        store_meta_cache_put(dir, block, stamp, BYTES("hello"));
        buf_clear(&text);
        assert_true(store_meta_cache_get(dir, block, stamp, &text));
        assert_true(bytes_eq(buf_bytes(&text), BYTES("hello")));
        other.mtime_ms++;
        assert_false(store_meta_cache_get(dir, block, other, &text));
        other = stamp;
        other.size++;
        assert_false(store_meta_cache_get(dir, block, other, &text));
    }
    expect_ok(file_remove_tree(dir, &err), err);
}

static void
misses_when_the_directory_is_gone(void **unused)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct store_stamp stamp = {true, 5, 0};
    (void)unused;
    store_meta_cache_put("/nonexistent", block, stamp, BYTES("hello"));
    assert_false(store_meta_cache_get("/nonexistent", block, stamp, &text));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_copy_while_the_object_stays),
        cmocka_unit_test(misses_when_the_directory_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
