/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/retry.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/common/objstore/fixture.h"

/* A directory behind a faulty bucket behind retries. */
struct retried {
    struct fixture f;
    struct objstore_bucket *faulty;
};

static void
retried_init(struct retried *r)
{
    fixture_init(&r->f);
    assert_true(put(&r->f, "k", "0123456789"));
    r->f.bucket = r->faulty = faulty_bucket_new(r->f.bucket);
    objstore_retry_wrap(
        &r->f.bucket,
        objstore_retrier_new(&(struct objstore_retrier_options){.max_tries = 3}));
}

static bool
call_head(struct retried *r)
{
    struct objstore_attrs attrs;
    return objstore_head(r->f.bucket, &CALL, text("k"), &attrs, &r->f.err);
}

static bool
call_get(struct retried *r)
{
    uint8_t into[10];
    size_t got;
    return objstore_read_range(r->f.bucket, &CALL, text("k"),
                               (struct objstore_range){0, sizeof into}, into, &got,
                               &r->f.err) &&
           got == sizeof into && memcmp(into, "0123456789", got) == 0;
}

static bool
call_remove(struct retried *r)
{
    return objstore_remove(r->f.bucket, &CALL, text("k"), &r->f.err);
}

static bool (*const CALLS[])(struct retried *) = {call_head, call_get, call_remove};

static void
tries_three_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CALLS); i++) {
        struct retried r;
        retried_init(&r);
        faulty_bucket_add(r.faulty,
                          (struct faulty_rule){.ops = FAULTY_ANY, .times = 2});
        assert_true(CALLS[i](&r));
        assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_ANY), 3);
        fixture_fini(&r.f);
    }
}

static void
gives_up_after_three_tries(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CALLS); i++) {
        struct retried r;
        retried_init(&r);
        faulty_bucket_add(r.faulty, (struct faulty_rule){.ops = FAULTY_ANY});
        assert_false(CALLS[i](&r));
        assert_int_equal(r.f.err.code, ERR_UNAVAILABLE);
        assert_non_null(strstr(r.f.err.text, "after 3 tries"));
        assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_ANY), 3);
        fixture_fini(&r.f);
    }
}

static void
tries_lasting_errors_once(void **state)
{
    (void)state;
    static const enum err_code lasting[] = {ERR_NOT_FOUND, ERR_DENIED,    ERR_INVALID,
                                            ERR_CORRUPT,   ERR_CANCELLED, ERR_IO};
    for (size_t i = 0; i < ARRAY_LEN(lasting); i++) {
        struct retried r;
        retried_init(&r);
        faulty_bucket_add(r.faulty,
                          (struct faulty_rule){.ops = FAULTY_ANY, .code = lasting[i]});
        assert_false(call_head(&r));
        assert_int_equal(r.f.err.code, lasting[i]);
        assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_ANY), 1);
        fixture_fini(&r.f);
    }
}

static void
resumes_a_read_where_it_stopped(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    /* 5 of 10 bytes, then 2 of 5, then the rest: each once and in order. */
    faulty_bucket_add(r.faulty, (struct faulty_rule){
                                    .ops = FAULTY_GET, .times = 2, .how = FAULTY_CUT});
    assert_true(call_get(&r));
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_GET), 3);
    fixture_fini(&r.f);
}

static bool
refuse(void *arg, struct bytes piece, struct err *err)
{
    (void)piece;
    ++*(int *)arg;
    return err_set(err, ERR_UNAVAILABLE, "the reader is busy");
}

static void
leaves_errors_of_the_sink_alone(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    int calls = 0;
    assert_false(objstore_get_range(r.f.bucket, &CALL, text("k"), 0, 10, refuse, &calls,
                                    &r.f.err));
    assert_int_equal(r.f.err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(r.f.err.text, "the reader is busy"));
    assert_int_equal(calls, 1);
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_GET), 1);
    fixture_fini(&r.f);
}

static void
does_not_wait_past_the_deadline(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    struct objstore_attrs attrs;
    int64_t begin = clock_mono_ns();
    struct objstore_call call = {.deadline_ns = begin + 40 * CLOCK_NS_PER_MS};
    faulty_bucket_add(r.faulty, (struct faulty_rule){.ops = FAULTY_ANY});
    assert_false(objstore_head(r.f.bucket, &call, text("k"), &attrs, &r.f.err));
    assert_int_equal(r.f.err.code, ERR_UNAVAILABLE);
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_ANY), 1);
    fixture_fini(&r.f);
}

static bool
cancel_and_fail(void *arg, struct err *err)
{
    cancel_raise(arg);
    return err_set(err, ERR_THROTTLED, "slow down");
}

static void
stops_waiting_when_cancelled(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    struct objstore_call call = {.deadline_ns = CLOCK_NEVER, .cancel = &cancel};
    CLEANUP(objstore_retrier_free)
    struct objstore_retrier *r =
        objstore_retrier_new(&(struct objstore_retrier_options){0});
    assert_false(objstore_retry(r, &call, cancel_and_fail, &cancel, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
}

static void
passes_listings_and_puts(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    expect_list(&r.f, "", "k ");
    faulty_bucket_add(r.faulty, (struct faulty_rule){.ops = FAULTY_LIST});
    expect_list(&r.f, "", "<unavailable>");
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_LIST), 2);
    faulty_bucket_add(r.faulty, (struct faulty_rule){.ops = FAULTY_PUT});
    assert_false(put(&r.f, "k", "x"));
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_PUT), 1);
    fixture_fini(&r.f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tries_three_times),
        cmocka_unit_test(gives_up_after_three_tries),
        cmocka_unit_test(tries_lasting_errors_once),
        cmocka_unit_test(resumes_a_read_where_it_stopped),
        cmocka_unit_test(leaves_errors_of_the_sink_alone),
        cmocka_unit_test(does_not_wait_past_the_deadline),
        cmocka_unit_test(stops_waiting_when_cancelled),
        cmocka_unit_test(passes_listings_and_puts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
