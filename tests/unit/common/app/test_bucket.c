/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/bucket.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/expect.h"

static char folder[] = "/tmp/blockhouse-app-bucket-XXXXXX";
static struct objstore_bucket *bucket;
static struct err err;

static bool
open_bucket(struct app_bucket_options options)
{
    options.component = "test";
    objstore_free(&bucket);
    return app_bucket_open(&bucket, &options, &err);
}

static char *
put_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    expect_ok(file_replace(path, bytes_of_str(text), &err), err);
    return path;
}

static char *
config_of(const char *name)
{
    return xasprintf("type: FILESYSTEM\nconfig: {directory: %s/%s}\n", folder, name);
}

static void
opens_what_a_flag_or_a_file_describes(void **state)
{
    CLEANUP(xfree) char *text = config_of("a");
    CLEANUP(xfree) char *path = put_file("config.yml", text);
    (void)state;
    expect_ok(
        open_bucket((struct app_bucket_options){.config = text, .config_file = ""}),
        err);
    assert_non_null(strstr(objstore_name(bucket), folder));
    expect_ok(open_bucket((struct app_bucket_options){
                  .config = "", .config_file = path, .is_read_only = true}),
              err);
    expect_fails(
        open_bucket((struct app_bucket_options){.config = text, .config_file = path}),
        err, ERR_INVALID);
}

static void
makes_no_directory_where_it_only_reads(void **state)
{
    CLEANUP(xfree) char *text = config_of("missing");
    (void)state;
    expect_fails(open_bucket((struct app_bucket_options){
                     .config = text, .config_file = "", .is_read_only = true}),
                 err, ERR_NOT_FOUND);
}

static void
is_content_with_none_only_where_it_may(void **state)
{
    CLEANUP(xfree) char *path = put_file("empty.yml", "");
    (void)state;
    expect_fails(
        open_bucket((struct app_bucket_options){.config = "", .config_file = ""}), err,
        ERR_INVALID);
    assert_non_null(strstr(err.text, "give --objstore.config or"));
    expect_fails(
        open_bucket((struct app_bucket_options){.config = "", .config_file = path}),
        err, ERR_INVALID);
    assert_non_null(strstr(err.text, path));
    expect_ok(open_bucket((struct app_bucket_options){
                  .config = "", .config_file = path, .is_optional = true}),
              err);
    assert_null(bucket);
}

static void
names_the_flag_that_is_wrong(void **state)
{
    CLEANUP(xfree) char *path = put_file("wrong.yml", "type: TAPE\n");
    struct objstore_prices prices = {0};
    (void)state;
    expect_fails(
        open_bucket((struct app_bucket_options){.config = "", .config_file = path}),
        err, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--objstore.config-file"));
    assert_non_null(strstr(err.text, path));
    expect_fails(app_bucket_prices(&prices, "", path, &err), err, ERR_INVALID);
    assert_non_null(strstr(err.text, "--web.request-prices-file"));
    assert_non_null(strstr(err.text, path));
}

static void
reads_prices(void **state)
{
    struct objstore_prices prices = {0};
    (void)state;
    expect_ok(app_bucket_prices(&prices, "", "", &err), err);
    assert_false(prices.is_set);
    expect_ok(app_bucket_prices(&prices, "currency: EUR\nper_gib_out: 2\n", "", &err),
              err);
    assert_true(prices.is_set);
    assert_string_equal(prices.currency, "EUR");
}

static int
begin(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
end(void **state)
{
    (void)state;
    objstore_free(&bucket);
    return file_remove_tree(folder, &err) ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_a_flag_or_a_file_describes),
        cmocka_unit_test(makes_no_directory_where_it_only_reads),
        cmocka_unit_test(is_content_with_none_only_where_it_may),
        cmocka_unit_test(names_the_flag_that_is_wrong),
        cmocka_unit_test(reads_prices),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
