/* SPDX-License-Identifier: Apache-2.0 */
/* Equal reads of several queries, through the fetches that make them. Where it matters
 * who has begun, the pool has two threads: one reads for the leader, so the other has
 * seen all who follow before it makes a last read, of another range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/fetch.h"
#include "tests/support/expect.h"
#include "tests/support/faulty_bucket.h"
#include "tests/support/lockstep_bucket.h"

enum { LEN = 1000, RANGES = 20, QUERIES = 5, ROUNDS = 400, CLIENTS = 6 };

static const char *const keys[] = {"object"};

struct fixture {
    char *dir;
    struct objstore_bucket *lockstep; /* in faulty */
    struct objstore_bucket *faulty;
    struct pool *pool;
    struct budget budget;
    struct store_range_flights *flights;
};

/* A query that wants one range. */
struct query {
    struct store_fetch_source source;
    struct arena arena;
    struct store_piece piece;
    struct store_fetch fetch;
    bool has_left;
};

static struct err err;

#define MUST(call) expect_ok(call, err)

static uint8_t
content(uint64_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8));
}

static void
write_object(const char *dir)
{
    CLEANUP(xfree) char *path = xasprintf("%s/object", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint64_t i = 0; i < (uint64_t)LEN * RANGES; i++)
        fputc(content(i), file);
    assert_int_equal(fclose(file), 0);
}

static void
make_fixture(struct fixture *f, unsigned threads)
{
    char template[] = "/tmp/blockhouse-flight-XXXXXX";
    struct objstore_bucket *inner;
    *f = (struct fixture){.dir = xstrdup(mkdtemp(template))};
    write_object(f->dir);
    MUST(objstore_dir_open(&inner, f->dir, &err));
    f->lockstep = lockstep_bucket_new(inner);
    f->faulty = faulty_bucket_new(f->lockstep);
    MUST(pool_new(&f->pool, "fetch", threads, &err));
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    f->flights = store_range_flights_new();
}

static void
end_fixture(struct fixture *f)
{
    pool_free(&f->pool);
    store_range_flights_free(&f->flights);
    objstore_free(&f->faulty);
    budget_fini(&f->budget);
    MUST(file_remove_tree(f->dir, &err));
    free(f->dir);
}

static unsigned
calls(const struct fixture *f)
{
    return faulty_bucket_calls(f->faulty, FAULTY_GET);
}

static bool
has_left(void *arg)
{
    const struct query *q = arg;
    return q->has_left;
}

static void
ask(struct query *q, struct fixture *f, unsigned range, int64_t deadline_ns)
{
    *q = (struct query){.source = {.pool = f->pool,
                                   .bucket = f->faulty,
                                   .flights = f->flights,
                                   .deadline_ns = deadline_ns,
                                   .is_abandoned = has_left,
                                   .abandoned_arg = q},
                        .piece = {.offset = (uint64_t)range * LEN, .len = LEN}};
    arena_init(&q->arena, &f->budget);
    q->fetch.data = STORE_DATA_CHUNKS;
    MUST(store_fetch_start(&q->fetch, &q->source, keys, &q->piece, 1, &q->arena, &err));
}

static void
expect_answer(struct query *q)
{
    MUST(store_fetch_wait(&q->fetch, &err));
    struct bytes got = store_fetch_piece(&q->fetch, &q->piece);
    assert_int_equal(got.len, LEN);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(got.at[i], content(q->piece.offset + i));
}

static void
expect_failure(struct query *q, enum err_code code)
{
    assert_false(store_fetch_wait(&q->fetch, &err));
    assert_int_equal(err.code, code);
}

static void
end(struct query *q)
{
    store_fetch_fini(&q->fetch);
    store_fetch_source_fini(&q->source);
    arena_fini(&q->arena);
}

static void
wait_for_calls(const struct fixture *f, unsigned count)
{
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    while (calls(f) < count && clock_left_ns(deadline_ns) > 0)
        sched_yield();
    assert_int_equal(calls(f), count);
}

/* Let the first query hang in its read, and the others follow it; then the read of
 * another range has ended, too. */
static void
follow_one_that_hangs(struct fixture *f, struct query *queries, size_t count,
                      int64_t deadline_ns)
{
    struct query last;
    faulty_bucket_add(
        f->faulty,
        (struct faulty_rule){.ops = FAULTY_GET, .times = 1, .how = FAULTY_HANG});
    ask(&queries[0], f, 0, CLOCK_NEVER);
    wait_for_calls(f, 1);
    for (size_t i = 1; i < count; i++)
        ask(&queries[i], f, 0, deadline_ns);
    ask(&last, f, 1, CLOCK_NEVER);
    expect_answer(&last);
    end(&last);
    assert_int_equal(calls(f), 2);
}

static struct store_data_totals
sum_of(const struct query *queries, size_t count)
{
    struct store_data_totals sum = {0};
    for (size_t i = 0; i < count; i++) {
        const struct store_data_totals t =
            store_data_totals_sum(queries[i].source.data);
        sum.requests += t.requests;
        sum.fetched_bytes += t.fetched_bytes;
        sum.shared_reads += t.shared_reads;
        sum.shared_bytes += t.shared_bytes;
    }
    return sum;
}

