/* SPDX-License-Identifier: Apache-2.0 */
/* What a query gets of the chunks of one series: aggregates, and parts of time. */
#include "tests/unit/store/series_fixture.h"

#include "store/chunk_aggregate.h"
#include "tests/support/golden_chunks.h"

enum { ROUNDS = 400 };

static void
leaves_whole_raw_chunks_alone(void **state)
{
    static const struct tsdb_sample samples[] = {{10, 1}, {20, 2}};
    static const struct tsdb_sample others[] = {{15, 1}, {30, 2}};
    static struct fixture f;
    (void)state;
    begin(&f);
    const struct tsdb_timed_chunk one = xor_chunk(&f, samples, 2);
    const struct tsdb_timed_chunk two = xor_chunk(&f, others, 2);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &one);
    add_stream(&f, 0, STORE_AGGREGATION_COUNTER);
    add_chunk(&f, &two);
    struct store_chunk_list list = run(&f);
    assert_int_equal(list.count, 2);
    assert_memory_equal(&list.at[0], &one, sizeof one);
    assert_memory_equal(&list.at[1], &two, sizeof two);
    end(&f);
}

/* What the golden chunk has of an aggregate. */
static size_t
golden_samples(const struct json *expected, enum tsdb_aggregate aggregate,
               struct tsdb_sample *samples)
{
    const struct json *pairs = json_get(expected, tsdb_aggregate_name(aggregate));
    size_t count = json_array_len(pairs);
    for (size_t i = 0; i < count; i++) {
        const struct json *pair = json_array_at(pairs, i);
        assert_true(json_i64(json_array_at(pair, 0), &samples[i].t_ms));
        samples[i].value_bits = golden_bits(json_array_at(pair, 1));
    }
    return count;
}

static struct store_chunk_list
run_golden(struct fixture *f, const struct tsdb_chunk *chunk,
           const struct json *expected, enum store_aggregation aggregation)
{
    const struct tsdb_timed_chunk timed = {golden_i64(expected, "Min"),
                                           golden_i64(expected, "Max"), *chunk};
    f->count = 0;
    add_stream(f, WINDOW_MS, aggregation);
    add_chunk(f, &timed);
    return run(f);
}

static void
check_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    static const enum store_aggregation passed[] = {
        [TSDB_AGGREGATE_COUNT] = STORE_AGGREGATION_COUNT,
        [TSDB_AGGREGATE_SUM] = STORE_AGGREGATION_SUM,
        [TSDB_AGGREGATE_MIN] = STORE_AGGREGATION_MIN,
        [TSDB_AGGREGATE_MAX] = STORE_AGGREGATION_MAX};
    static struct tsdb_sample sums[MAX_SAMPLES], counts[MAX_SAMPLES], got[MAX_SAMPLES];
    static struct fixture f;
    struct tsdb_aggr aggr;
    begin(&f);
    expect_ok(tsdb_aggr_parse(&aggr, chunk->data, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        struct store_chunk_list list = run_golden(&f, chunk, expected, passed[i]);
        size_t count = golden_samples(expected, (enum tsdb_aggregate)i, sums);
        assert_int_equal(list.count, 1); /* byte for byte */
        assert_true(bytes_eq(list.at[0].chunk.data, aggr.chunks[i].data));
        check_same(got, read_floats(&f, &list, got), sums, count);
    }
    size_t count = golden_samples(expected, TSDB_AGGREGATE_SUM, sums);
    golden_samples(expected, TSDB_AGGREGATE_COUNT, counts);
    for (size_t i = 0; i < count; i++)
        sums[i].value_bits =
            bits_of(value_of(sums[i].value_bits) / value_of(counts[i].value_bits));
    struct store_chunk_list list =
        run_golden(&f, chunk, expected, STORE_AGGREGATION_AVERAGE);
    check_same(got, read_floats(&f, &list, got), sums, count);
    list = run_golden(&f, chunk, expected, STORE_AGGREGATION_COUNTER);
    count = golden_samples(expected, TSDB_AGGREGATE_COUNTER, sums);
    assert_int_equal(sums[count - 1].t_ms, sums[count - 2].t_ms);
    assert_int_equal(read_floats(&f, &list, got), count - 1);
    double total = value_of(sums[0].value_bits), last = total;
    for (size_t i = 0; i < count - 1; i++) {
        double value = value_of(sums[i].value_bits);
        if (i > 0) /* some of them are gauges, and fall */
            total += value < last ? value : value - last;
        last = value;
        assert_int_equal(got[i].t_ms, sums[i].t_ms);
        assert_int_equal(got[i].value_bits, bits_of(total));
    }
    ++*(size_t *)arg;
    end(&f);
}

