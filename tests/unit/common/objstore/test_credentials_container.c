/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/common/objstore/fake_aws.h"

static void
use_container(struct aws *f)
{
    char url[128];
    snprintf(url, sizeof url, "%s/keys", f->url);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

static void
asks_with_the_token_of_its_file(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_container(&f);
    aws_answer_json(&f, AWS_CONTAINER, "AK1", 3600);
    char *path = aws_write(&f, "token", AWS_SECRET "-1\n");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one", 1);
    free(path);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_string_equal(aws_asked(&f, AWS_CONTAINER).authorization, AWS_SECRET "-1");
    assert_string_equal(objstore_credentials_describe(f.credentials), "container");
    free(aws_write(&f, "token", AWS_SECRET "-2"));
    aws_answer_json(&f, AWS_CONTAINER, "AK2", 7200);
    aws_later(3590);
    aws_expect(&f, "AK2");
    assert_string_equal(aws_asked(&f, AWS_CONTAINER).authorization, AWS_SECRET "-2");
    aws_stop(&f);
}

static void
asks_with_the_token_of_the_environment_or_none(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_container(&f);
    aws_answer_json(&f, AWS_CONTAINER, "AK1", 3600);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_string_equal(aws_asked(&f, AWS_CONTAINER).authorization, "");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_string_equal(aws_asked(&f, AWS_CONTAINER).authorization, "Basic abc");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", AWS_SECRET "\r\nX: y", 1);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "line break");
    aws_stop(&f);
}

/* Keys without an end hold until the server refuses them. */
static void
takes_keys_without_an_end(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_container(&f);
    aws_answer(&f, AWS_CONTAINER, 200,
               "{\"AccessKeyId\":\"AK1\",\"SecretAccessKey\":\"" AWS_SECRET "-AK1\"}");
    aws_open(&f, NULL);
    uint64_t generation = aws_expect(&f, "AK1");
    aws_later(1000000);
    aws_expect(&f, "AK1");
    assert_int_equal(aws_asked(&f, AWS_CONTAINER).count, 1);
    aws_answer_json(&f, AWS_CONTAINER, "AK2", 3600);
    assert_true(objstore_credentials_reject(f.credentials, generation));
    aws_expect(&f, "AK2");
    aws_stop(&f);
}

static void
refuses_answers_without_keys(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        const char *reason;
    } cases[] = {
        {403, AWS_SECRET, ERR_DENIED, "answered 403"},
        {404, "", ERR_INVALID, "answered 404"},
        {200, "", ERR_UNAVAILABLE, "no JSON object"},
        {200, "[\"" AWS_SECRET "\"]", ERR_UNAVAILABLE, "no JSON object"},
        {200, "{\"AccessKeyId\":\"" AWS_SECRET "\"", ERR_UNAVAILABLE, "no JSON object"},
        {200, "{\"AccessKeyId\":\"" AWS_SECRET "\"}", ERR_UNAVAILABLE, "key is empty"},
        {200, "{\"AccessKeyId\":1,\"SecretAccessKey\":\"" AWS_SECRET "\"}",
         ERR_UNAVAILABLE, "AccessKeyId is no text"},
        {200, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" AWS_SECRET "\\n\"}",
         ERR_UNAVAILABLE, "control character"},
        {200,
         "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" AWS_SECRET "\","
         "\"Expiration\":\"" AWS_SECRET "\"}",
         ERR_UNAVAILABLE, "the keys end is none"},
        {200,
         "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" AWS_SECRET "\","
         "\"Expiration\":\"2020-01-01T00:00:00Z\"}",
         ERR_UNAVAILABLE, "ended already"},
        {200, "{\"Code\":\"" AWS_SECRET "\"}", ERR_DENIED, "not Success"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        use_container(&f);
        aws_answer(&f, AWS_CONTAINER, cases[i].status, cases[i].body);
        aws_open(&f, NULL);
        aws_expect_failure(&f, cases[i].code, cases[i].reason);
        aws_stop(&f);
    }
}

/* Asked or not, by the text of the failure: nothing answers at these. */
static void
sends_tokens_without_tls_only_to_what_is_near(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_asked;
    } cases[] = {
        {"http://127.0.0.1:1/keys", true},
        {"http://127.8.8.8:1/keys", true},
        {"http://localhost:1/keys", true},
        {"http://[::1]:1/keys", true},
        {"https://127.0.0.1:1/keys", true},
        {"http://example.com/keys", false},
        {"http://10.0.0.1/keys", false},
        {"http://169.254.169.254/keys", false},
        {"http://127.0.0.1.example.com/keys", false},
        {"http://127.0.0.1@example.com/keys", false},
        {"http://example.com#@127.0.0.1/keys", false},
        {"http://[::2]/keys", false},
        {"http://[::1/keys", false},
        {"http://", false},
        {"https://", false},
        {"http://127.0.0.1\\@example.com/", false},
        {"http://127.0.0.1/a b", false},
        {"http://127.1/keys", false},
        {"ftp://127.0.0.1/keys", false},
        {"127.0.0.1/keys", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", cases[i].url, 1);
        aws_open(&f, NULL);
        if (cases[i].is_asked)
            aws_expect_failure(&f, ERR_UNAVAILABLE, "GET ");
        else
            aws_expect_failure(&f, ERR_INVALID, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        aws_stop(&f);
    }
}

static void
refuses_a_relative_uri_that_is_none(void **state)
{
    (void)state;
    static const char *const uris[] = {".example.com/", "@example.com/", ":80/",
                                       "/a b"};
    for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
        struct aws f;
        aws_start(&f);
        setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", uris[i], 1);
        aws_open(&f, NULL);
        aws_expect_failure(&f, ERR_INVALID, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        aws_stop(&f);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_with_the_token_of_its_file),
        cmocka_unit_test(asks_with_the_token_of_the_environment_or_none),
        cmocka_unit_test(takes_keys_without_an_end),
        cmocka_unit_test(refuses_answers_without_keys),
        cmocka_unit_test(sends_tokens_without_tls_only_to_what_is_near),
        cmocka_unit_test(refuses_a_relative_uri_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
