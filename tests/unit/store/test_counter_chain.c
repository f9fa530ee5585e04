/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of raw and aggregated chunks, against what was counted. */
#include "tests/unit/store/series_fixture.h"

enum { ROUNDS = 400 };

/* Samples of a counter as they were scraped, and what was counted since the first. */
struct scraped {
    size_t count;
    struct tsdb_sample at[MAX_SAMPLES];
    double total[MAX_SAMPLES];
};

static void
scrape(struct scraped *s, size_t count)
{
    double value = (double)pick(1000), total = value;
    int64_t t = (int64_t)pick(2 * WINDOW_MS);
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        double grown = (double)pick(100);
        bool is_reset = grown < value && pick(12) == 0;
        if (i > 0) {
            total += grown;
            value = is_reset ? grown : value + grown;
        }
        s->at[i] = (struct tsdb_sample){t, bits_of(value)};
        s->total[i] = total;
        t += 1 + (int64_t)pick(WINDOW_MS / 2);
    }
}

/* Some samples, as a compactor makes a counter aggregate of them. */
static struct tsdb_timed_chunk
downsample(struct fixture *f, const struct tsdb_sample *s, size_t count)
{
    struct tsdb_sample out[MAX_SAMPLES + 2];
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    double total = value_of(s[0].value_bits);
    size_t n = 0;
    out[n++] = s[0];
    for (size_t i = 0; i < count; i++) {
        double value = value_of(s[i].value_bits);
        double before = i > 0 ? value_of(s[i - 1].value_bits) : value;
        if (i > 0)
            total += value >= before ? value - before : value;
        bool is_last = i + 1 == count;
        if (is_last || s[i + 1].t_ms / WINDOW_MS != s[i].t_ms / WINDOW_MS) {
            int64_t window_end = s[i].t_ms / WINDOW_MS * WINDOW_MS + WINDOW_MS - 1;
            out[n++] = (struct tsdb_sample){NUM_MIN(window_end, s[count - 1].t_ms),
                                            bits_of(total)};
        }
    }
    out[n] = (struct tsdb_sample){out[n - 1].t_ms, s[count - 1].value_bits};
    n++;
    aggregates[TSDB_AGGREGATE_COUNTER] = xor_chunk(f, out, n).chunk;
    return aggr_chunk(f, aggregates, out[1].t_ms, out[n - 1].t_ms);
}

/* What had been counted until t_ms. */
static double
total_at(const struct scraped *s, int64_t t_ms)
{
    double total = 0;
    for (size_t i = 0; i < s->count && s->at[i].t_ms <= t_ms; i++)
        total = s->total[i];
    return total;
}

/* Raw and aggregated chunks in turn, of several blocks. Whatever they are, the series
 * has counted at each of its samples what the true one had. */
static void
counts_what_was_counted(void **state)
{
    static struct fixture f;
    static struct scraped s;
    static struct tsdb_sample got[MAX_SAMPLES];
    (void)state;
    srand(23);
    for (int round = 0; round < ROUNDS; round++) {
        begin(&f);
        scrape(&s, 2 + pick(MAX_SAMPLES - 2));
        bool has_aggregates = false;
        for (size_t i = 0; i < MAX_STREAMS; i++)
            add_stream(&f, i == 0 ? 0 : WINDOW_MS, STORE_AGGREGATION_COUNTER);
        for (size_t first = 0, n; first < s.count; first += n) {
            size_t most = 1 + pick(80);
            n = NUM_MIN(most, s.count - first);
            bool is_raw = pick(2) == 0;
            f.count = is_raw ? 1 : 2 + pick(2);
            has_aggregates |= !is_raw;
            const struct tsdb_timed_chunk chunk = is_raw
                                                      ? xor_chunk(&f, s.at + first, n)
                                                      : downsample(&f, s.at + first, n);
            add_chunk(&f, &chunk);
        }
        f.count = MAX_STREAMS;
        struct store_chunk_list list = run(&f);
        size_t count = read_floats(&f, &list, got);
        assert_true(count > 0);
        assert_int_equal(got[0].t_ms, s.at[0].t_ms);
        for (size_t i = 0; has_aggregates && i < count; i++)
            assert_true(value_of(got[i].value_bits) == total_at(&s, got[i].t_ms));
        assert_true(!has_aggregates ||
                    value_of(got[count - 1].value_bits) == s.total[s.count - 1]);
        end(&f);
    }
}

