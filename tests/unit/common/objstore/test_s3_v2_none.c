/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/config.h"
#include "tests/unit/common/objstore/fixture.h"

static void
says_what_to_do_without_libs3(void **state)
{
    (void)state;
    struct err err;
    struct objstore_bucket *b;
    assert_false(objstore_open(&b,
                               text("type: S3\n"
                                    "config:\n"
                                    "  bucket: blocks\n"
                                    "  endpoint: s3.example.com\n"
                                    "  access_key: AKIAEXAMPLE\n"
                                    "  secret_key: hush-hush\n"
                                    "  signature_version2: true\n"),
                               "sidecar", NULL, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "signature_version2"));
    assert_non_null(strstr(err.text, "BLOCKHOUSE_LIBS3=ON"));
    assert_non_null(strstr(err.text, "libs3-dev"));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_to_do_without_libs3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
