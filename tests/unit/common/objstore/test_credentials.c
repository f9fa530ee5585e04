/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "tests/unit/common/objstore/fake_aws.h"

static const struct objstore_credentials_options GIVEN = {
    .access_key = "AKG", .secret_key = AWS_SECRET "-AKG", .session_token = "t"};
static const struct objstore_credentials_options SDK = {.sdk_chain = true};

static void
use_everything(struct aws *f)
{
    char url[128];
    setenv("AWS_ACCESS_KEY_ID", "AKE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET "-AKE", 1);
    aws_write_keys(f, "default", "AKF");
    aws_use_sts(f);
    aws_answer_sts(f, "AKW", 3600);
    snprintf(url, sizeof url, "%s/keys", f->url);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    aws_answer_json(f, AWS_CONTAINER, "AKC", 3600);
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f->url, 1);
    aws_answer(f, AWS_SESSION, 200, "session");
    aws_answer(f, AWS_ROLES, 200, "r");
    aws_answer_json(f, AWS_ROLE, "AKM", 3600);
}

static void
remove_file(const struct aws *f)
{
    char path[128];
    snprintf(path, sizeof path, "%s/.aws/credentials", f->home);
    assert_int_equal(unlink(path), 0);
}

static void
asks_in_order(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_everything(&f);
    aws_open(&f, &GIVEN);
    aws_expect(&f, "AKG");
    aws_open(&f, NULL);
    aws_expect(&f, "AKE");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    aws_open(&f, NULL);
    aws_expect(&f, "AKF");
    remove_file(&f);
    aws_open(&f, NULL);
    aws_expect(&f, "AKW");
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    aws_open(&f, NULL);
    aws_expect(&f, "AKC");
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    aws_open(&f, NULL);
    aws_expect(&f, "AKM");
    setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_DENIED, "no credentials for S3: set access_key");
    aws_stop(&f);
}

static void
asks_in_the_order_of_the_sdk(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    use_everything(&f);
    aws_open(&f, &SDK);
    aws_expect(&f, "AKE");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    aws_open(&f, &SDK);
    aws_expect(&f, "AKW");
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    aws_open(&f, &SDK);
    aws_expect(&f, "AKF");
    remove_file(&f);
    aws_open(&f, &SDK);
    aws_expect(&f, "AKC");
    aws_stop(&f);
}

static void
reads_the_environment(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    setenv("AWS_ACCESS_KEY", "AKE", 1);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "without AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_KEY", AWS_SECRET "-AKE", 1);
    setenv("AWS_SESSION_TOKEN", "t", 1);
    aws_open(&f, NULL);
    uint64_t generation = aws_expect(&f, "AKE");
    assert_true(aws_acquire(&f, &keys));
    assert_string_equal(keys->session_token, "t");
    assert_string_equal(objstore_credentials_describe(f.credentials), "environment");
    assert_false(objstore_credentials_reject(f.credentials, generation));
    unsetenv("AWS_ACCESS_KEY");
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_INVALID, "without AWS_ACCESS_KEY_ID");
    aws_stop(&f);
}

static void
says_where_it_looked_when_nothing_answers(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_open(&f, NULL);
    aws_expect_failure(&f, ERR_DENIED, "AWS_WEB_IDENTITY_TOKEN_FILE");
    assert_string_equal(objstore_credentials_describe(f.credentials), "none yet");
    aws_stop(&f);
}

static void
forgets_a_failure(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer(&f, AWS_STS, 403, "");
    aws_use_sts(&f);
    aws_open(&f, NULL);
    aws_later(0);
    aws_expect_failure(&f, ERR_DENIED, "answered 403");
    aws_answer_sts(&f, "AK1", 3600);
    /* For a moment the failure is shared: a thousand callers do not ask STS. */
    aws_expect_failure(&f, ERR_DENIED, "answered 403");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 1);
    aws_later(2);
    aws_expect(&f, "AK1");
    aws_stop(&f);
}