/* Two raw blocks that have every other sample each. */
static void
counts_overlapping_raw_chunks(void **state)
{
    static struct fixture f;
    static struct scraped s;
    static struct tsdb_sample half[2][MAX_SAMPLES], got[MAX_SAMPLES];
    (void)state;
    srand(29);
    begin(&f);
    scrape(&s, 200);
    for (size_t i = 0; i < 100; i++)
        half[i % 2][i / 2] = s.at[i];
    for (size_t i = 0; i < 2; i++) {
        const struct tsdb_timed_chunk chunk = xor_chunk(&f, half[i], 50);
        add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
        add_chunk(&f, &chunk);
    }
    const struct tsdb_timed_chunk rest = downsample(&f, s.at + 100, 100);
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &rest);
    struct store_chunk_list list = run(&f);
    size_t count = read_floats(&f, &list, got);
    for (size_t i = 0; i < count; i++) {
        assert_true(i >= 100 || got[i].t_ms == s.at[i].t_ms);
        assert_true(value_of(got[i].value_bits) == total_at(&s, got[i].t_ms));
    }
    end(&f);
}

/* A part of a chunk behind raw samples, and raw samples behind a part of it: the totals
 * never jump. */
static void
counts_nothing_across_cuts_through_resets(void **state)
{
    static const struct tsdb_sample scraped[] = {
        {0, 0}, {299000, 0}, {301000, 0}, {650000, 0}, {950000, 0}};
    static const double values[] = {100, 200, 10, 30, 70};
    static const struct store_time_range middle = {300000, 899999};
    static struct fixture f;
    struct tsdb_sample samples[5], got[MAX_SAMPLES];
    (void)state;
    begin(&f);
    for (size_t i = 0; i < 5; i++)
        samples[i] = (struct tsdb_sample){scraped[i].t_ms, bits_of(values[i])};
    const struct tsdb_timed_chunk before = xor_chunk(&f, samples, 2);
    const struct tsdb_timed_chunk behind = xor_chunk(&f, samples + 4, 1);
    const struct tsdb_timed_chunk chunk = downsample(&f, samples, 5);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &before);
    add_chunk(&f, &behind);
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER)->parts =
        (struct store_time_ranges){&middle, 1};
    add_chunk(&f, &chunk);
    struct store_chunk_list list = run(&f);
    /* The chunk has 100 at 0, 200, 210 and 230 at the ends of windows, 270. */
    const struct tsdb_sample expected[] = {{0, bits_of(100)},
                                           {299000, bits_of(200)},
                                           {599999, bits_of(200)},
                                           {899999, bits_of(220)},
                                           {950000, bits_of(220)}};
    check_same(got, read_floats(&f, &list, got), expected, ARRAY_LEN(expected));
    end(&f);
}

/* An aggregated chunk on both sides of a hole in it that raw samples fill. Without
 * resets all of it can be compared. */
static void
counts_through_both_parts_of_a_chunk(void **state)
{
    static struct fixture f;
    static struct tsdb_sample samples[100], got[MAX_SAMPLES];
    static const struct store_time_range outside[] = {{INT64_MIN, 4 * WINDOW_MS - 1},
                                                      {7 * WINDOW_MS, INT64_MAX}};
    size_t first = 0, count = 0;
    (void)state;
    begin(&f);
    for (size_t i = 0; i < 100; i++) {
        samples[i] = (struct tsdb_sample){(int64_t)i * 30000, bits_of((double)(i * i))};
        first += samples[i].t_ms < 4 * WINDOW_MS;
        count += samples[i].t_ms >= 4 * WINDOW_MS && samples[i].t_ms < 7 * WINDOW_MS;
    }
    const struct tsdb_timed_chunk chunk = downsample(&f, samples, 100);
    const struct tsdb_timed_chunk raw = xor_chunk(&f, samples + first, count);
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER)->parts =
        (struct store_time_ranges){outside, 2};
    add_chunk(&f, &chunk);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &raw);
    struct store_chunk_list list = run(&f);
    size_t n = read_floats(&f, &list, got);
    assert_int_equal(n, 1 + 4 + count + 3); /* the first one, windows, raw, windows */
    for (size_t i = 0; i < n; i++) {
        size_t last = (size_t)(got[i].t_ms / 30000);
        assert_int_equal(got[i].value_bits, bits_of((double)(last * last)));
    }
    end(&f);
}

/* Raw samples on both sides of a hole that aggregated ones fill, in chunks that reach
 * beyond its borders: written anew, they lie in one chunk. */