static void
answers_golden_chunks_bit_for_bit(void **state)
{
    size_t count = 0;
    (void)state;
    golden_each_chunk("downsampled/3600000", check_golden, &count);
    golden_each_chunk("downsampled/300000", check_golden, &count);
    assert_int_equal(count, 60 + 460);
}

static bool
is_inside(struct store_time_ranges parts, int64_t t_ms)
{
    for (size_t i = 0; i < parts.count; i++)
        if (parts.at[i].mint_ms <= t_ms && t_ms <= parts.at[i].maxt_ms)
            return true;
    return false;
}

static size_t
random_parts(struct store_time_range *parts, size_t most, int64_t span_ms)
{
    int64_t at = pick(3) == 0 ? INT64_MIN : (int64_t)pick(50);
    size_t count = 0;
    while (count < most && at < span_ms) {
        int64_t from = at;
        at = NUM_MAX(at, 0) + (int64_t)pick((size_t)span_ms);
        parts[count++] = (struct store_time_range){from, at};
        at += 2 + (int64_t)pick((size_t)span_ms / 2);
    }
    if (count > 0 && pick(3) == 0)
        parts[count - 1].maxt_ms = INT64_MAX;
    return count;
}

/* Chunks of floats, and one that has two kinds of them. */
static void
clips_as_a_naive_filter_does(void **state)
{
    static struct fixture f;
    static struct tsdb_sample all[MAX_SAMPLES], got[MAX_SAMPLES];
    (void)state;
    srand(17);
    for (int round = 0; round < ROUNDS; round++) {
        struct store_time_range parts[4];
        size_t count = 0, kept = 0;
        int64_t t = 0;
        begin(&f);
        struct store_stream_context *c = add_stream(&f, 0, STORE_AGGREGATION_AVERAGE);
        for (size_t chunks = 1 + pick(6); chunks > 0; chunks--) {
            size_t first = count;
            for (size_t n = 1 + pick(30); n > 0; n--) {
                t += 1 + (int64_t)pick(9);
                all[count++] = (struct tsdb_sample){t, (uint64_t)rand() << 20};
            }
            const struct tsdb_timed_chunk chunk =
                xor_chunk(&f, all + first, count - first);
            add_chunk(&f, &chunk);
        }
        c->parts = (struct store_time_ranges){parts, random_parts(parts, 4, t)};
        for (size_t i = 0; i < count; i++)
            if (is_inside(c->parts, all[i].t_ms))
                all[kept++] = all[i];
        struct store_chunk_list list = run(&f);
        check_same(got, read_floats(&f, &list, got), all, kept);
        end(&f);
    }
}

static void
passes_chunks_inside_the_parts(void **state)
{
    static const struct tsdb_sample samples[] = {{10, 1}, {20, 2}};
    static const struct store_time_range parts[] = {{0, 5}, {10, 20}};
    static struct fixture f;
    (void)state;
    begin(&f);
    const struct tsdb_timed_chunk chunk = xor_chunk(&f, samples, 2);
    add_stream(&f, 0, STORE_AGGREGATION_AVERAGE)->parts =
        (struct store_time_ranges){parts, 2};
    add_chunk(&f, &chunk);
    struct store_chunk_list list = run(&f);
    assert_int_equal(list.count, 1);
    assert_memory_equal(&list.at[0], &chunk, sizeof chunk);
    end(&f);
}

