/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_aggregate.h"

#include <inttypes.h>

static bool
refuse_order(int64_t t_ms, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "the samples of an aggregate do not ascend at "
                   "%" PRId64 " ms",
                   t_ms);
}

static bool
find_times(struct tsdb_timed_chunk *chunk, bool *any, struct arena *scratch,
           struct err *err)
{
    struct tsdb_chunk_iter it;
    *any = false;
    if (!tsdb_chunk_iter_init(&it, &chunk->chunk, scratch, err))
        return false;
    for (;;) {
        enum tsdb_sample_kind kind;
        if (!tsdb_chunk_next(&it, &kind, err))
            return false;
        if (kind == TSDB_SAMPLE_NONE)
            return true;
        if (!*any)
            chunk->mint_ms = it.sample.t_ms;
        else if (it.sample.t_ms <= chunk->maxt_ms)
            return refuse_order(it.sample.t_ms, err);
        chunk->maxt_ms = it.sample.t_ms;
        *any = true;
    }
}

bool
store_chunk_find_times(struct tsdb_timed_chunk *chunk, bool *any, struct arena *scratch,
                       struct err *err)
{
    bool ok = find_times(chunk, any, scratch, err);
    arena_reset(scratch);
    return ok;
}

static uint64_t
divide(uint64_t bits, double by)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    value /= by;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool
divide_buckets(struct tsdb_buckets *b, double by, struct arena *arena, struct err *err)
{
    uint64_t *values = arena_alloc(arena, b->count * sizeof *values);
    if (values == NULL)
        return arena_ok(arena, err);
    for (uint32_t i = 0; i < b->count; i++)
        values[i] = divide(b->values[i], by);
    b->values = values;
    return true;
}

/* A sum of histograms and their number, and where their average goes. */
struct averaging {
    struct tsdb_chunk_iter sum;
    struct tsdb_chunk_iter count;
    struct store_chunk_writer *w;
    struct arena *scratch;
};

static bool
write_histogram(struct averaging *a, double count, struct err *err)
{
    struct tsdb_histogram h = a->sum.histogram;
    struct arena_mark mark = arena_mark(a->scratch);
    if (!h.is_float)
        return err_set(err, ERR_CORRUPT, "aggregate sum has histograms of integers");
    h.count = divide(h.count, count);
    h.zero_count = divide(h.zero_count, count);
    h.sum_bits = divide(h.sum_bits, count);
    bool ok = divide_buckets(&h.positive, count, a->scratch, err) &&
              divide_buckets(&h.negative, count, a->scratch, err) &&
              store_chunk_writer_histogram(a->w, a->sum.sample.t_ms, &h, err);
    arena_rewind(a->scratch, mark);
    return ok;
}

/* Both stand at the same window. */
static bool
write_average(struct averaging *a, enum tsdb_sample_kind kind, struct err *err)
{
    double count;
    memcpy(&count, &a->count.sample.value_bits, sizeof count);
    if (!(count > 0)) /* a window without samples has no average */
        return true;
    if (kind == TSDB_SAMPLE_HISTOGRAM)
        return write_histogram(a, count, err);
    const struct tsdb_sample average = {a->sum.sample.t_ms,
                                        divide(a->sum.sample.value_bits, count)};
    return store_chunk_writer_float(a->w, average, err);
}

/* Go on to the next window; they have to ascend. */
static bool
advance(struct tsdb_chunk_iter *it, bool is_first, enum tsdb_sample_kind *kind,
        struct err *err)
{
    int64_t before_ms = it->sample.t_ms;
    if (!tsdb_chunk_next(it, kind, err))
        return false;
    return is_first || *kind == TSDB_SAMPLE_NONE || it->sample.t_ms > before_ms ||
           refuse_order(it->sample.t_ms, err);
}

