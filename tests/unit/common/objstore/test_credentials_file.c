/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/common/objstore/fake_aws.h"

static const struct objstore_credentials_options SDK = {.sdk_chain = true};

static void
reads_the_default_profile_of_the_home_directory(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_write_keys(&f, "default", "AK1");
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_string_equal(objstore_credentials_describe(f.credentials),
                        "shared credentials file");
    aws_stop(&f);
}

static void
reads_the_profile_and_the_file_that_are_named(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    char *path = aws_write(&f, "elsewhere",
                           "[default]\naws_access_key_id=no\n[dev]\n"
                           "AWS_ACCESS_KEY_ID = AK2 ; mine\r\n"
                           "aws_secret_access_key = \"" AWS_SECRET "-AK2\"\n"
                           "aws_session_token = t\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_PROFILE", "dev", 1);
    aws_open(&f, NULL);
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    aws_expect(&f, "AK2");
    assert_true(aws_acquire(&f, &keys));
    assert_string_equal(keys->session_token, "t");
    free(path);
    aws_stop(&f);
}

static void
follows_a_file_that_changes(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_write_keys(&f, "default", "AK1");
    aws_open(&f, NULL);
    uint64_t first = aws_expect(&f, "AK1");
    aws_write_keys(&f, "default", "AK2");
    aws_later(2);
    uint64_t second = aws_expect(&f, "AK2");
    assert_true(second > first);
    aws_later(2);
    assert_true(aws_expect(&f, "AK2") == second);
    aws_stop(&f);
}

/* Without waiting for the next look at it, as often as it takes. */
static void
reads_the_file_when_keys_are_refused(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_write_keys(&f, "default", "AK0");
    aws_open(&f, NULL);
    aws_later(0);
    for (int i = 1; i <= 100; i++) {
        char name[16], old[16];
        snprintf(old, sizeof old, "AK%d", i - 1);
        snprintf(name, sizeof name, "AK%d", i);
        uint64_t generation = aws_expect(&f, old);
        aws_write_keys(&f, "default", name);
        assert_true(objstore_credentials_reject(f.credentials, generation));
        assert_true(aws_expect(&f, name) > generation);
        assert_true(objstore_credentials_reject(f.credentials, generation));
        assert_true(aws_expect(&f, name) > generation);
    }
    uint64_t last = aws_expect(&f, "AK100");
    assert_true(objstore_credentials_reject(f.credentials, last));
    assert_true(aws_expect(&f, "AK100") == last);
    aws_stop(&f);
}

enum { CALLERS = 8, ROTATIONS = 100 };

struct callers {
    struct aws *f;
    atomic_bool is_done;
    atomic_uint last; /* the number in the file; keys of an earlier one are refused */
};

static unsigned
number_of(const struct objstore_keys *keys)
{
    unsigned number = 0;
    char secret[64];
    assert_int_equal(sscanf(keys->access_key, "AK%u", &number), 1);
    snprintf(secret, sizeof secret, AWS_SECRET "-%s", keys->access_key);
    assert_string_equal(keys->secret_key, secret);
    return number;
}

/* One request: at most once more with keys that are not refused. */
static void
request(struct callers *c)
{
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    struct err err;
    unsigned valid = atomic_load(&c->last);
    expect_ok(objstore_credentials_acquire(c->f->credentials, &AWS_CALL, &keys, &err),
              err);
    if (number_of(keys) >= valid)
        return;
    assert_true(objstore_credentials_reject(c->f->credentials, keys->generation));
    objstore_keys_release(&keys);
    expect_ok(objstore_credentials_acquire(c->f->credentials, &AWS_CALL, &keys, &err),
              err);
    assert_true(number_of(keys) >= valid);
}

static void *
make_requests(void *arg)
{
    struct callers *c = arg;
    while (!atomic_load(&c->is_done))
        request(c);
    return NULL;
}

static void
serves_all_callers_during_rotations(void **state)
{
    (void)state;
    struct aws f;
    struct callers c = {.f = &f};
    pthread_t threads[CALLERS];
    aws_start(&f);
    aws_write_keys(&f, "default", "AK0");
    aws_open(&f, NULL);
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_requests, &c), 0);
    for (unsigned i = 1; i <= ROTATIONS; i++) {
        char name[16];
        snprintf(name, sizeof name, "AK%u", i);
        aws_write_keys(&f, "default", name);
        atomic_store(&c.last, i);
    }
    atomic_store(&c.is_done, true);
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    request(&c);
    aws_expect(&f, "AK100");
    aws_stop(&f);
}

static void
goes_on_while_the_file_is_half_written(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_write_keys(&f, "default", "AK1");
    aws_open(&f, NULL);
    uint64_t first = aws_expect(&f, "AK1");
    free(aws_write(&f, ".aws/credentials", "[default]\naws_access_key_id = AK2\n"));
    aws_later(2);
    assert_true(aws_expect(&f, "AK1") == first);
    aws_write_keys(&f, "default", "AK2");
    aws_later(2);
    aws_expect(&f, "AK2");
    aws_stop(&f);
}