static void
check_average(struct fixture *f, const struct tsdb_timed_chunk *chunk,
              const double *numbers, size_t count)
{
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    assert_int_equal(chunk->chunk.encoding, TSDB_CHUNK_FLOAT_HISTOGRAM);
    assert_int_equal(chunk->chunk.crc, tsdb_chunk_crc(&chunk->chunk));
    expect_ok(tsdb_chunk_iter_init(&it, &chunk->chunk, &f->arena, &err), err);
    for (size_t i = 0; i < count; i++) {
        expect_ok(tsdb_chunk_next(&it, &kind, &err), err);
        const struct tsdb_histogram *h = &it.histogram;
        assert_int_equal(kind, TSDB_SAMPLE_HISTOGRAM);
        assert_int_equal(it.sample.t_ms, (int64_t)numbers[i] * 100);
        assert_int_equal(h->reset, TSDB_RESET_GAUGE);
        assert_int_equal(h->zero_threshold_bits, bits_of(0.001));
        assert_int_equal(h->count, bits_of(7 * numbers[i] / 4));
        assert_int_equal(h->zero_count, bits_of(numbers[i] / 4));
        assert_int_equal(h->sum_bits, bits_of(3 * numbers[i] / 4));
        assert_int_equal(h->positive.values[0], bits_of(2 * numbers[i] / 4));
        assert_int_equal(h->positive.values[1], bits_of(4 * numbers[i] / 4));
    }
    expect_ok(tsdb_chunk_next(&it, &kind, &err), err);
    assert_int_equal(kind, TSDB_SAMPLE_NONE);
    assert_int_equal(chunk->mint_ms, (int64_t)numbers[0] * 100);
    assert_int_equal(chunk->maxt_ms, (int64_t)numbers[count - 1] * 100);
}

static void
averages_native_histograms(void **state)
{
    static const double numbers[] = {1, 2, 3, 5};
    static const struct store_time_range part = {150, 350};
    static struct fixture f;
    (void)state;
    begin(&f);
    const struct tsdb_timed_chunk chunk = aggregated_histograms(&f);
    struct store_stream_context *c =
        add_stream(&f, WINDOW_MS, STORE_AGGREGATION_AVERAGE);
    add_chunk(&f, &chunk);
    struct store_chunk_list list = run(&f);
    assert_int_equal(list.count, 1);
    check_average(&f, &list.at[0], numbers, ARRAY_LEN(numbers));
    c->parts = (struct store_time_ranges){&part, 1};
    list = run(&f);
    assert_int_equal(list.count, 1);
    check_average(&f, &list.at[0], numbers + 1, 2);
    end(&f);
}

static void
answers_other_aggregates_of_native_histograms(void **state)
{
    static const struct {
        enum store_aggregation aggregation;
        enum tsdb_aggregate aggregate;
    } passed[] = {{STORE_AGGREGATION_COUNT, TSDB_AGGREGATE_COUNT},
                  {STORE_AGGREGATION_SUM, TSDB_AGGREGATE_SUM},
                  {STORE_AGGREGATION_COUNTER, TSDB_AGGREGATE_COUNTER}};
    static struct fixture f;
    struct tsdb_aggr aggr;
    (void)state;
    begin(&f);
    const struct tsdb_timed_chunk chunk = aggregated_histograms(&f);
    expect_ok(tsdb_aggr_parse(&aggr, chunk.chunk.data, &err), err);
    struct store_stream_context *c = add_stream(&f, WINDOW_MS, STORE_AGGREGATION_MIN);
    add_chunk(&f, &chunk);
    assert_int_equal(run(&f).count, 0);
    c->aggregation = STORE_AGGREGATION_MAX;
    assert_int_equal(run(&f).count, 0);
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        c->aggregation = passed[i].aggregation;
        struct store_chunk_list list = run(&f);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.at[0].mint_ms, 100);
        assert_int_equal(list.at[0].maxt_ms, 100 * HISTOGRAMS);
        assert_true(
            bytes_eq(list.at[0].chunk.data, aggr.chunks[passed[i].aggregate].data));
        assert_int_equal(list.at[0].chunk.crc, tsdb_chunk_crc(&list.at[0].chunk));
    }
    end(&f);
}

