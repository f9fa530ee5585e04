/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, servers and time are simulated: no test here waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/objstore/pace.h"

#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS

/* Any time but 0, and not at the begin of a second. */
#define BEGIN (1000 * S + 700 * MS)

/* As retry.c does. */
#define LOOK_AGAIN_NS (500 * MS)

enum { MAX_THREADS = 64 };

/* A server that refuses what is above its limit. */
struct server {
    double limit; /* requests a second */
    double burst; /* of a token bucket; 0: counts by the second */
    double tokens;
    int64_t filled_ns;
};

static bool
serves(struct server *s, int64_t now_ns)
{
    if (s->burst > 0)
        s->tokens += s->limit * (double)(now_ns - s->filled_ns) / (double)S;
    else if (now_ns / S != s->filled_ns / S)
        s->tokens = s->limit;
    s->tokens = NUM_MIN(s->tokens, s->burst > 0 ? s->burst : s->limit);
    s->filled_ns = now_ns;
    bool ok = s->tokens >= 1;
    s->tokens -= ok;
    return ok;
}

enum what { TAKE_TURN, SEND, ANSWER };

struct thread {
    enum what next;
    int64_t at_ns;
    double turn;
    int64_t sent_ns;
    unsigned tries;
    bool served;
};

struct world {
    struct objstore_pace pace;
    struct server server;
    struct thread threads[MAX_THREADS];
    unsigned thread_count;
    int64_t now_ns;
    int64_t round_trip_ns;
    /* counted */
    unsigned done;
    unsigned refused;
    unsigned most_tries;
};

static void
world_init(struct world *w, unsigned threads, struct server server)
{
    *w = (struct world){.thread_count = threads,
                        .now_ns = BEGIN,
                        .round_trip_ns = 2 * MS,
                        .server = server};
    w->server.filled_ns = BEGIN;
    w->server.tokens = server.burst > 0 ? server.burst : server.limit;
    objstore_pace_init(&w->pace, BEGIN);
    for (unsigned i = 0; i < threads; i++)
        w->threads[i].at_ns = BEGIN;
}

static void
take_turn(struct world *w, struct thread *t)
{
    int64_t left_ns;
    assert_true(
        objstore_pace_take(&w->pace, w->now_ns, CLOCK_NEVER, &t->turn, &left_ns));
    t->at_ns += NUM_MIN(left_ns, LOOK_AGAIN_NS);
    t->next = SEND;
}

static void
send(struct world *w, struct thread *t)
{
    int64_t left_ns = objstore_pace_left_ns(&w->pace, w->now_ns, t->turn);
    t->at_ns += NUM_MIN(left_ns, LOOK_AGAIN_NS);
    if (left_ns > 0)
        return;
    t->served = serves(&w->server, w->now_ns);
    t->sent_ns = w->now_ns;
    t->at_ns += w->round_trip_ns;
    t->next = ANSWER;
}

static void
answer(struct world *w, struct thread *t)
{
    t->tries++;
    w->most_tries = NUM_MAX(w->most_tries, t->tries);
    t->next = TAKE_TURN;
    if (t->served) {
        objstore_pace_accepted(&w->pace, w->now_ns, t->sent_ns);
        t->tries = 0;
        w->done++;
    } else {
        (void)objstore_pace_refused(&w->pace, w->now_ns, t->sent_ns, 0);
        w->refused++;
    }
}

static void
step(struct world *w)
{
    struct thread *t = &w->threads[0];
    for (unsigned i = 1; i < w->thread_count; i++)
        if (w->threads[i].at_ns < t->at_ns)
            t = &w->threads[i];
    w->now_ns = NUM_MAX(w->now_ns, t->at_ns);
    if (t->next == TAKE_TURN)
        take_turn(w, t);
    else if (t->next == SEND)
        send(w, t);
    else
        answer(w, t);
}

/* Go on until so many reads are done; returns the seconds that took. */
static double
run(struct world *w, unsigned reads)
{
    int64_t begin_ns = w->now_ns;
    unsigned goal = w->done + reads;
    while (w->done < goal)
        step(w);
    return (double)(w->now_ns - begin_ns) / (double)S;
}

static void
uses_what_a_server_allows(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 16, 64};
    static const struct server servers[] = {
        {.limit = 100}, {.limit = 100, .burst = 100}, {.limit = 100, .burst = 10}};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        for (size_t k = 0; k < ARRAY_LEN(servers); k++) {
            struct world w;
            world_init(&w, threads[i], servers[k]);
            double seconds = run(&w, 3000);
            assert_true(seconds < 36);
            assert_true(w.refused < 300);
            assert_true(w.most_tries < 10);
            objstore_pace_fini(&w.pace);
        }
}

static void
follows_a_limit_that_changes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 16, (struct server){.limit = 100});
    run(&w, 1000);
    w.server.limit = 1000;
    run(&w, 5000);
    w.refused = 0;
    assert_true(run(&w, 10000) < 12);
    assert_true(w.refused < 1000);
    w.server.limit = 20;
    run(&w, 400);
    w.refused = 0;
    assert_true(run(&w, 1000) < 60);
    assert_true(w.refused < 200);
    objstore_pace_fini(&w.pace);
}