static void
says_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *reason;
    } cases[] = {
        {"[default]\naws_access_key_id = a\n", ERR_INVALID, "secret key is empty"},
        {"[default]\naws_secret_access_key = " AWS_SECRET "\n", ERR_INVALID,
         "access key is empty"},
        {"[default]\naws_access_key_id = a\naws_secret_access_key = " AWS_SECRET " b\n",
         ERR_INVALID, "blank"},
        {"[default]\naws_access_key_id = a\n" AWS_SECRET "\n", ERR_INVALID, "line 3"},
        {"[default]\naws_access_key_id = a\x01\n", ERR_INVALID, "line 2"},
        {"[default]\ncredential_process = " AWS_SECRET "\n", ERR_UNSUPPORTED,
         "running a program"},
        {"[default]\nsso_session = x\n", ERR_UNSUPPORTED, "single sign-on"},
        {"[default]\naws_access_key_id = a\naws_secret_access_key = " AWS_SECRET "\n"
         "source_profile = b\n",
         ERR_UNSUPPORTED, "another profile"},
        {"[other]\naws_access_key_id = a\n", ERR_DENIED, "no credentials"},
        {"", ERR_DENIED, "no credentials"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        free(aws_write(&f, ".aws/credentials", cases[i].text));
        aws_open(&f, NULL);
        aws_expect_failure(&f, cases[i].code, cases[i].reason);
        aws_stop(&f);
    }
}

static void
takes_no_substitute_for_what_is_named(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AKW", 3600);
    aws_use_sts(&f);
    setenv("AWS_PROFILE", "absent", 1);
    aws_write_keys(&f, "default", "AK1");
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "profile absent");
    unsetenv("AWS_PROFILE");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "/nonexistent/file");
    aws_stop(&f);
}

static void
refuses_a_file_that_is_too_large(void **state)
{
    (void)state;
    struct aws f;
    struct buf text = {0};
    aws_start(&f);
    for (int i = 0; i < 70000; i++)
        buf_put_str(&text, "#\n");
    free(aws_write(&f, ".aws/credentials", buf_text(&text)));
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "larger than");
    buf_fini(&text);
    aws_stop(&f);
}

/* Keys of one file only: a token left over in the other would spoil them. */
static void
reads_profiles_of_both_files_for_the_sdk_chain(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    free(aws_write(&f, ".aws/config",
                   "[profile dev]\naws_access_key_id = AK3\n"
                   "aws_secret_access_key = " AWS_SECRET "-AK3\n"
                   "aws_session_token = stale\ns3 =\n  nested = 1\n"));
    setenv("AWS_PROFILE", "dev", 1);
    aws_open(&f, &SDK);
    aws_expect(&f, "AK3");
    assert_string_equal(objstore_credentials_describe(f.credentials), "profile");
    aws_write_keys(&f, "dev", "AK4");
    aws_later(2);
    aws_expect(&f, "AK4");
    assert_true(aws_acquire(&f, &keys));
    assert_string_equal(keys->session_token, "");
    setenv("AWS_PROFILE", "absent", 1);
    aws_open(&f, &SDK);
    aws_expect_failure(&f, ERR_INVALID, "no profile absent");
    aws_stop(&f);
}

static void
assumes_the_role_of_a_profile(void **state)
{
    (void)state;
    struct aws f;
    char text[256];
    aws_start(&f);
    aws_answer_sts(&f, "AKR", 3600);
    char *token = aws_write(&f, "token", "web");
    snprintf(text, sizeof text,
             "[default]\nrole_arn = arn:r\nrole_session_name = me\n"
             "web_identity_token_file = %s\n",
             token);
    free(token);
    free(aws_write(&f, ".aws/config", text));
    setenv("AWS_ENDPOINT_URL_STS", f.url, 1);
    aws_open(&f, &SDK);
    aws_expect(&f, "AKR");
    assert_non_null(strstr(aws_asked(&f, AWS_STS).body,
                           "&RoleArn=arn%3Ar&RoleSessionName=me&WebIdentityToken=web"));
    free(aws_write(&f, ".aws/config", "[default]\nrole_arn = arn:r\n"));
    aws_open(&f, &SDK);
    aws_expect_failure(&f, ERR_INVALID, "go together");
    free(aws_write(&f, ".aws/config",
                   "[default]\nrole_arn = arn:r\ncredential_source = Environment\n"));
    aws_open(&f, &SDK);
    aws_expect_failure(&f, ERR_UNSUPPORTED, "credential_source");
    aws_stop(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_default_profile_of_the_home_directory),
        cmocka_unit_test(reads_the_profile_and_the_file_that_are_named),
        cmocka_unit_test(follows_a_file_that_changes),
        cmocka_unit_test(reads_the_file_when_keys_are_refused),
        cmocka_unit_test(serves_all_callers_during_rotations),
        cmocka_unit_test(goes_on_while_the_file_is_half_written),
        cmocka_unit_test(says_what_is_wrong_with_a_file),
        cmocka_unit_test(takes_no_substitute_for_what_is_named),
        cmocka_unit_test(refuses_a_file_that_is_too_large),
        cmocka_unit_test(reads_profiles_of_both_files_for_the_sdk_chain),
        cmocka_unit_test(assumes_the_role_of_a_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