/* Old compactors left such ones in downsampled blocks. */
static void
takes_raw_chunks_of_downsampled_blocks(void **state)
{
    static const struct tsdb_sample samples[] = {{10, 1}, {20, 2}};
    static struct fixture f;
    (void)state;
    for (int aggregation = 0; aggregation <= STORE_AGGREGATION_COUNTER; aggregation++) {
        begin(&f);
        const struct tsdb_timed_chunk raw = xor_chunk(&f, samples, 2);
        const struct tsdb_timed_chunk empty = xor_chunk(&f, NULL, 0);
        add_stream(&f, WINDOW_MS, (enum store_aggregation)aggregation);
        add_chunk(&f, &empty);
        add_chunk(&f, &raw);
        struct store_chunk_list list = run(&f);
        assert_int_equal(list.count, 1);
        assert_memory_equal(&list.at[0], &raw, sizeof raw);
        end(&f);
    }
}

/* A meta.json may have lost the resolution. */
static void
takes_aggregates_of_blocks_that_say_they_are_raw(void **state)
{
    static const struct tsdb_sample sums[] = {{10, 1}, {20, 2}};
    static struct fixture f;
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    (void)state;
    begin(&f);
    aggregates[TSDB_AGGREGATE_SUM] = xor_chunk(&f, sums, 2).chunk;
    const struct tsdb_timed_chunk chunk = aggr_chunk(&f, aggregates, 10, 20);
    add_stream(&f, 0, STORE_AGGREGATION_SUM);
    add_chunk(&f, &chunk);
    struct store_chunk_list list = run(&f);
    assert_int_equal(list.count, 1);
    assert_true(bytes_eq(list.at[0].chunk.data, aggregates[TSDB_AGGREGATE_SUM].data));
    end(&f);
}

static void
leaves_out_windows_that_have_no_pair(void **state)
{
    static const struct tsdb_sample sums[] = {{10, 0}, {30, 0}, {40, 0}, {60, 0}};
    static const struct tsdb_sample counts[] = {{10, 0}, {20, 0}, {40, 0}, {50, 0}};
    static struct fixture f;
    struct tsdb_sample numbers[4], got[MAX_SAMPLES];
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    (void)state;
    begin(&f);
    for (size_t i = 0; i < 4; i++)
        numbers[i] = (struct tsdb_sample){counts[i].t_ms, bits_of(2)};
    aggregates[TSDB_AGGREGATE_SUM] = xor_chunk(&f, sums, 4).chunk;
    aggregates[TSDB_AGGREGATE_COUNT] = xor_chunk(&f, numbers, 4).chunk;
    const struct tsdb_timed_chunk chunk = aggr_chunk(&f, aggregates, 10, 60);
    add_stream(&f, WINDOW_MS, STORE_AGGREGATION_AVERAGE);
    add_chunk(&f, &chunk);
    struct store_chunk_list list = run(&f);
    static const struct tsdb_sample expected[] = {{10, 0}, {40, 0}};
    check_same(got, read_floats(&f, &list, got), expected, 2);
    end(&f);
}

static void
expect_damage(const struct tsdb_timed_chunk *bad, struct fixture *f, const char *what)
{
    for (int aggregation = 0; aggregation <= STORE_AGGREGATION_COUNTER; aggregation++) {
        struct store_chunk_list list = {.arena = &f->arena};
        if (aggregation == STORE_AGGREGATION_MIN)
            continue; /* of which there is none */
        f->count = 0;
        memset(f->streams, 0, sizeof f->streams);
        add_stream(f, WINDOW_MS, (enum store_aggregation)aggregation);
        add_chunk(f, bad);
        expect_fails(store_series_chunks(f->streams, f->count, &list, &err), err,
                     ERR_CORRUPT);
        assert_non_null(strstr(err.text, what));
        assert_non_null(strstr(err.text, "block A"));
    }
}