static void
asks_a_server_less_and_less_that_refuses_all(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 64, (struct server){.limit = 1000, .burst = 1000});
    run(&w, 2000);
    w.server.limit = 0;
    w.server.tokens = 0;
    w.refused = 0;
    int64_t until_ns = w.now_ns + 60 * S;
    while (w.now_ns < until_ns)
        step(&w);
    /* Some were on their way; then about one a second. */
    assert_in_range(w.refused, 10, 64 + 180);
    objstore_pace_fini(&w.pace);
}

static void
waits_as_long_as_the_server_asks(void **state)
{
    (void)state;
    struct objstore_pace p;
    double turn;
    int64_t left_ns;
    objstore_pace_init(&p, BEGIN);
    assert_true(objstore_pace_refused(&p, BEGIN, BEGIN - MS, 7 * S));
    assert_true(objstore_pace_take(&p, BEGIN + S, CLOCK_NEVER, &turn, &left_ns));
    assert_in_range(left_ns, 6 * S, 6 * S + MS);
    assert_int_equal(objstore_pace_left_ns(&p, BEGIN + 7 * S + MS, turn), 0);
    /* An odd answer does not stop the bucket for a day. */
    assert_false(objstore_pace_refused(&p, BEGIN + 8 * S, BEGIN + 7 * S, 86400 * S));
    assert_true(objstore_pace_take(&p, BEGIN + 8 * S, CLOCK_NEVER, &turn, &left_ns));
    assert_in_range(left_ns, 60 * S, 62 * S);
    objstore_pace_fini(&p);
}

static void
gives_turns_in_order_and_none_behind_a_deadline(void **state)
{
    (void)state;
    struct objstore_pace p;
    double first, second, third;
    int64_t left_ns, until_ns;
    objstore_pace_init(&p, BEGIN);
    assert_true(objstore_pace_refused(&p, BEGIN, BEGIN, 0));
    assert_true(objstore_pace_take(&p, BEGIN, CLOCK_NEVER, &first, &left_ns));
    assert_true(objstore_pace_take(&p, BEGIN, CLOCK_NEVER, &second, &until_ns));
    assert_true(second > first && until_ns > left_ns);
    /* Who cannot wait takes no turn from those behind. */
    for (int i = 0; i < 100; i++)
        assert_false(objstore_pace_take(&p, BEGIN, BEGIN + until_ns, &third, &left_ns));
    assert_true(objstore_pace_take(&p, BEGIN, CLOCK_NEVER, &third, &left_ns));
    assert_true(third == second + 1);
    objstore_pace_return(&p);
    assert_true(objstore_pace_take(&p, BEGIN, CLOCK_NEVER, &third, &left_ns));
    assert_true(third == second + 1);
    objstore_pace_fini(&p);
}

static void
forgets_after_a_quiet_time(void **state)
{
    (void)state;
    struct objstore_pace p;
    double turn;
    int64_t left_ns;
    objstore_pace_init(&p, BEGIN);
    assert_false(objstore_pace_is_on(&p));
    assert_true(objstore_pace_refused(&p, BEGIN, BEGIN, 0));
    assert_false(objstore_pace_refused(&p, BEGIN + S, BEGIN + S, 0));
    assert_false(objstore_pace_forget(&p, BEGIN + 30 * S));
    assert_true(objstore_pace_is_on(&p));
    assert_true(objstore_pace_forget(&p, BEGIN + 31 * S));
    assert_false(objstore_pace_forget(&p, BEGIN + 31 * S));
    assert_false(objstore_pace_is_on(&p));
    /* Who waits for a turn waits no longer. */
    assert_true(objstore_pace_take(&p, BEGIN + 31 * S, CLOCK_NEVER, &turn, &left_ns));
    assert_int_equal(left_ns, 0);
    assert_true(objstore_pace_refused(&p, BEGIN + 40 * S, BEGIN + 40 * S, 0));
    objstore_pace_fini(&p);
}

static void
refuse_after_a_hundred(struct objstore_pace *p, int64_t now_ns)
{
    for (int i = 0; i < 100; i++)
        objstore_pace_accepted(p, now_ns, now_ns);
    assert_true(objstore_pace_refused(p, now_ns, now_ns, 0));
}

/* What was learnt long ago must not outgrow what a double counts one by one. */
static void
limits_the_rate_hours_after_an_episode(void **state)
{
    (void)state;
    struct objstore_pace p;
    double turn;
    int64_t left_ns, longest_ns = 0, now_ns = BEGIN;
    objstore_pace_init(&p, now_ns);
    refuse_after_a_hundred(&p, now_ns);
    now_ns += 4 * 3600 * S;
    assert_true(objstore_pace_forget(&p, now_ns));
    refuse_after_a_hundred(&p, now_ns);
    now_ns += S;
    for (int i = 0; i < 1000; i++) {
        assert_true(objstore_pace_take(&p, now_ns, CLOCK_NEVER, &turn, &left_ns));
        longest_ns = NUM_MAX(longest_ns, left_ns);
    }
    /* 1000 requests at some 100 a second. */
    assert_true(longest_ns > S);
    objstore_pace_fini(&p);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_the_rate_hours_after_an_episode),
        cmocka_unit_test(uses_what_a_server_allows),
        cmocka_unit_test(follows_a_limit_that_changes),
        cmocka_unit_test(asks_a_server_less_and_less_that_refuses_all),
        cmocka_unit_test(waits_as_long_as_the_server_asks),
        cmocka_unit_test(gives_turns_in_order_and_none_behind_a_deadline),
        cmocka_unit_test(forgets_after_a_quiet_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
