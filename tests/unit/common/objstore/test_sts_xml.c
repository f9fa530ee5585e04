/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/sts_xml.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

#define ANSWER(fields)                                                             \
    "<?xml version=\"1.0\"?><AssumeRoleWithWebIdentityResponse xmlns=\"x\">"       \
    "<AssumeRoleWithWebIdentityResult><Audience>a</Audience>"                      \
    "<AssumedRoleUser><Arn>a</Arn><AccessKeyId>no</AccessKeyId></AssumedRoleUser>" \
    "<Credentials>" fields "</Credentials><Provider>p</Provider>"                  \
    "</AssumeRoleWithWebIdentityResult>"                                           \
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"                \
    "</AssumeRoleWithWebIdentityResponse>"
#define KEY "<AccessKeyId>AK</AccessKeyId>"
#define SECRET "<SecretAccessKey>hidden/+&amp;</SecretAccessKey>"
#define TOKEN "<SessionToken>hidden==</SessionToken>"
#define END "<Expiration>2030-01-01T00:00:00Z</Expiration>"

static const char WHOLE[] = ANSWER(KEY SECRET TOKEN END);

static void
reads_keys(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(objstore_sts_answer_fini) struct objstore_sts_answer a = {0};
    expect_ok(objstore_sts_parse(bytes_of_str(WHOLE), &a, &err), err);
    assert_string_equal(a.access_key, "AK");
    assert_string_equal(a.secret_key, "hidden/+&");
    assert_string_equal(a.session_token, "hidden==");
    assert_string_equal(a.expiration, "2030-01-01T00:00:00Z");
}

static void
refuses_what_is_no_answer(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "no element"},
        {"hidden", "syntax error"},
        {"<a>" KEY SECRET TOKEN END "</a>", "no answer of STS"},
        {ANSWER(SECRET TOKEN END), "has no access key"},
        {ANSWER(KEY TOKEN END), "has no access key"},
        {ANSWER(KEY SECRET END), "has no access key"},
        {ANSWER(KEY SECRET TOKEN), "has no access key"},
        {ANSWER("<x>" KEY SECRET TOKEN END "</x>"), "has no access key"},
        {ANSWER(KEY SECRET TOKEN END KEY), "twice"},
        {"<!DOCTYPE x [<!ENTITY a \"hidden\">]>" ANSWER(KEY SECRET TOKEN END),
         "document type"},
        {ANSWER(KEY SECRET TOKEN END "&hidden;"), "undefined entity"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct objstore_sts_answer a;
        expect_fails(objstore_sts_parse(bytes_of_str(cases[i][0]), &a, &err), err,
                     ERR_CORRUPT);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i][1]);
        assert_null(strstr(err.text, "hidden"));
        assert_null(a.access_key);
        assert_null(a.secret_key);
    }
}

static void
refuse(void *arg, struct bytes body)
{
    (void)arg;
    struct err err;
    struct objstore_sts_answer a;
    expect_fails(objstore_sts_parse(body, &a, &err), err, ERR_CORRUPT);
}

static void
survive(void *arg, struct bytes body)
{
    (void)arg;
    struct err err;
    CLEANUP(objstore_sts_answer_fini) struct objstore_sts_answer a = {0};
    if (!objstore_sts_parse(body, &a, &err))
        assert_int_equal(err.code, ERR_CORRUPT);
}

static void
refuses_every_truncation(void **state)
{
    (void)state;
    for_each_truncation(bytes_of_str(WHOLE), refuse, NULL);
}

static void
survives_every_flipped_bit(void **state)
{
    (void)state;
    for_each_bit_flip(bytes_of_str(WHOLE), survive, NULL);
}

static void
reads_the_code_of_an_error(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"<ErrorResponse><Error><Type>S</Type><Code>AccessDenied</Code>"
         "<Message>m</Message></Error></ErrorResponse>",
         "AccessDenied"},
        {"<Error><Code>Throttling</Code><Message>cut", "Throttling"},
        {"<Error><Code>no word</Code></Error>", ""},
        {"<Error><Code></Code></Error>", ""},
        {"<Code>Outside</Code>", ""},
        {"<Error><Code>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "</Code></Error>",
         ""},
        {"garbage", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char code[OBJSTORE_STS_CODE_SIZE];
        objstore_sts_error_parse(bytes_of_str(cases[i][0]), code);
        assert_string_equal(code, cases[i][1]);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_keys),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_every_flipped_bit),
        cmocka_unit_test(reads_the_code_of_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