static void
names_the_block_of_what_is_damaged(void **state)
{
    static const struct tsdb_sample two[] = {{10, 0}, {20, 0}};
    static struct fixture f;
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    (void)state;
    begin(&f);
    struct tsdb_timed_chunk bad = {.mint_ms = 10, .maxt_ms = 20};
    bad.chunk = tsdb_chunk_loose(TSDB_CHUNK_AGGR, BYTES("\x05"));
    expect_damage(&bad, &f, "count is cut");
    struct tsdb_chunk cut = xor_chunk(&f, two, 2).chunk;
    cut.data.len -= 2;
    for (size_t i = 0; i < TSDB_AGGREGATES; i++)
        if (i != TSDB_AGGREGATE_MIN)
            aggregates[i] = cut;
    bad = aggr_chunk(&f, aggregates, 10, 20);
    expect_damage(&bad, &f, "chunk from 10 ms on");
    end(&f);
}

static void
leaves_damage_out_where_that_was_chosen(void **state)
{
    static const struct tsdb_sample two[] = {{110, 0}, {120, 0}};
    static struct fixture f;
    struct metrics_registry *registry = metrics_registry_new();
    struct store_damage_policy policy;
    (void)state;
    store_damage_policy_init(&policy, true, registry);
    for (int counter = 0; counter < 2; counter++) {
        begin(&f);
        f.source.damage.policy = &policy;
        struct tsdb_timed_chunk bad = {.mint_ms = 10, .maxt_ms = 20};
        bad.chunk = tsdb_chunk_loose(TSDB_CHUNK_AGGR, BYTES("\x05"));
        const struct tsdb_timed_chunk good = xor_chunk(&f, two, 2);
        add_stream(&f, WINDOW_MS,
                   counter ? STORE_AGGREGATION_COUNTER : STORE_AGGREGATION_SUM);
        add_chunk(&f, &bad);
        add_chunk(&f, &good);
        struct store_chunk_list list = run(&f);
        assert_int_equal(list.count, 1);
        assert_true(bytes_eq(list.at[0].chunk.data, good.chunk.data));
        assert_int_equal(f.source.damage.skipped, 1);
        end(&f);
    }
    metrics_registry_free(&registry);
}

static void
refuses_aggregates_that_do_not_ascend(void **state)
{
    static const struct tsdb_sample samples[] = {{20, 0}, {10, 0}};
    static struct fixture f;
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    (void)state;
    begin(&f);
    aggregates[TSDB_AGGREGATE_COUNT] = xor_chunk(&f, samples, 2).chunk;
    aggregates[TSDB_AGGREGATE_SUM] = aggregates[TSDB_AGGREGATE_COUNT];
    const struct tsdb_timed_chunk bad = aggr_chunk(&f, aggregates, 10, 20);
    for (int aggregation = 0; aggregation <= STORE_AGGREGATION_SUM; aggregation++) {
        struct store_chunk_list list = {.arena = &f.arena};
        f.count = 0;
        memset(f.streams, 0, sizeof f.streams);
        add_stream(&f, WINDOW_MS, (enum store_aggregation)aggregation);
        add_chunk(&f, &bad);
        expect_fails(store_series_chunks(f.streams, f.count, &list, &err), err,
                     ERR_CORRUPT);
        assert_non_null(strstr(err.text, "do not ascend"));
    }
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_whole_raw_chunks_alone),
        cmocka_unit_test(answers_golden_chunks_bit_for_bit),
        cmocka_unit_test(clips_as_a_naive_filter_does),
        cmocka_unit_test(passes_chunks_inside_the_parts),
        cmocka_unit_test(averages_native_histograms),
        cmocka_unit_test(answers_other_aggregates_of_native_histograms),
        cmocka_unit_test(takes_raw_chunks_of_downsampled_blocks),
        cmocka_unit_test(takes_aggregates_of_blocks_that_say_they_are_raw),
        cmocka_unit_test(leaves_out_windows_that_have_no_pair),
        cmocka_unit_test(names_the_block_of_what_is_damaged),
        cmocka_unit_test(leaves_damage_out_where_that_was_chosen),
        cmocka_unit_test(refuses_aggregates_that_do_not_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
