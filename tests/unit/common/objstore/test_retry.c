/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/base/pool.h"
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
        assert_non_null(strstr(r.f.err.text, "after 3 tries, 0."));
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

/* Fails in the same way each time. */
struct failing {
    enum err_code code;
    int64_t retry_after_ns;
    unsigned first_ones; /* fail only; 0: all do */
    atomic_uint tries;
};

static bool
fail_again(void *arg, struct err *err)
{
    struct failing *f = arg;
    unsigned tries = atomic_fetch_add(&f->tries, 1) + 1;
    if (f->first_ones > 0 && tries > f->first_ones)
        return true;
    err_set(err, f->code, "injected");
    err->retry_after_ns = f->retry_after_ns;
    return false;
}

static void
waits_as_long_as_the_server_asks(void **state)
{
    (void)state;
    static const enum err_code codes[] = {ERR_UNAVAILABLE, ERR_THROTTLED};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct err err;
        struct failing f = {
            .code = codes[i], .retry_after_ns = 300 * CLOCK_NS_PER_MS, .first_ones = 1};
        CLEANUP(objstore_retrier_free)
        struct objstore_retrier *r =
            objstore_retrier_new(&(struct objstore_retrier_options){0});
        int64_t begin_ns = clock_mono_ns();
        assert_true(objstore_retry(r, &CALL, fail_again, &f, &err));
        assert_int_equal(f.tries, 2);
        assert_true(clock_mono_ns() - begin_ns >= f.retry_after_ns);
        assert_int_equal(objstore_retrier_is_throttled(r), codes[i] == ERR_THROTTLED);
        /* Longer than the caller has: the wait is not begun. */
        f.first_ones = 0;
        f.retry_after_ns = 20 * CLOCK_NS_PER_S;
        struct objstore_call call = {.deadline_ns =
                                         clock_deadline(10 * CLOCK_NS_PER_S)};
        assert_false(objstore_retry(r, &call, fail_again, &f, &err));
        assert_int_equal(f.tries, 3);
        assert_string_equal(err.text, "injected");
        assert_true(clock_left_ns(call.deadline_ns) > CLOCK_NS_PER_S);
    }
}

enum { THREADS = 16, CALLS_EACH = 100 };

struct caller {
    pthread_t thread;
    struct objstore_retrier *retrier;
    struct failing *failing;
};

static void *
call_a_dead_server(void *arg)
{
    struct caller *c = arg;
    struct err err;
    /* Of the waits before a further try a fifth is short enough. */
    for (int i = 0; i < CALLS_EACH; i++) {
        struct objstore_call call = {.deadline_ns =
                                         clock_deadline(20 * CLOCK_NS_PER_MS)};
        CHECK(!objstore_retry(c->retrier, &call, fail_again, c->failing, &err));
    }
    return NULL;
}

static void
does_not_multiply_the_load_of_a_dead_server(void **state)
{
    (void)state;
    struct err err;
    struct failing f = {.code = ERR_UNAVAILABLE};
    struct caller callers[THREADS];
    CLEANUP(objstore_retrier_free)
    struct objstore_retrier *r =
        objstore_retrier_new(&(struct objstore_retrier_options){0});
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.retrier = r, .failing = &f};
        assert_true(thread_start(&callers[i].thread, "caller", call_a_dead_server,
                                 &callers[i], &err));
    }
    int64_t begin_ns = clock_mono_ns();
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    unsigned seconds = (unsigned)((clock_mono_ns() - begin_ns) / CLOCK_NS_PER_S) + 1;
    unsigned calls = THREADS * CALLS_EACH;
    assert_in_range(f.tries, calls + 50, calls + 100 + seconds);
    assert_false(objstore_retry(r, &CALL, fail_again, &f, &err));
    assert_non_null(strstr(err.text, "too many calls fail"));
    /* What succeeds pays for further tries. */
    f.first_ones = 1;
    for (int i = 0; i < 50; i++)
        assert_true(objstore_retry(r, &CALL, fail_again, &f, &err));
    f.tries = 0;
    assert_true(objstore_retry(r, &CALL, fail_again, &f, &err));
    assert_int_equal(f.tries, 2);
}

static void
does_not_wait_past_the_deadline(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    struct objstore_attrs attrs;
    struct objstore_call call = {.deadline_ns = clock_deadline(40 * CLOCK_NS_PER_MS)};
    faulty_bucket_add(r.faulty,
                      (struct faulty_rule){.ops = FAULTY_ANY, .code = ERR_THROTTLED});
    assert_false(objstore_head(r.f.bucket, &call, text("k"), &attrs, &r.f.err));
    assert_int_equal(r.f.err.code, ERR_THROTTLED);
    assert_int_equal(faulty_bucket_calls(r.faulty, FAULTY_ANY), 1);
    /* Nor is the first try of a call that would be too late. */
    call.deadline_ns = clock_deadline(CLOCK_NS_PER_MS);
    assert_false(objstore_head(r.f.bucket, &call, text("k"), &attrs, &r.f.err));
    assert_int_equal(r.f.err.code, ERR_THROTTLED);
    assert_non_null(strstr(r.f.err.text, "requests a second"));
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
        cmocka_unit_test(waits_as_long_as_the_server_asks),
        cmocka_unit_test(does_not_multiply_the_load_of_a_dead_server),
        cmocka_unit_test(does_not_wait_past_the_deadline),
        cmocka_unit_test(stops_waiting_when_cancelled),
        cmocka_unit_test(passes_listings_and_puts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