static void
refreshes_before_the_end(void **state)
{
    (void)state;
    static const struct {
        int life_s;
        int early_s; /* no sooner */
        int late_s;  /* no later */
    } cases[] = {{3600, 3600 - 376, 3600 - 299}, {100, 74, 81}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aws f;
        aws_start(&f);
        aws_answer_sts(&f, "AK1", cases[i].life_s);
        aws_use_sts(&f);
        aws_later(0);
        aws_open(&f, NULL);
        aws_expect(&f, "AK1");
        aws_answer_sts(&f, "AK2", 7200);
        aws_later(cases[i].early_s);
        aws_expect(&f, "AK1");
        assert_int_equal(aws_asked(&f, AWS_STS).count, 1);
        aws_later(cases[i].late_s - cases[i].early_s);
        aws_expect(&f, "AK2");
        aws_stop(&f);
    }
}

static void
goes_on_with_the_old_while_a_refresh_fails(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_later(0);
    aws_open(&f, NULL);
    uint64_t generation = aws_expect(&f, "AK1");
    aws_answer(&f, AWS_STS, 403, "");
    aws_later(3400);
    assert_true(aws_expect(&f, "AK1") == generation);
    assert_true(aws_expect(&f, "AK1") == generation);
    /* One try, and the next after a while. */
    assert_int_equal(aws_asked(&f, AWS_STS).count, 2);
    aws_later(60);
    assert_true(aws_expect(&f, "AK1") == generation);
    assert_int_equal(aws_asked(&f, AWS_STS).count, 3);
    aws_later(200);
    aws_expect_failure(&f, ERR_DENIED, "answered 403");
    aws_answer_sts(&f, "AK2", 3600);
    aws_later(2);
    assert_true(aws_expect(&f, "AK2") > generation);
    aws_stop(&f);
}

/* The caller that refreshes has a request to make in its time. */
static void
spends_a_part_of_the_time_on_a_refresh(void **state)
{
    (void)state;
    struct aws f;
    const struct objstore_keys *keys = NULL;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 200);
    aws_use_sts(&f);
    aws_open(&f, NULL);
    aws_later(-170);
    aws_expect(&f, "AK1");
    clock_unfreeze();
    aws_close(&f, true);
    const struct objstore_call call = {.deadline_ns =
                                           clock_deadline(2 * CLOCK_NS_PER_S)};
    expect_ok(objstore_credentials_acquire(f.credentials, &call, &keys, &f.err), f.err);
    assert_true(clock_left_ns(call.deadline_ns) > CLOCK_NS_PER_S / 2);
    assert_string_equal(keys->access_key, "AK1");
    /* Twice, if the jump of the clock makes the server end the connection. */
    assert_in_range(aws_asked(&f, AWS_STS).count, 2, 3);
    objstore_keys_release(&keys);
    aws_close(&f, false);
    aws_stop(&f);
}

static void
fetches_anew_when_keys_are_refused(void **state)
{
    (void)state;
    struct aws f;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_later(0);
    aws_open(&f, NULL);
    uint64_t first = aws_expect(&f, "AK1");
    aws_answer_sts(&f, "AK2", 3600);
    assert_true(objstore_credentials_reject(f.credentials, first));
    assert_true(objstore_credentials_reject(f.credentials, first));
    uint64_t second = aws_expect(&f, "AK2");
    assert_true(second > first);
    /* One who was late: there are others already. */
    assert_true(objstore_credentials_reject(f.credentials, first));
    aws_expect(&f, "AK2");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 2);
    /* The next refusal comes too soon to trouble STS. */
    assert_false(objstore_credentials_reject(f.credentials, second));
    aws_expect(&f, "AK2");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 2);
    aws_later(11);
    assert_true(objstore_credentials_reject(f.credentials, second));
    aws_answer(&f, AWS_STS, 403, "");
    aws_expect_failure(&f, ERR_DENIED, "answered 403");
    aws_stop(&f);
}

