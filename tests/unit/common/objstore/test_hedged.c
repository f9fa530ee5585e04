/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/objstore/hedged.h"
#include "common/objstore/retry.h"

#define MS CLOCK_NS_PER_MS
#define DATA "0123456789"

enum { WARM = 100, MAX_SCRIPT = 8 };

/* Of one request. */
enum act {
    ANSWER,         /* after 2 ms */
    HANG,           /* until cancelled; fails after seconds */
    HALF_THEN_HANG, /* the same, with half of the bytes delivered */
    FAIL,
    FAIL_LATE, /* 100 ms later */
};

/* A bucket with one object that acts by a script, and answers when that is over. */
struct scripted {
    struct objstore_bucket base;
    unsigned outlier_every; /* so many requests one takes half a second; 0: none */
    atomic_uint requests;
    atomic_int running;
    struct mutex lock;
    /* guarded by lock */
    const enum act *script;
    size_t left;
};

static enum act
next_act(struct scripted *s)
{
    MUTEX_SCOPE(&s->lock);
    if (s->left == 0)
        return ANSWER;
    s->left--;
    return *s->script++;
}

static bool
pause_for(const struct objstore_call *call, int64_t wait_ns, struct err *err)
{
    return !cancel_wait(call->cancel, wait_ns) ||
           err_set(err, ERR_CANCELLED, "cancelled");
}

static bool
act_out(struct scripted *s, unsigned request, const struct objstore_call *call,
        objstore_sink_fn *sink, void *arg, struct err *err)
{
    switch (next_act(s)) {
    case FAIL_LATE:
        return pause_for(call, 100 * MS, err) &&
               err_set(err, ERR_UNAVAILABLE, "failed late");
    case FAIL:
        return err_set(err, ERR_UNAVAILABLE, "failed at once");
    case HALF_THEN_HANG:
        return sink(arg, BYTES("01234"), err) &&
               pause_for(call, 5 * CLOCK_NS_PER_S, err) &&
               err_set(err, ERR_UNAVAILABLE, "nobody has cancelled");
    case HANG:
        return pause_for(call, 5 * CLOCK_NS_PER_S, err) &&
               err_set(err, ERR_UNAVAILABLE, "nobody has cancelled");
    case ANSWER:
        break;
    }
    bool is_outlier = s->outlier_every > 0 && request % s->outlier_every == 0;
    return pause_for(call, is_outlier ? 500 * MS : 2 * MS, err) &&
           sink(arg, BYTES("012"), err) && sink(arg, BYTES("3456789"), err);
}

static bool
scripted_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                   struct err *err)
{
    struct scripted *s = (struct scripted *)b;
    snprintf(read->etag, sizeof read->etag, "same");
    unsigned request = atomic_fetch_add(&s->requests, 1) + 1;
    atomic_fetch_add(&s->running, 1);
    bool ok = act_out(s, request, call, sink, arg, err);
    atomic_fetch_sub(&s->running, 1);
    return ok;
}

static const char *
scripted_name(const struct objstore_bucket *b)
{
    (void)b;
    return "scripted";
}

static void
scripted_free(struct objstore_bucket *b)
{
    struct scripted *s = (struct scripted *)b;
    mutex_fini(&s->lock);
    free(s);
}

static const struct objstore_bucket_ops SCRIPTED_OPS = {
    .get_range = scripted_get_range,
    .name = scripted_name,
    .free = scripted_free,
};

/* A scripted bucket behind hedging. */
struct world {
    struct scripted *scripted;
    struct objstore_bucket *bucket;
    struct err err;
};

static void
world_init(struct world *w, unsigned up_to, struct objstore_retrier *retrier)
{
    w->scripted = xcalloc(1, sizeof *w->scripted);
    w->scripted->base.ops = &SCRIPTED_OPS;
    mutex_init(&w->scripted->lock, LOCK_TEST);
    w->bucket = &w->scripted->base;
    if (retrier != NULL)
        objstore_retry_wrap(&w->bucket, retrier);
    assert_true(objstore_hedged_wrap(
        &w->bucket, &(struct objstore_hedging){.up_to = up_to, .quantile = 0.9},
        &w->err));
}

static bool
read_object(struct objstore_bucket *b, const struct cancel *cancel, struct err *err)
{
    uint8_t into[10];
    size_t got;
    const struct objstore_call call = {
        .deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S), .cancel = cancel};
    if (!objstore_read_range(b, &call, BYTES("k"), (struct objstore_range){0, 10}, into,
                             &got, err))
        return false;
    CHECK(got == 10 && memcmp(into, DATA, 10) == 0);
    return true;
}

