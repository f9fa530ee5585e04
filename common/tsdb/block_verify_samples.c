/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of one chunk: each is decoded; they ascend, from the first time to the last
 * one that the index gives.
 *
 * Format: Prometheus tsdb/docs/format/chunks.md; Thanos pkg/compact/downsample. */
#include <inttypes.h>

#include "common/tsdb/block_verify_priv.h"
#include "common/tsdb/chunk_aggr.h"
#include "common/tsdb/chunk_iter.h"

struct place {
    int64_t file;
    uint64_t offset;
};

/* What is asked of the times of a sequence of samples. */
struct times {
    const struct tsdb_chunk_meta *meta;
    /* Begins with a raw sample before the first window and ends with one at the time
     * of the last: Thanos's aggregate of counters. */
    bool is_counter;
    bool has_ends; /* the index tells of its first and last time */
};

/* The times of a sequence, as far as it was read. */
struct seen {
    uint64_t samples;
    int64_t first_ms;
    int64_t last_ms;
    bool is_ordered;
};

static void
see(struct seen *seen, int64_t t_ms, const struct times *times)
{
    if (seen->samples == 0)
        seen->first_ms = t_ms;
    else if (t_ms < seen->last_ms || (t_ms == seen->last_ms && !times->is_counter))
        seen->is_ordered = false;
    seen->last_ms = t_ms;
    seen->samples++;
}

static bool
see_all(struct tsdb_verify_state *v, const struct tsdb_chunk *chunk,
        const struct times *times, struct seen *seen, struct err *err)
{
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    if (!tsdb_chunk_iter_init(&it, chunk, &v->buckets, err))
        return false;
    for (;;) {
        if (!tsdb_chunk_next(&it, &kind, err))
            return false;
        if (kind == TSDB_SAMPLE_NONE)
            return true;
        see(seen, it.sample.t_ms, times);
    }
}

static void
check_times(struct tsdb_verify_state *v, struct place place, const struct times *times,
            const struct seen *seen)
{
    const struct tsdb_chunk_meta *m = times->meta;
    bool begins =
        times->is_counter ? seen->first_ms <= m->mint_ms : seen->first_ms == m->mint_ms;
    if (!seen->is_ordered)
        tsdb_verify_find(v, place.file, place.offset, "the samples do not ascend");
    else if (times->has_ends && (!begins || seen->last_ms != m->maxt_ms))
        tsdb_verify_find(v, place.file, place.offset,
                         "the samples are from %" PRId64 " to %" PRId64
                         ", in the index from %" PRId64 " to %" PRId64,
                         seen->first_ms, seen->last_ms, m->mint_ms, m->maxt_ms);
}

/* Returns the number of samples, 0 if they cannot be read. */
static uint64_t
check_sequence(struct tsdb_verify_state *v, struct place place,
               const struct tsdb_chunk *chunk, const struct times *times)
{
    struct seen seen = {.is_ordered = true};
    struct err err;
    bool ok = see_all(v, chunk, times, &seen, &err);
    arena_reset(&v->buckets);
    if (!ok) {
        tsdb_verify_fail(v, place.file, place.offset, &err);
        return 0;
    }
    if (seen.samples > 0)
        check_times(v, place, times, &seen);
    return seen.samples;
}

/* Its number of samples is that of the first aggregate. */
static uint64_t
check_aggregates(struct tsdb_verify_state *v, struct place place, struct bytes data,
                 const struct tsdb_chunk_meta *meta)
{
    struct tsdb_aggr aggr;
    struct err err;
    uint64_t counts[TSDB_AGGREGATES] = {0};
    if (!tsdb_aggr_parse(&aggr, data, &err)) {
        tsdb_verify_fail(v, place.file, place.offset, &err);
        return 0;
    }
    for (int i = 0; i < TSDB_AGGREGATES; i++) {
        const struct tsdb_chunk *chunk = &aggr.chunks[i];
        struct times times = {.meta = meta,
                              .is_counter = i == TSDB_AGGREGATE_COUNTER,
                              .has_ends = chunk->encoding == TSDB_CHUNK_XOR};
        if (chunk->encoding != TSDB_CHUNK_NONE)
            counts[i] = check_sequence(v, place, chunk, &times);
    }
    return counts[TSDB_AGGREGATE_COUNT];
}

void
tsdb_verify_samples(struct tsdb_verify_state *v, size_t file, uint64_t offset,
                    const struct tsdb_chunk *chunk, const struct tsdb_chunk_meta *meta)
{
    struct place place = {(int64_t)file, offset};
    struct times times = {.meta = meta, .has_ends = true};
    uint64_t findings = v->totals.findings;
    uint64_t samples = chunk->encoding == TSDB_CHUNK_AGGR
                           ? check_aggregates(v, place, chunk->data, meta)
                           : check_sequence(v, place, chunk, &times);
    /* Thanos once left empty chunks in downsampled blocks. */
    if (samples == 0 && v->totals.findings == findings &&
        v->how->meta->resolution_ms == 0)
        tsdb_verify_find(v, place.file, place.offset, "the chunk holds no samples");
    if (v->totals.findings != findings)
        v->has_chunks = false;
    v->totals.samples += samples;
}