static void
equal_reads_are_made_once(void **unused)
{
    static const unsigned rounds[] = {2};
    struct fixture f;
    struct query queries[QUERIES], last;
    (void)unused;
    make_fixture(&f, 2);
    lockstep_bucket_expect(f.lockstep, rounds, ARRAY_LEN(rounds));
    for (size_t i = 0; i < QUERIES; i++)
        ask(&queries[i], &f, 0, CLOCK_NEVER);
    ask(&last, &f, 1, CLOCK_NEVER);
    for (size_t i = 0; i < QUERIES; i++)
        expect_answer(&queries[i]);
    expect_answer(&last);
    assert_int_equal(calls(&f), 2);
    struct store_data_totals sum = sum_of(queries, QUERIES);
    assert_int_equal(sum.requests, 1);
    assert_int_equal(sum.fetched_bytes, LEN);
    assert_int_equal(sum.shared_reads, QUERIES - 1);
    assert_int_equal(sum.shared_bytes, (QUERIES - 1) * LEN);
    for (size_t i = 0; i < QUERIES; i++)
        end(&queries[i]);
    end(&last);
    end_fixture(&f);
}

static void
one_takes_over_from_a_leader_that_left(void **unused)
{
    struct fixture f;
    struct query queries[QUERIES];
    (void)unused;
    make_fixture(&f, 2);
    follow_one_that_hangs(&f, queries, QUERIES, CLOCK_NEVER);
    queries[0].has_left = true;
    expect_failure(&queries[0], ERR_CANCELLED);
    for (size_t i = 1; i < QUERIES; i++)
        expect_answer(&queries[i]);
    /* The others may follow it or come too late for that; nobody is stranded. */
    struct store_data_totals sum = sum_of(queries + 1, QUERIES - 1);
    assert_int_equal(sum.requests, calls(&f) - 2);
    assert_int_equal(sum.requests + sum.shared_reads, QUERIES - 1);
    for (size_t i = 0; i < QUERIES; i++)
        end(&queries[i]);
    end_fixture(&f);
}

static void
a_follower_has_its_own_deadline(void **unused)
{
    struct fixture f;
    struct query queries[2];
    (void)unused;
    make_fixture(&f, 2);
    follow_one_that_hangs(&f, queries, 2, clock_deadline(300 * CLOCK_NS_PER_MS));
    expect_failure(&queries[1], ERR_TIMEOUT);
    assert_non_null(strstr(err.text, "--store.query-timeout"));
    assert_int_equal(calls(&f), 2);
    assert_false(store_fetch_is_done(&queries[0].fetch));
    end(&queries[1]);
    end(&queries[0]);
    end_fixture(&f);
}

static void
a_follower_whose_reader_leaves_is_let_go(void **unused)
{
    struct fixture f;
    struct query queries[4];
    (void)unused;
    make_fixture(&f, 2);
    follow_one_that_hangs(&f, queries, 4, CLOCK_NEVER);
    queries[1].has_left = true;
    expect_failure(&queries[1], ERR_CANCELLED);
    end(&queries[1]);
    end(&queries[2]); /* without a wait */
    assert_int_equal(calls(&f), 2);
    end(&queries[0]);
    expect_answer(&queries[3]);
    end(&queries[3]);
    end_fixture(&f);
}

struct blocker {
    struct pool_job job;
    atomic_bool is_over;
};

static void
block(struct pool_job *job)
{
    struct blocker *b = (struct blocker *)job;
    while (!atomic_load(&b->is_over))
        sched_yield();
}

static void
what_was_read_while_a_read_was_queued_is_not_read_again(void **unused)
{
    struct fixture f;
    struct query queries[2];
    struct blocker blocker = {.job.run = block};
    (void)unused;
    make_fixture(&f, 1);
    struct store_range_cache *cache = store_range_cache_new(1 << 20, &f.budget);
    pool_submit(f.pool, &blocker.job);
    for (size_t i = 0; i < 2; i++) {
        struct query *q = &queries[i];
        ask(q, &f, 0, CLOCK_NEVER);
        q->source.cache = cache;
    }
    atomic_store(&blocker.is_over, true);
    for (size_t i = 0; i < 2; i++)
        expect_answer(&queries[i]);
    assert_int_equal(calls(&f), 1);
    assert_int_equal(sum_of(queries, 2).shared_reads, 1);
    for (size_t i = 0; i < 2; i++)
        end(&queries[i]);
    store_range_cache_free(&cache);
    end_fixture(&f);
}

struct client {
    struct fixture *f;
    pthread_t thread;
    uint64_t seed;
};

static size_t
pick(struct client *c, size_t n)
{
    c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (size_t)(c->seed >> 33) % n;
}

/* Some wait, some leave, some give up at once; many want the same. */
static void *
run_client(void *arg)
{
    struct client *c = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct query q;
        ask(&q, c->f, (unsigned)pick(c, 2), CLOCK_NEVER);
        switch (pick(c, 4)) {
        case 0:
            break;
        case 1:
            cancel_raise(&q.source.cancel);
            break;
        default:
            expect_answer(&q);
        }
        end(&q);
    }
    return NULL;
}

static void
many_come_and_go(void **unused)
{
    struct fixture f;
    struct client clients[CLIENTS];
    (void)unused;
    make_fixture(&f, 3);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.f = &f, .seed = i};
        MUST(thread_start(&clients[i].thread, "client", run_client, &clients[i], &err));
    }
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    end_fixture(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_reads_are_made_once),
        cmocka_unit_test(one_takes_over_from_a_leader_that_left),
        cmocka_unit_test(a_follower_has_its_own_deadline),
        cmocka_unit_test(a_follower_whose_reader_leaves_is_let_go),
        cmocka_unit_test(what_was_read_while_a_read_was_queued_is_not_read_again),
        cmocka_unit_test(many_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