/* Read as often as it takes to know what is usual and to have a budget. */
static void
warm(struct world *w)
{
    for (int i = 0; i < WARM; i++)
        assert_true(read_object(w->bucket, NULL, &w->err));
}

static void
play(struct world *w, const enum act *script, size_t len)
{
    MUTEX_SCOPE(&w->scripted->lock);
    w->scripted->script = script;
    w->scripted->left = len;
    w->scripted->requests = 0;
}

/* Play a script until all of it was acted out, and the read then succeeded. On a busy
 * machine reads are slow by themselves, and the hedges that this costs may be missing
 * here; not again and again. */
static void
read_by(struct world *w, const enum act *script, size_t len)
{
    bool ok = false;
    for (int tries = 0; tries < 20 && !ok; tries++) {
        warm(w);
        play(w, script, len);
        ok = read_object(w->bucket, NULL, &w->err) && w->scripted->left == 0;
        /* Who lost is gone. */
        assert_int_equal(w->scripted->running, 0);
        assert_true(w->scripted->requests <= len);
    }
    assert_true(ok);
}

#define PLAY(w, ...)                           \
    play((w), (const enum act[]){__VA_ARGS__}, \
         sizeof((const enum act[]){__VA_ARGS__}) / sizeof(enum act))

static void
first_success_wins(void **state)
{
    (void)state;
    static const enum act scripts[][MAX_SCRIPT] = {
        {HANG, ANSWER}, {HALF_THEN_HANG, ANSWER}, {FAIL_LATE, ANSWER}};
    struct world w;
    world_init(&w, 2, NULL);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        read_by(&w, scripts[i], 2);
    objstore_free(&w.bucket);
}

static void
sends_up_to_the_configured_number(void **state)
{
    (void)state;
    struct world w;
    static const enum act scripts[][3] = {{HANG, HANG, ANSWER},
                                          {HALF_THEN_HANG, FAIL, ANSWER}};
    world_init(&w, 3, NULL);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        read_by(&w, scripts[i], 3);
    objstore_free(&w.bucket);
}

static void
fails_when_all_have_failed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 2, NULL);
    warm(&w);
    PLAY(&w, FAIL_LATE, FAIL);
    assert_false(read_object(w.bucket, NULL, &w.err));
    assert_int_equal(w.err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(w.err.text, "failed late"));
    assert_int_equal(w.scripted->requests, 2);
    /* A failure is no reason to ask again: retries are those of the bucket inside. */
    PLAY(&w, FAIL);
    assert_false(read_object(w.bucket, NULL, &w.err));
    assert_int_equal(w.scripted->requests, 1);
    objstore_free(&w.bucket);
}

static bool
refuse(void *arg, struct bytes piece, struct err *err)
{
    (void)piece;
    ++*(int *)arg;
    return err_set(err, ERR_CORRUPT, "the reader does not like it");
}

static void
leaves_errors_of_the_sink_alone(void **state)
{
    (void)state;
    struct world w;
    int calls = 0;
    const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};
    world_init(&w, 2, NULL);
    static const enum act scripts[][2] = {{ANSWER, HANG}, {HANG, ANSWER}};
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        warm(&w);
        play(&w, scripts[i], 2);
        assert_false(objstore_get_range(w.bucket, &call, BYTES("k"), 0, 10, refuse,
                                        &calls, &w.err));
        assert_int_equal(w.err.code, ERR_CORRUPT);
        assert_int_equal(calls, i + 1);
        assert_int_equal(w.scripted->running, 0);
    }
    objstore_free(&w.bucket);
}

struct canceller {
    struct scripted *scripted;
    struct cancel cancel;
};

static void *
cancel_when_hedged(void *arg)
{
    struct canceller *c = arg;
    int64_t deadline_ns = clock_deadline(30 * CLOCK_NS_PER_S);
    while (c->scripted->running < 2 && clock_left_ns(deadline_ns) > 0)
        cancel_wait(NULL, MS);
    cancel_raise(&c->cancel);
    return NULL;
}

static void
cancels_all_with_the_caller(void **state)
{
    (void)state;
    struct world w;
    pthread_t thread;
    world_init(&w, 2, NULL);
    warm(&w);
    PLAY(&w, HANG, HANG);
    struct canceller c = {.scripted = w.scripted};
    assert_true(thread_start(&thread, "canceller", cancel_when_hedged, &c, &w.err));
    int64_t begin_ns = clock_mono_ns();
    assert_false(read_object(w.bucket, &c.cancel, &w.err));
    assert_int_equal(w.err.code, ERR_CANCELLED);
    assert_int_equal(w.scripted->requests, 2);
    assert_int_equal(w.scripted->running, 0);
    assert_true(clock_mono_ns() - begin_ns < 30 * CLOCK_NS_PER_S);
    pthread_join(thread, NULL);
    cancel_fini(&c.cancel);
    objstore_free(&w.bucket);
}