static void
counts_between_both_parts_of_raw_chunks(void **state)
{
    static struct fixture f;
    static struct tsdb_sample samples[100], got[MAX_SAMPLES];
    static const struct store_time_range outside[] = {{INT64_MIN, 4 * WINDOW_MS - 1},
                                                      {7 * WINDOW_MS, INT64_MAX}};
    static const struct store_time_range hole = {4 * WINDOW_MS, 7 * WINDOW_MS - 1};
    size_t outer = 0;
    (void)state;
    begin(&f);
    for (size_t i = 0; i < 100; i++) {
        samples[i] =
            (struct tsdb_sample){(int64_t)i * 30000, bits_of((double)(i % 60 * i))};
        outer += samples[i].t_ms < hole.mint_ms || samples[i].t_ms > hole.maxt_ms;
    }
    const struct tsdb_timed_chunk chunk = downsample(&f, samples, 100);
    const struct tsdb_timed_chunk raw[] = {xor_chunk(&f, samples, 55),
                                           xor_chunk(&f, samples + 55, 45)};
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER)->parts =
        (struct store_time_ranges){&hole, 1};
    add_chunk(&f, &chunk);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER)->parts =
        (struct store_time_ranges){outside, 2};
    add_chunk(&f, &raw[0]);
    add_chunk(&f, &raw[1]);
    struct store_chunk_list list = run(&f);
    size_t n = read_floats(&f, &list, got), windows = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || got[i].t_ms > got[i - 1].t_ms);
        assert_true(i == 0 ||
                    value_of(got[i].value_bits) >= value_of(got[i - 1].value_bits));
        windows += got[i].t_ms >= hole.mint_ms && got[i].t_ms <= hole.maxt_ms;
    }
    assert_int_equal(windows, 3);
    assert_int_equal(n, outer + windows);
    end(&f);
}

static void
lets_histograms_pass_between_counters(void **state)
{
    static struct fixture f;
    static const struct tsdb_sample early[] = {{10, 0}, {20, 0}};
    static const struct tsdb_sample late[] = {{1000, 0}, {1010, 0}};
    (void)state;
    begin(&f);
    const struct tsdb_timed_chunk floats = downsample(&f, early, 2);
    const struct tsdb_timed_chunk histograms = aggregated_histograms(&f);
    const struct tsdb_timed_chunk raw_histograms =
        histogram_chunk(&f, 3, TSDB_RESET_UNKNOWN);
    const struct tsdb_timed_chunk raw = xor_chunk(&f, late, 2);
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &floats);
    add_chunk(&f, &histograms);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &raw_histograms);
    add_chunk(&f, &raw);
    struct store_chunk_list list = run(&f);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.at[0].chunk.encoding, TSDB_CHUNK_XOR);
    assert_int_equal(list.at[0].maxt_ms, 20);
    assert_int_equal(list.at[1].mint_ms, 100);
    assert_int_equal(list.at[2].mint_ms, 100);
    assert_true(bytes_eq(list.at[1].chunk.data, raw_histograms.chunk.data) ||
                bytes_eq(list.at[2].chunk.data, raw_histograms.chunk.data));
    assert_int_equal(list.at[3].mint_ms, 1000);
    end(&f);
}

/* Whatever the aggregation, memory that is not there is an error, and all of it is
 * given back. */
static void
is_charged_to_the_budget(void **state)
{
    static struct fixture f;
    static struct scraped s;
    (void)state;
    size_t failed = 0;
    scrape(&s, 300);
    for (size_t limit = 512; limit <= 1024 * 1024; limit *= 2) {
        begin(&f);
        struct budget small;
        struct arena arena;
        budget_init(&small, "small", limit, NULL);
        arena_init(&arena, &small);
        const struct tsdb_timed_chunk chunk = downsample(&f, s.at, s.count);
        struct store_chunk_list list = {.arena = &arena};
        add_stream(&f, WINDOW_MS, STORE_AGGREGATION_COUNTER);
        add_chunk(&f, &chunk);
        bool ok = store_series_chunks(f.streams, f.count, &list, &err);
        assert_true(ok || err.code == ERR_BUDGET);
        assert_true(ok || limit < 256 * 1024);
        failed += !ok;
        arena_fini(&arena);
        budget_fini(&small); /* checks that nothing is taken */
        end(&f);
    }
    assert_true(failed > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_was_counted),
        cmocka_unit_test(counts_overlapping_raw_chunks),
        cmocka_unit_test(counts_nothing_across_cuts_through_resets),
        cmocka_unit_test(counts_through_both_parts_of_a_chunk),
        cmocka_unit_test(counts_between_both_parts_of_raw_chunks),
        cmocka_unit_test(lets_histograms_pass_between_counters),
        cmocka_unit_test(is_charged_to_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
