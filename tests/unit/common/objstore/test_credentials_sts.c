/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/common/objstore/fake_aws.h"

static void
trades_the_token_for_keys(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    setenv("AWS_ROLE_SESSION_NAME", "a b", 1);
    aws_open(&f, NULL);
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    aws_expect(&f, "AK1");
    assert_true(aws_acquire(&f, &keys));
    assert_string_equal(keys->session_token, AWS_SECRET "-token-AK1");
    struct aws_asked asked = aws_asked(&f, AWS_STS);
    assert_int_equal(asked.count, 1);
    assert_string_equal(asked.type, "application/x-www-form-urlencoded");
    assert_string_equal(asked.body,
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                        "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
                        "&RoleSessionName=a%20b&WebIdentityToken=" AWS_SECRET "-web");
    assert_string_equal(objstore_credentials_describe(f.credentials), "web identity");
    aws_stop(&f);
}

static void
reads_the_token_anew_for_each_trade(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    free(aws_write(&f, "token", "rotated"));
    aws_answer_sts(&f, "AK2", 7200);
    aws_later(3590);
    aws_expect(&f, "AK2");
    assert_non_null(strstr(aws_asked(&f, AWS_STS).body, "&WebIdentityToken=rotated"));
    aws_stop(&f);
}

/* As MinIO does, which finds the policy in the token. */
static void
needs_no_role_elsewhere_than_at_aws(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    unsetenv("AWS_ROLE_ARN");
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_null(strstr(aws_asked(&f, AWS_STS).body, "RoleArn"));
    unsetenv("AWS_ENDPOINT_URL_STS");
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "without AWS_ROLE_ARN");
    aws_stop(&f);
}

static void
prefers_the_endpoint_of_the_config(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1", 1);
    aws_open(&f, &(struct objstore_credentials_options){.sts_endpoint = f.url});
    aws_expect(&f, "AK1");
    struct objstore_credentials *none = NULL;
    const struct objstore_credentials_options bad = {.sts_endpoint = "sts.example"};
    expect_fails(objstore_credentials_new(&none, &bad, &f.err), f.err, ERR_INVALID);
    assert_non_null(strstr(f.err.text, "sts_endpoint"));
    aws_stop(&f);
}

static void
tries_again_after_transient_failures(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_fail(&f, AWS_STS, 2);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 3);
    aws_stop(&f);
}

static void
says_why_sts_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        const char *reason;
        unsigned count;
    } cases[] = {
        {403,
         "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type>"
         "<Code>AccessDenied</Code><Message>" AWS_SECRET "</Message></Error>"
         "</ErrorResponse>",
         ERR_DENIED, "answered 403 AccessDenied", 1},
        {400, "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error>",
         ERR_DENIED, "400 ExpiredTokenException", 1},
        {400, "<Error><Code>Throttling</Code></Error>", ERR_THROTTLED, "Throttling", 3},
        {400, AWS_SECRET, ERR_INVALID, "answered 400", 1},
        {404, "", ERR_INVALID, "answered 404", 1},
        {302, "", ERR_UNSUPPORTED, "answered 302", 1},
        {200, AWS_SECRET, ERR_UNAVAILABLE, "bad XML", 3},
        {200, "<Other><AccessKeyId>" AWS_SECRET "</AccessKeyId></Other>",
         ERR_UNAVAILABLE, "no answer of STS", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        aws_answer(&f, AWS_STS, cases[i].status, cases[i].body);
        aws_use_sts(&f);
        aws_open(&f, NULL);
        aws_expect_failure(&f, cases[i].code, cases[i].reason);
        assert_int_equal(aws_asked(&f, AWS_STS).count, cases[i].count);
        aws_stop(&f);
    }
}

static void
refuses_keys_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *access_key;
        int life_s;
        const char *reason;
    } cases[] = {
        {"", 3600, "access key is empty"}, {"a b", 3600, "blank"},
        {"a&#10;b", 3600, "blank"},        {"\xc3\xa9", 3600, "beyond ASCII"},
        {"AK1", -5, "ended already"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        aws_answer_sts(&f, cases[i].access_key, cases[i].life_s);
        aws_use_sts(&f);
        aws_open(&f, NULL);
        aws_expect_failure(&f, ERR_UNAVAILABLE, cases[i].reason);
        aws_stop(&f);
    }
}

static void
needs_a_token_file_with_a_token(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "is empty"}, {" \n", "is empty"}, {AWS_SECRET "\n" AWS_SECRET, "control"}};
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        free(aws_write(&f, "token", texts[i][0]));
        aws_open(&f, NULL);
        aws_expect_failure(&f, ERR_INVALID, texts[i][1]);
    }
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token", 1);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "/nonexistent/token");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 0);
    aws_stop(&f);
}

/* The end counts from the clock of the server, whatever ours shows. */
static void
bears_a_clock_that_is_wrong(void **state)
{
    (void)state;
    static const int64_t wrong_s[] = {-7200, 7200};
    for (size_t i = 0; i < ARRAY_LEN(wrong_s); i++) {
        struct aws f;
        aws_start(&f);
        aws_answer_sts(&f, "AK1", 3600);
        aws_use_sts(&f);
        int64_t mono_ns = clock_mono_ns();
        int64_t wall_ns = clock_wall_ns() + wrong_s[i] * CLOCK_NS_PER_S;
        clock_freeze(mono_ns, wall_ns);
        aws_open(&f, NULL);
        aws_expect(&f, "AK1");
        aws_answer_sts(&f, "AK2", 3600);
        clock_freeze(mono_ns + 2000 * CLOCK_NS_PER_S, wall_ns);
        aws_expect(&f, "AK1");
        clock_freeze(mono_ns + 3599 * CLOCK_NS_PER_S, wall_ns);
        aws_expect(&f, "AK2");
        aws_stop(&f);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(trades_the_token_for_keys),
        cmocka_unit_test(reads_the_token_anew_for_each_trade),
        cmocka_unit_test(needs_no_role_elsewhere_than_at_aws),
        cmocka_unit_test(prefers_the_endpoint_of_the_config),
        cmocka_unit_test(tries_again_after_transient_failures),
        cmocka_unit_test(says_why_sts_refused),
        cmocka_unit_test(refuses_keys_that_are_none),
        cmocka_unit_test(needs_a_token_file_with_a_token),
        cmocka_unit_test(bears_a_clock_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
