/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/common/objstore/fake_aws.h"

static void
use_metadata(struct aws *f)
{
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f->url, 1);
    aws_answer(f, AWS_SESSION, 200, "session");
    aws_answer(f, AWS_ROLES, 200, "r");
    aws_answer_json(f, AWS_ROLE, "AK1", 3600);
}

static void
asks_within_a_session(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_metadata(&f);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    assert_string_equal(aws_asked(&f, AWS_SESSION).ttl, "21600");
    assert_string_equal(aws_asked(&f, AWS_ROLES).session, "session");
    assert_string_equal(aws_asked(&f, AWS_ROLE).session, "session");
    assert_string_equal(objstore_credentials_describe(f.credentials),
                        "EC2 instance metadata");
    aws_stop(&f);
}

static void
does_without_a_session_only_when_it_is_refused(void **state)
{
    (void)state;
    static const int statuses[] = {403, 404, 405};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct aws f;
        aws_start(&f);
        use_metadata(&f);
        aws_answer(&f, AWS_SESSION, statuses[i], "");
        aws_open(&f, NULL);
        aws_expect(&f, "AK1");
        assert_string_equal(aws_asked(&f, AWS_ROLE).session, "");
        setenv("AWS_EC2_METADATA_V1_DISABLED", "true", 1);
        aws_open(&f, NULL);
        aws_expect_failure(&f, statuses[i] == 403 ? ERR_DENIED : ERR_INVALID,
                           "a request for a session");
        aws_stop(&f);
    }
}

static void
asks_no_further_after_other_failures(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_metadata(&f);
    aws_answer(&f, AWS_SESSION, 500, "");
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_UNAVAILABLE, "answered 500");
    assert_int_equal(aws_asked(&f, AWS_SESSION).count, 3);
    assert_int_equal(aws_asked(&f, AWS_ROLES).count, 0);
    aws_stop(&f);
}

/* A session token that cannot arrive: version 1 would answer, and must not be asked. */
static void
asks_no_further_after_a_time_out(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_metadata(&f);
    aws_close(&f, true);
    aws_open(&f, NULL);
    const struct objstore_keys *keys = NULL;
    const struct objstore_call call = {.deadline_ns =
                                           clock_deadline(100 * CLOCK_NS_PER_MS)};
    expect_fails(objstore_credentials_acquire(f.credentials, &call, &keys, &f.err),
                 f.err, ERR_TIMEOUT);
    aws_close(&f, false);
    assert_int_equal(aws_asked(&f, AWS_ROLES).count, 0);
    aws_stop(&f);
}

static void
tells_an_instance_without_a_role(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_metadata(&f);
    aws_answer(&f, AWS_ROLES, 404, "");
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_DENIED, "has no role");
    aws_stop(&f);
}

static void
refuses_answers_that_are_none(void **state)
{
    (void)state;
    static const struct {
        enum aws_route route;
        const char *body;
        const char *reason;
    } cases[] = {
        {AWS_SESSION, "", "no session token"},
        {AWS_SESSION, "a\r\nX-Injected: b", "no session token"},
        {AWS_ROLES, "", "no name of a role"},
        {AWS_ROLES, "\nr", "no name of a role"},
        {AWS_ROLES, "../../x y", "no name of a role"},
        {AWS_ROLE, "<html>", "no JSON object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        use_metadata(&f);
        aws_answer(&f, cases[i].route, 200, cases[i].body);
        aws_open(&f, NULL);
        aws_expect_failure(&f, ERR_UNAVAILABLE, cases[i].reason);
        aws_stop(&f);
    }
}

static void
takes_the_first_role_of_the_list(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_metadata(&f);
    aws_answer(&f, AWS_ROLES, 200, "r\r\nother\n");
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    aws_stop(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_within_a_session),
        cmocka_unit_test(does_without_a_session_only_when_it_is_refused),
        cmocka_unit_test(asks_no_further_after_other_failures),
        cmocka_unit_test(asks_no_further_after_a_time_out),
        cmocka_unit_test(tells_an_instance_without_a_role),
        cmocka_unit_test(refuses_answers_that_are_none),
        cmocka_unit_test(takes_the_first_role_of_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
