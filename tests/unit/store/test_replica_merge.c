/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/replica_merge.h"
#include "tests/support/any_samples.h"
#include "tests/support/expect.h"

enum { MAX_REPLICAS = 4, MAX_CHUNKS = 12, MAX_SAMPLES = MAX_CHUNKS * ANY_CHUNK_MAX };

/* A replica as a list of samples and as chunks. */
struct replica {
    struct any_sample samples[MAX_SAMPLES];
    size_t count;
    struct tsdb_timed_chunk chunks[MAX_CHUNKS];
    size_t chunk_count;
};

struct fixture {
    struct budget budget;
    struct arena arena;
    struct replica replicas[MAX_REPLICAS];
    size_t count;
    uint64_t jitter_ms; /* 0: samples have the same times */
    struct store_replica_rule rule;
    struct store_replica out;
    struct any_sample got[MAX_REPLICAS * MAX_SAMPLES];
    size_t got_count;
    struct any_sample expected[MAX_REPLICAS * MAX_SAMPLES];
};

static int
set_up(void **at)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    f->rule = (struct store_replica_rule){.mint_ms = INT64_MIN, .maxt_ms = INT64_MAX};
    *at = f;
    return 0;
}

static int
tear_down(void **at)
{
    struct fixture *f = *at;
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    free(f);
    return 0;
}

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double
number_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void
add_chunk(struct fixture *f, struct replica *r, enum tsdb_chunk_encoding encoding,
          const struct any_sample *samples, size_t count)
{
    memcpy(r->samples + r->count, samples, count * sizeof *samples);
    r->count += count;
    r->chunks[r->chunk_count++] = any_chunk(&f->arena, encoding, samples, count);
}

static bool
try_merge(struct fixture *f, struct err *err)
{
    struct store_replica replicas[MAX_REPLICAS];
    for (size_t i = 0; i < f->count; i++)
        replicas[i] =
            (struct store_replica){f->replicas[i].chunks, f->replicas[i].chunk_count};
    return store_replica_merge(replicas, f->count, &f->rule, &f->arena, &f->out, err);
}

static void
merge(struct fixture *f)
{
    struct err err;
    expect_ok(try_merge(f, &err), err);
    size_t count = any_read(f->out.chunks, f->out.count, f->got, ARRAY_LEN(f->got));
    f->got_count = 0;
    for (size_t i = 0; i < count; i++)
        if (f->got[i].t_ms >= f->rule.mint_ms && f->got[i].t_ms <= f->rule.maxt_ms)
            f->got[f->got_count++] = f->got[i];
}

/* A replica of floats; a time of -1 begins a new chunk. */
static void
add_floats(struct fixture *f, const int64_t *times, const double *values, size_t count)
{
    struct replica *r = &f->replicas[f->count++];
    size_t from = 0, n = 0;
    struct any_sample samples[32];
    for (size_t i = 0; i <= count; i++) {
        if (i < count && times[i] != -1)
            samples[n++] =
                (struct any_sample){.t_ms = times[i], .bits = bits_of(values[i])};
        else if (n > from)
            add_chunk(f, r, TSDB_CHUNK_XOR, samples + from, n - from), from = n;
    }
}

#define SERIES(...)   \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }
#define VALUES(...)  \
    (const double[]) \
    {                \
        __VA_ARGS__  \
    }

static void
expect_times(const struct fixture *f, const int64_t *times, size_t count)
{
    assert_int_equal(f->got_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(f->got[i].t_ms, times[i]);
}

static void
expect_values(const struct fixture *f, const double *values, size_t count)
{
    assert_int_equal(f->got_count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(f->got[i].bits == bits_of(values[i]));
}

static void
jitter_does_not_switch(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 25000, 39900, -1, 55100, 70000),
               VALUES(1, 1, 1, 1, 1, 1), 6);
    add_floats(f, SERIES(10000, 25200, -1, 40000, 54900, 70000),
               VALUES(2, 2, 2, 2, 2, 2), 6);
    merge(f);
    expect_times(f, SERIES(10000, 25000, 39900, 55100, 70000), 5);
    expect_values(f, VALUES(1, 1, 1, 1, 1), 5);
    /* whole chunks are passed on */
    assert_int_equal(f->out.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_ptr_equal(f->out.chunks[i].chunk.data.at,
                         f->replicas[0].chunks[i].chunk.data.at);
}

/* After 20 s the other one may be asked from 40 s behind on. */
static void
a_gap_switches_and_the_new_one_stays(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 20000, 100000, 110000), VALUES(1, 1, 1, 1), 4);
    add_floats(f,
               SERIES(15000, 25000, 35000, 45000, 55000, 65000, 75000, 85000, 95000,
                      105000, 115000),
               VALUES(2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2), 11);
    merge(f);
    expect_times(
        f,
        SERIES(10000, 20000, 45000, 55000, 65000, 75000, 85000, 95000, 105000, 115000),
        10);
    expect_values(f, VALUES(1, 1, 2, 2, 2, 2, 2, 2, 2, 2), 10);
}

