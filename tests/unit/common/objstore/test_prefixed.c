/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/prefixed.h"
#include "tests/unit/common/objstore/fixture.h"

static void
puts_every_key_below_the_prefix(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "outside", "x"));
    assert_true(objstore_prefixed_wrap(&f.bucket, "//team/a//", &f.err));
    assert_true(put(&f, "01J/meta.json", "{}"));
    FILE *file = tmpfile();
    fputs("index", file);
    fflush(file);
    assert_true(put_file(&f, &CALL, text("01J/index"), fileno(file), 5));
    fclose(file);
    expect_list(&f, "", "01J/index 01J/meta.json ");
    expect_list(&f, "01J/", "01J/index 01J/meta.json ");
    expect_object(&f, "01J/index", "index");
    expect_object(&f, "outside", "<not_found>");
    struct objstore_attrs attrs;
    assert_true(objstore_head(f.bucket, &CALL, text("01J/index"), &attrs, &f.err));
    assert_int_equal(attrs.size, 5);
    assert_true(objstore_remove(f.bucket, &CALL, text("01J/index"), &f.err));
    expect_list(&f, "", "01J/meta.json ");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/team/a/01J/meta.json", f.root);
    assert_true(file_exists(path));
    fixture_fini(&f);
}

static void
takes_slashes_for_no_prefix(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct objstore_bucket *before = f.bucket;
    assert_true(objstore_prefixed_wrap(&f.bucket, "", &f.err));
    assert_true(objstore_prefixed_wrap(&f.bucket, "///", &f.err));
    assert_ptr_equal(f.bucket, before);
    fixture_fini(&f);
}

static void
refuses_prefixes_that_lead_elsewhere(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct objstore_bucket *before = f.bucket;
    static const char *const bad[] = {"..", "a/../b", "a//b", "a/./b", "a\nb"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(objstore_prefixed_wrap(&f.bucket, bad[i], &f.err));
        assert_int_equal(f.err.code, ERR_INVALID);
    }
    assert_ptr_equal(f.bucket, before);
    fixture_fini(&f);
}

static void
bounds_the_whole_key(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(objstore_prefixed_wrap(&f.bucket, "pp", &f.err));
    char key[OBJSTORE_KEY_MAX + 1] = {0};
    for (size_t i = 0; i < OBJSTORE_KEY_MAX; i++)
        key[i] = i % 100 == 99 ? '/' : 'k';
    assert_false(put(&f, key, "x"));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_non_null(strstr(f.err.text, "too long"));
    key[OBJSTORE_KEY_MAX - 3] = 0;
    assert_true(put(&f, key, "x"));
    expect_object(&f, key, "x");
    fixture_fini(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_every_key_below_the_prefix),
        cmocka_unit_test(takes_slashes_for_no_prefix),
        cmocka_unit_test(refuses_prefixes_that_lead_elsewhere),
        cmocka_unit_test(bounds_the_whole_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