static bool
throttle(void *arg, struct err *err)
{
    (void)arg;
    return err_set(err, ERR_THROTTLED, "slow down");
}

static void
sends_nothing_twice_while_throttled_or_new(void **state)
{
    (void)state;
    struct world w;
    const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};
    struct objstore_retrier *retrier =
        objstore_retrier_new(&(struct objstore_retrier_options){.max_tries = 1});
    world_init(&w, 3, retrier);
    PLAY(&w, FAIL_LATE);
    assert_false(read_object(w.bucket, NULL, &w.err));
    assert_int_equal(w.scripted->requests, 1);
    warm(&w);
    assert_false(objstore_retry(retrier, &call, throttle, NULL, &w.err));
    PLAY(&w, FAIL_LATE);
    assert_false(read_object(w.bucket, NULL, &w.err));
    assert_int_equal(w.scripted->requests, 1);
    objstore_free(&w.bucket);
}

enum { THREADS = 8, READS_EACH = 250, READS = THREADS * READS_EACH };

struct reader {
    pthread_t thread;
    struct objstore_bucket *bucket;
    int64_t spent_ns[READS_EACH];
};

static void *
read_many(void *arg)
{
    struct reader *r = arg;
    struct err err;
    for (int i = 0; i < READS_EACH; i++) {
        int64_t begin_ns = clock_mono_ns();
        CHECK(read_object(r->bucket, NULL, &err));
        r->spent_ns[i] = clock_mono_ns() - begin_ns;
    }
    return NULL;
}

static int
by_duration(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void
cuts_the_tail_for_few_requests(void **state)
{
    (void)state;
    static struct reader readers[THREADS];
    static int64_t all[READS];
    struct world w;
    world_init(&w, 3, NULL);
    warm(&w);
    w.scripted->requests = 0;
    w.scripted->outlier_every = 100;
    for (int i = 0; i < THREADS; i++) {
        readers[i].bucket = w.bucket;
        assert_true(
            thread_start(&readers[i].thread, "reader", read_many, &readers[i], &w.err));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        memcpy(&all[i * READS_EACH], readers[i].spent_ns, sizeof readers[i].spent_ns);
    }
    qsort(all, READS, sizeof *all, by_duration);
    print_message("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, %u requests for %d reads\n",
                  (double)all[READS / 2] / 1e6, (double)all[READS * 99 / 100] / 1e6,
                  (double)all[READS * 999 / 1000] / 1e6, w.scripted->requests, READS);
    /* 20 and more took half a second without it. */
    assert_true(all[READS - 5] < 250 * MS);
    /* What the reads paid, and what was saved before. */
    assert_true(w.scripted->requests <= READS + READS / 20 + 10);
    objstore_free(&w.bucket);
}

/* The first request has old content; the others, and all later ones, have new. */
static bool
replaced_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                   struct err *err)
{
    bool is_old = next_act((struct scripted *)b) == HALF_THEN_HANG;
    snprintf(read->etag, sizeof read->etag, "%s", is_old ? "old" : "new");
    if (is_old)
        return sink(arg, BYTES("OLDOL"), err) &&
               pause_for(call, 5 * CLOCK_NS_PER_S, err) &&
               err_set(err, ERR_UNAVAILABLE, "nobody has cancelled");
    return pause_for(call, 2 * MS, err) && sink(arg, BYTES(DATA), err);
}

static void
never_mixes_two_objects(void **state)
{
    (void)state;
    struct objstore_bucket_ops ops = SCRIPTED_OPS;
    ops.get_range = replaced_get_range;
    struct world w;
    world_init(&w, 2, objstore_retrier_new(&(struct objstore_retrier_options){1}));
    w.scripted->base.ops = &ops;
    do {
        warm(&w);
        PLAY(&w, HALF_THEN_HANG);
        assert_false(read_object(w.bucket, NULL, &w.err));
    } while (w.err.code == ERR_UNAVAILABLE); /* there was no hedge to be had */
    assert_int_equal(w.err.code, ERR_CONFLICT);
    objstore_free(&w.bucket);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_mixes_two_objects),
        cmocka_unit_test(first_success_wins),
        cmocka_unit_test(sends_up_to_the_configured_number),
        cmocka_unit_test(fails_when_all_have_failed),
        cmocka_unit_test(leaves_errors_of_the_sink_alone),
        cmocka_unit_test(cancels_all_with_the_caller),
        cmocka_unit_test(sends_nothing_twice_while_throttled_or_new),
        cmocka_unit_test(cuts_the_tail_for_few_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