static void
the_later_one_is_penalised_at_the_start(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 15500, 20500), VALUES(1, 1, 1), 3);
    add_floats(f, SERIES(9000, 19000, 29000), VALUES(2, 2, 2), 3);
    merge(f);
    /* 9000 + 5000: the first one at 15500; then 2 * 6500 behind it */
    expect_times(f, SERIES(9000, 15500, 20500), 3);
    expect_values(f, VALUES(2, 1, 1), 3);
}

static void
the_first_penalty_is_five_seconds(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(14000, 14001), VALUES(1, 1), 2);
    add_floats(f, SERIES(9000), VALUES(2), 1);
    merge(f);
    expect_times(f, SERIES(9000, 14001), 2);
}

static void
the_first_replica_wins_ties(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 60000), VALUES(1, 1), 2);
    add_floats(f, SERIES(5000, 20000, 60000), VALUES(2, 2, 2), 3);
    merge(f);
    expect_times(f, SERIES(5000, 20000, 60000), 3);
    expect_values(f, VALUES(2, 2, 1), 3);
}

static void
when_one_ends_the_other_goes_on(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 20000, 30000), VALUES(1, 1, 1), 3);
    add_floats(f, SERIES(10000, 20000, 30000, 40000, 60000, 70000),
               VALUES(2, 2, 2, 2, 2, 2), 6);
    merge(f);
    expect_times(f, SERIES(10000, 20000, 30000, 60000, 70000), 5);
    expect_values(f, VALUES(1, 1, 1, 2, 2), 5);
}

static void
values_are_lifted_for_counters_only(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 20000, 90000, 100000), VALUES(100, 110, 30, 40), 4);
    add_floats(f, SERIES(11000, 21000, 31000, 41000, 51000, 61000),
               VALUES(1, 2, 3, 4, 5, NAN), 6);
    merge(f);
    expect_values(f, VALUES(100, 110, 4, 5, NAN, 30, 40), 7);
    f->rule.is_counter = true;
    merge(f);
    /* 4 becomes 110; behind NaN nothing is lower */
    expect_values(f, VALUES(100, 110, 110, 111, NAN, 30, 40), 7);
}

static void
functions_that_count(void **at)
{
    (void)at;
    assert_true(store_replica_is_counter(BYTES("rate")));
    assert_true(store_replica_is_counter(BYTES("irate")));
    assert_true(store_replica_is_counter(BYTES("increase")));
    assert_true(store_replica_is_counter(BYTES("resets")));
    assert_false(store_replica_is_counter(BYTES("delta")));
    assert_false(store_replica_is_counter(BYTES("")));
}

/* Only what is inside the range decides: the first replica's gap before it does not. */
static void
samples_outside_the_range_do_not_count(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 20000, 100000, 110000, 120000, 130000),
               VALUES(1, 1, 1, 1, 1, 1), 6);
    add_floats(f, SERIES(15000, 35000, 55000, 95000, 105000, 115000, 125000),
               VALUES(2, 2, 2, 2, 2, 2, 2), 7);
    f->rule.mint_ms = 96000;
    f->rule.maxt_ms = 120000;
    merge(f);
    expect_times(f, SERIES(100000, 110000, 120000), 3);
    expect_values(f, VALUES(1, 1, 1), 3);
}

static void
chunks_at_the_ends_of_the_range_are_passed_on(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(10000, 20000, 30000, -1, 40000, 50000, 60000),
               VALUES(1, 1, 1, 1, 1, 1), 6);
    add_floats(f, SERIES(20001, 70000), VALUES(2, 2), 2);
    f->rule.mint_ms = 20000;
    f->rule.maxt_ms = 50000;
    merge(f);
    expect_times(f, SERIES(20000, 30000, 40000, 50000), 4);
    assert_int_equal(f->out.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_ptr_equal(f->out.chunks[i].chunk.data.at,
                         f->replicas[0].chunks[i].chunk.data.at);
    /* not where the other one comes before or behind */
    f->rule.mint_ms = 15000;
    f->rule.maxt_ms = 100000;
    add_floats(f, SERIES(14000, 30001, 80000), VALUES(3, 3, 3), 3);
    f->replicas[0] = f->replicas[2];
    f->count = 2;
    merge(f);
    expect_times(f, SERIES(20001, 30001, 70000), 3);
}