static void
keeps_keys_alive_for_those_who_hold_them(void **state)
{
    (void)state;
    struct aws f;
    const struct objstore_keys *old = NULL;
    aws_start(&f);
    aws_write_keys(&f, "default", "AK1");
    aws_open(&f, NULL);
    assert_true(aws_acquire(&f, &old));
    aws_write_keys(&f, "default", "AK2");
    aws_later(2);
    aws_expect(&f, "AK2");
    objstore_credentials_free(&f.credentials);
    assert_string_equal(old->access_key, "AK1");
    assert_string_equal(old->secret_key, AWS_SECRET "-AK1");
    objstore_keys_release(&old);
    assert_null(old);
    objstore_keys_release(&old);
    aws_stop(&f);
}

enum { THREADS = 8 };

struct caller {
    struct aws *f;
    pthread_t thread;
    int64_t deadline_ns;
    struct cancel *cancel;
    enum err_code code;
    char access_key[16];
};

static void *
call(void *arg)
{
    struct caller *c = arg;
    struct err err;
    const struct objstore_keys *keys = NULL;
    const struct objstore_call limits = {.deadline_ns = c->deadline_ns,
                                         .cancel = c->cancel};
    if (!objstore_credentials_acquire(c->f->credentials, &limits, &keys, &err))
        c->code = err.code;
    else
        aws_copy(c->access_key, sizeof c->access_key, keys->access_key);
    objstore_keys_release(&keys);
    return NULL;
}

static void
start(struct caller *c, struct aws *f)
{
    *c = (struct caller){.f = f, .deadline_ns = CLOCK_NEVER, .cancel = c->cancel};
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void
wait_until_asked(struct aws *f, unsigned count)
{
    int64_t deadline_ns = clock_deadline(10 * CLOCK_NS_PER_S);
    while (aws_asked(f, AWS_STS).count < count)
        assert_true(clock_left_ns(deadline_ns) > 0);
}

static void
fetches_once_for_all_who_wait(void **state)
{
    (void)state;
    struct aws f;
    struct caller callers[THREADS] = {0};
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_open(&f, NULL);
    aws_close(&f, true);
    for (size_t i = 0; i < THREADS; i++)
        start(&callers[i], &f);
    wait_until_asked(&f, 1);
    aws_close(&f, false);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].code, ERR_NONE);
        assert_string_equal(callers[i].access_key, "AK1");
    }
    assert_int_equal(aws_asked(&f, AWS_STS).count, 1);
    aws_stop(&f);
}

/* One refreshes and is kept waiting; the others are not. */
static void
lets_others_go_on_during_a_refresh(void **state)
{
    (void)state;
    struct aws f;
    struct caller one = {0};
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_later(0);
    aws_open(&f, NULL);
    aws_expect(&f, "AK1");
    aws_answer_sts(&f, "AK2", 3600);
    aws_later(3400);
    aws_close(&f, true);
    start(&one, &f);
    while (aws_asked(&f, AWS_STS).count < 2)
        ;
    aws_expect(&f, "AK1");
    aws_close(&f, false);
    assert_int_equal(pthread_join(one.thread, NULL), 0);
    assert_string_equal(one.access_key, "AK2");
    aws_expect(&f, "AK2");
    assert_int_equal(aws_asked(&f, AWS_STS).count, 2);
    aws_stop(&f);
}