/* Windows that only one of both has are left out. */
static bool
average(struct averaging *a, struct store_time_ranges parts, struct err *err)
{
    struct store_clip clip = {.parts = parts};
    enum tsdb_sample_kind sum, count;
    if (!advance(&a->sum, true, &sum, err) || !advance(&a->count, true, &count, err))
        return false;
    while (sum != TSDB_SAMPLE_NONE && count != TSDB_SAMPLE_NONE) {
        int64_t sum_ms = a->sum.sample.t_ms, count_ms = a->count.sample.t_ms;
        if (count != TSDB_SAMPLE_FLOAT)
            return err_set(err, ERR_CORRUPT, "aggregate count has no numbers");
        if (sum_ms == count_ms && store_clip_keeps(&clip, sum_ms) &&
            !write_average(a, sum, err))
            return false;
        if (sum_ms <= count_ms && !advance(&a->sum, false, &sum, err))
            return false;
        if (count_ms <= sum_ms && !advance(&a->count, false, &count, err))
            return false;
    }
    return true;
}

static bool
average_chunk(const struct tsdb_aggr *aggr, struct store_time_ranges parts,
              struct store_chunk_writer *w, struct arena *scratch, struct err *err)
{
    struct averaging a = {.w = w, .scratch = scratch};
    const struct tsdb_chunk *sum = &aggr->chunks[TSDB_AGGREGATE_SUM];
    const struct tsdb_chunk *count = &aggr->chunks[TSDB_AGGREGATE_COUNT];
    if (sum->encoding == TSDB_CHUNK_NONE || count->encoding == TSDB_CHUNK_NONE)
        return true;
    bool ok = tsdb_chunk_iter_init(&a.sum, sum, scratch, err) &&
              tsdb_chunk_iter_init(&a.count, count, scratch, err) &&
              average(&a, parts, err);
    arena_reset(scratch);
    return ok;
}

/* One that stands for itself. */
static bool
pass(const struct tsdb_chunk *chunk, struct store_time_ranges parts,
     struct store_chunk_writer *w, struct arena *scratch, struct err *err)
{
    struct tsdb_timed_chunk timed = {.chunk = *chunk};
    bool any;
    if (chunk->encoding == TSDB_CHUNK_NONE)
        return true;
    if (!store_chunk_find_times(&timed, &any, scratch, err))
        return false;
    timed.chunk.crc = tsdb_chunk_crc(&timed.chunk);
    return !any || store_chunk_clip(&timed, parts, w, scratch, err);
}

static enum tsdb_aggregate
aggregate_of(enum store_aggregation aggregation)
{
    switch (aggregation) {
    case STORE_AGGREGATION_COUNT:
        return TSDB_AGGREGATE_COUNT;
    case STORE_AGGREGATION_MIN:
        return TSDB_AGGREGATE_MIN;
    case STORE_AGGREGATION_MAX:
        return TSDB_AGGREGATE_MAX;
    case STORE_AGGREGATION_COUNTER:
        return TSDB_AGGREGATE_COUNTER;
    case STORE_AGGREGATION_SUM:
    case STORE_AGGREGATION_AVERAGE:
        break;
    }
    return TSDB_AGGREGATE_SUM;
}

bool
store_chunk_aggregate(const struct tsdb_timed_chunk *chunk,
                      enum store_aggregation aggregation,
                      struct store_time_ranges parts, struct store_chunk_writer *w,
                      struct arena *scratch, struct err *err)
{
    struct tsdb_aggr aggr;
    if (chunk->chunk.encoding != TSDB_CHUNK_AGGR)
        return pass(&chunk->chunk, parts, w, scratch, err);
    if (!tsdb_aggr_parse(&aggr, chunk->chunk.data, err))
        return false;
    if (aggregation == STORE_AGGREGATION_AVERAGE)
        return average_chunk(&aggr, parts, w, scratch, err);
    return pass(&aggr.chunks[aggregate_of(aggregation)], parts, w, scratch, err);
}