static void
times_at_both_ends_of_all_time(void **at)
{
    struct fixture *f = *at;
    add_floats(f, SERIES(INT64_MIN, 0, INT64_MAX), VALUES(1, 1, 1), 3);
    add_floats(f, SERIES(INT64_MIN, 5, INT64_MAX), VALUES(2, 2, 2), 3);
    merge(f);
    expect_times(f, SERIES(INT64_MIN, 0, INT64_MAX), 3);
    expect_values(f, VALUES(1, 1, 1), 3);
}

/* The algorithm as it is told, one sample at a time. */
struct naive_side {
    const struct any_sample *at;
    size_t count;
    size_t next;
    int64_t penalty;
    double lift;
};

static void
naive_seek(struct naive_side *s, int64_t t_ms)
{
    while (s->next < s->count && s->at[s->next].t_ms < t_ms)
        s->next++;
}

static size_t
naive_merge(struct naive_side a, struct naive_side b, bool is_counter,
            struct any_sample *out)
{
    struct naive_side *last_side = NULL;
    size_t n = 0;
    for (;;) {
        struct naive_side *taken = &a, *other = &b;
        if (n > 0) {
            naive_seek(&a, out[n - 1].t_ms + 1 + a.penalty);
            naive_seek(&b, out[n - 1].t_ms + 1 + b.penalty);
        }
        if (a.next == a.count && b.next == b.count)
            return n;
        if (a.next == a.count ||
            (b.next < b.count && b.at[b.next].t_ms < a.at[a.next].t_ms)) {
            taken = &b;
            other = &a;
        }
        struct any_sample s = taken->at[taken->next];
        if (other->next < other->count)
            other->penalty = n > 0 ? 2 * (s.t_ms - out[n - 1].t_ms) : 5000;
        taken->penalty = 0;
        if (is_counter && last_side != NULL && last_side != taken && !s.is_histogram &&
            !out[n - 1].is_histogram &&
            number_of(out[n - 1].bits) > number_of(s.bits) + taken->lift)
            taken->lift +=
                number_of(out[n - 1].bits) - (number_of(s.bits) + taken->lift);
        if (!s.is_histogram && !isnan(number_of(s.bits)) && taken->lift > 0)
            s.bits = bits_of(number_of(s.bits) + taken->lift);
        last_side = taken;
        out[n++] = s;
    }
}

/* Fold all replicas into f->expected. */
static size_t
naive_fold(struct fixture *f)
{
    static struct any_sample all[MAX_REPLICAS * MAX_SAMPLES], one[MAX_SAMPLES];
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) {
        size_t n = 0;
        for (size_t k = 0; k < f->replicas[i].count; k++) {
            const struct any_sample *s = &f->replicas[i].samples[k];
            if (s->t_ms >= f->rule.mint_ms && s->t_ms <= f->rule.maxt_ms)
                one[n++] = *s;
        }
        memcpy(all, f->expected, count * sizeof *all);
        if (i == 0)
            memcpy(f->expected, one, n * sizeof *one);
        count = i == 0 ? n
                       : naive_merge((struct naive_side){.at = all, .count = count},
                                     (struct naive_side){.at = one, .count = n},
                                     f->rule.is_counter, f->expected);
    }
    return count;
}

/* About 10 s, or a gap; without jitter whole numbers of those. */
static int64_t
next_step(uint64_t *random, uint64_t jitter_ms)
{
    if (jitter_ms == 0)
        return 10000 * (int64_t)(1 + any_below(random, 2) * any_below(random, 5));
    if (any_below(random, 20) == 0)
        return 1 + (int64_t)any_below(random, 90000);
    return 9000 + (int64_t)any_below(random, jitter_ms);
}

/* Chunks one after the other, some with holes between or in them. */
static void
make_replica(struct fixture *f, struct replica *r, uint64_t *random)
{
    bool floats_only = any_below(random, 2) == 0;
    int64_t t_ms = (int64_t)any_below(random, 30000) / 10000 * 10000;
    r->count = r->chunk_count = 0;
    for (uint64_t n = any_below(random, MAX_CHUNKS + 1); n > 0; n--) {
        struct any_sample samples[ANY_CHUNK_MAX];
        enum tsdb_chunk_encoding encoding =
            floats_only ? TSDB_CHUNK_XOR : any_encoding(random);
        size_t count = 1 + any_below(random, ANY_CHUNK_MAX);
        any_run(random, encoding, t_ms, 1, samples, count);
        for (size_t i = 0; i < count; i++) {
            /* any_run steps by 1; the values of histograms only need to ascend */
            samples[i].t_ms = t_ms;
            t_ms += next_step(random, f->jitter_ms);
        }
        add_chunk(f, r, encoding, samples, count);
        if (any_below(random, 3) == 0)
            t_ms += (int64_t)any_below(random, 100) * 10000;
    }
}