/* Of those who wait each keeps its own limits, and one that goes takes nobody along. */
static void
waits_within_the_limits_of_each(void **state)
{
    (void)state;
    struct aws f;
    struct cancel leader_leaves = {0}, waiter_leaves = {0};
    struct caller leader = {.cancel = &leader_leaves},
                  waiter = {.cancel = &waiter_leaves};
    struct caller patient = {0};
    const struct objstore_keys *keys = NULL;
    aws_start(&f);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_open(&f, NULL);
    aws_close(&f, true);
    start(&leader, &f);
    wait_until_asked(&f, 1);
    start(&waiter, &f);
    start(&patient, &f);
    const struct objstore_call hasty = {.deadline_ns =
                                            clock_deadline(50 * CLOCK_NS_PER_MS)};
    expect_fails(objstore_credentials_acquire(f.credentials, &hasty, &keys, &f.err),
                 f.err, ERR_TIMEOUT);
    cancel_raise(&waiter_leaves);
    assert_int_equal(pthread_join(waiter.thread, NULL), 0);
    assert_int_equal(waiter.code, ERR_CANCELLED);
    cancel_raise(&leader_leaves);
    assert_int_equal(pthread_join(leader.thread, NULL), 0);
    assert_int_equal(leader.code, ERR_CANCELLED);
    wait_until_asked(&f, 2);
    aws_close(&f, false);
    assert_int_equal(pthread_join(patient.thread, NULL), 0);
    assert_int_equal(patient.code, ERR_NONE);
    assert_string_equal(patient.access_key, "AK1");
    cancel_fini(&leader_leaves);
    cancel_fini(&waiter_leaves);
    aws_stop(&f);
}

/* Everything that is logged while step runs. Release with buf_fini. */
static void
capture(struct aws *f, void (*step)(struct aws *f), struct buf *log)
{
    char path[128];
    snprintf(path, sizeof path, "%s/log", f->home);
    int to = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(to >= 0 && kept >= 0 && dup2(to, STDERR_FILENO) >= 0);
    step(f);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(to);
    close(kept);
    expect_ok(file_read_all(path, 1 << 20, log, &f->err), f->err);
}

static void
fail_to_refresh(struct aws *f)
{
    aws_expect(f, "AK1");
    aws_answer(f, AWS_STS, 400,
               "<Error><Code>" AWS_SECRET "!</Code><Message>" AWS_SECRET
               "</Message></Error>");
    aws_later(3400);
    aws_expect(f, "AK1");
    aws_later(50);
    aws_expect(f, "AK1");
    aws_answer_sts(f, AWS_SECRET " ", 3600);
    aws_later(50);
    aws_expect(f, "AK1");
}

static void
logs_failures_seldom_and_no_secrets(void **state)
{
    (void)state;
    struct aws f;
    struct buf log = {0};
    aws_start(&f);
    log_setup("test", LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    aws_answer_sts(&f, "AK1", 3600);
    aws_use_sts(&f);
    aws_later(0);
    aws_open(&f, NULL);
    capture(&f, fail_to_refresh, &log);
    const char *text = buf_text(&log);
    const char *first = strstr(text, "cannot be refreshed");
    assert_non_null(strstr(text, "provider=\"web identity\""));
    assert_non_null(first);
    const char *second = strstr(first + 1, "cannot be refreshed");
    assert_non_null(second);
    assert_null(strstr(second + 1, "cannot be refreshed"));
    assert_null(strstr(text, AWS_SECRET));
    assert_null(strstr(text, "AK1"));
    buf_fini(&log);
    aws_stop(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_in_order),
        cmocka_unit_test(asks_in_the_order_of_the_sdk),
        cmocka_unit_test(reads_the_environment),
        cmocka_unit_test(says_where_it_looked_when_nothing_answers),
        cmocka_unit_test(forgets_a_failure),
        cmocka_unit_test(refreshes_before_the_end),
        cmocka_unit_test(goes_on_with_the_old_while_a_refresh_fails),
        cmocka_unit_test(spends_a_part_of_the_time_on_a_refresh),
        cmocka_unit_test(fetches_anew_when_keys_are_refused),
        cmocka_unit_test(keeps_keys_alive_for_those_who_hold_them),
        cmocka_unit_test(fetches_once_for_all_who_wait),
        cmocka_unit_test(lets_others_go_on_during_a_refresh),
        cmocka_unit_test(waits_within_the_limits_of_each),
        cmocka_unit_test(logs_failures_seldom_and_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