static void
any_replicas_are_merged_as_a_naive_model_does(void **at)
{
    struct fixture *f = *at;
    for (uint64_t round = 1; round <= 600; round++) {
        uint64_t random = round * UINT64_C(0x9e3779b97f4a7c15);
        f->count = 1 + any_below(&random, MAX_REPLICAS);
        f->jitter_ms = round % 2 * 2000;
        for (size_t i = 0; i < f->count; i++)
            make_replica(f, &f->replicas[i], &random);
        f->rule.is_counter = any_below(&random, 2) == 0;
        f->rule.mint_ms = any_below(&random, 2) == 0 || f->count == 1
                              ? INT64_MIN
                              : (int64_t)any_below(&random, 1500000);
        f->rule.maxt_ms = any_below(&random, 2) == 0 || f->count == 1
                              ? INT64_MAX
                              : (int64_t)any_below(&random, 6000000);
        merge(f);
        size_t count = naive_fold(f);
        assert_int_equal(f->got_count, count);
        for (size_t i = 0; i < count; i++)
            assert_true(any_sample_eq(&f->got[i], &f->expected[i]));
        arena_reset(&f->arena);
    }
}

static void
chunks_of_the_other_replica_are_not_decoded(void **at)
{
    struct fixture *f = *at;
    struct any_sample samples[60];
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        samples[i] = (struct any_sample){.t_ms = (int64_t)i * 1000};
    f->count = 2;
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0; i < 6; i++)
            add_chunk(f, &f->replicas[r], TSDB_CHUNK_XOR, samples + 10 * i, 10);
    for (size_t i = 1; i < 6; i++)
        f->replicas[1].chunks[i].chunk.data = BYTES("broken");
    merge(f);
    assert_int_equal(f->got_count, 60);
    assert_int_equal(f->out.count, 6);
}

static void
errors_are_told(void **at)
{
    struct fixture *f = *at;
    struct err err;
    add_floats(f, SERIES(10000, 20000, 30000), VALUES(1, 1, 1), 3);
    add_floats(f, SERIES(10001, 20001, 30001), VALUES(1, 1, 1), 3);
    f->replicas[0].chunks[0].chunk.data = BYTES("broken");
    expect_fails(try_merge(f, &err), err, ERR_CORRUPT);
    f->replicas[0].chunks[0].chunk.encoding = TSDB_CHUNK_AGGR;
    expect_fails(try_merge(f, &err), err, ERR_UNSUPPORTED);
}

static void
memory_is_charged(void **at)
{
    struct fixture *f = *at;
    uint64_t random = 3;
    f->count = 3;
    f->jitter_ms = 2000;
    for (size_t i = 0; i < f->count; i++)
        do
            make_replica(f, &f->replicas[i], &random);
        while (f->replicas[i].chunk_count < 5);
    f->rule.is_counter = true;
    for (size_t limit = 0; limit < 60000; limit += 3000) {
        struct budget budget;
        struct arena arena;
        struct store_replica replicas[MAX_REPLICAS], out;
        struct err err;
        for (size_t i = 0; i < f->count; i++)
            replicas[i] = (struct store_replica){f->replicas[i].chunks,
                                                 f->replicas[i].chunk_count};
        budget_init(&budget, "query", limit, NULL);
        arena_init(&arena, &budget);
        if (limit < 6000)
            expect_fails(
                store_replica_merge(replicas, f->count, &f->rule, &arena, &out, &err),
                err, ERR_BUDGET);
        else if (!store_replica_merge(replicas, f->count, &f->rule, &arena, &out, &err))
            assert_int_equal(err.code, ERR_BUDGET);
        arena_fini(&arena);
        budget_fini(&budget);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jitter_does_not_switch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gap_switches_and_the_new_one_stays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_later_one_is_penalised_at_the_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_penalty_is_five_seconds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_replica_wins_ties, set_up, tear_down),
        cmocka_unit_test_setup_teardown(when_one_ends_the_other_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_are_lifted_for_counters_only, set_up,
                                        tear_down),
        cmocka_unit_test(functions_that_count),
        cmocka_unit_test_setup_teardown(samples_outside_the_range_do_not_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(chunks_at_the_ends_of_the_range_are_passed_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_at_both_ends_of_all_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(any_replicas_are_merged_as_a_naive_model_does,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks_of_the_other_replica_are_not_decoded,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_charged, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
