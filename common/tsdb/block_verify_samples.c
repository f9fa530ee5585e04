/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of one chunk, as far as its encoding is read here: XOR chunks are decoded; of
 * XOR2 the first time is known, of the others the number of samples.
 *
 * Format: Prometheus tsdb/docs/format/chunks.md; Thanos pkg/compact/downsample. */
#include <inttypes.h>

#include "common/codec/varint.h"
#include "common/tsdb/block_verify_priv.h"
#include "common/tsdb/chunk_xor.h"

enum {
    /* Five aggregates in one chunk: count, sum, min, max, counter. */
    AGGREGATES = 5,
    AGGREGATE_COUNT = 0,
    AGGREGATE_COUNTER = 4,
    ST_COUNT_MASK = 0x3fff /* above it the counter reset header */
};

struct place {
    int64_t file;
    uint64_t offset;
};

/* What is asked of the times of a chunk of floats. */
struct times {
    const struct tsdb_chunk_meta *meta;
    /* Begins with a raw sample before the first window and ends with one at the time
     * of the last: Thanos's aggregate of counters. */
    bool is_counter;
};

static void
check_ends(struct tsdb_verify_state *v, struct place place, const struct times *times,
           int64_t first_ms, int64_t last_ms)
{
    const struct tsdb_chunk_meta *m = times->meta;
    bool begins = times->is_counter ? first_ms <= m->mint_ms : first_ms == m->mint_ms;
    if (!begins || last_ms != m->maxt_ms)
        tsdb_verify_find(v, place.file, place.offset,
                         "the samples are from %" PRId64 " to %" PRId64
                         ", in the index from %" PRId64 " to %" PRId64,
                         first_ms, last_ms, m->mint_ms, m->maxt_ms);
}

static void
check_xor(struct tsdb_verify_state *v, struct place place, struct bytes data,
          const struct times *times, uint64_t *samples)
{
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample = {0};
    struct err err;
    bool end = false, is_ordered = true;
    int64_t first_ms = 0, last_ms = 0;
    *samples = 0;
    if (!tsdb_xor_reader_init(&reader, data, &err)) {
        tsdb_verify_fail(v, place.file, place.offset, &err);
        return;
    }
    for (;;) {
        if (!tsdb_xor_next(&reader, &sample, &end, &err)) {
            tsdb_verify_fail(v, place.file, place.offset, &err);
            return;
        }
        if (end)
            break;
        if (*samples == 0)
            first_ms = sample.t_ms;
        else
            is_ordered &=
                sample.t_ms > last_ms || (times->is_counter && sample.t_ms == last_ms);
        last_ms = sample.t_ms;
        ++*samples;
    }
    if (!is_ordered)
        tsdb_verify_find(v, place.file, place.offset, "the samples do not ascend");
    else if (*samples > 0)
        check_ends(v, place, times, first_ms, last_ms);
}

/* The time of the first sample; what follows is not decoded. */
static void
check_xor2(struct tsdb_verify_state *v, struct place place, struct bytes data,
           const struct tsdb_chunk_meta *meta, uint64_t *samples)
{
    struct cursor c = cursor_of(data);
    *samples = cursor_be16(&c);
    (void)cursor_u8(&c); /* header of the start timestamps */
    int64_t first_ms = *samples > 0 ? varint_i64(&c) : meta->mint_ms;
    if (c.bad)
        tsdb_verify_find(v, place.file, place.offset, "XOR2 chunk cut at %zu bytes",
                         data.len);
    else if (first_ms != meta->mint_ms)
        tsdb_verify_find(v, place.file, place.offset,
                         "the samples begin at %" PRId64 ", in the index at %" PRId64,
                         first_ms, meta->mint_ms);
}

static void
check_histogram(struct tsdb_verify_state *v, struct place place, struct bytes data,
                unsigned count_mask, uint64_t *samples)
{
    struct cursor c = cursor_of(data);
    *samples = cursor_be16(&c) & count_mask;
    (void)cursor_u8(&c); /* counter reset header, or that of the start timestamps */
    if (c.bad)
        tsdb_verify_find(v, place.file, place.offset,
                         "histogram chunk cut at %zu bytes", data.len);
}

/* One of the aggregates, which may be absent. */
static void
check_aggregate(struct tsdb_verify_state *v, struct place place, struct cursor *c,
                const struct times *times, uint64_t *samples)
{
    *samples = 0;
    uint64_t len = c->rest.len > 0 ? varint_u64(c) : 0;
    if (len == 0)
        return;
    uint8_t encoding = cursor_u8(c);
    struct bytes data = cursor_take(c, len);
    if (c->bad)
        return;
    if (encoding == TSDB_CHUNK_XOR)
        check_xor(v, place, data, times, samples);
    else if (encoding == TSDB_CHUNK_HISTOGRAM || encoding == TSDB_CHUNK_FLOAT_HISTOGRAM)
        check_histogram(v, place, data, UINT16_MAX, samples);
    else
        tsdb_verify_find(v, place.file, place.offset, "aggregate of encoding %d",
                         encoding);
}

/* Its number of samples is that of the first aggregate. */
static void
check_aggregates(struct tsdb_verify_state *v, struct place place, struct bytes data,
                 const struct tsdb_chunk_meta *meta, uint64_t *samples)
{
    struct cursor c = cursor_of(data);
    *samples = 0;
    for (int i = 0; i < AGGREGATES && !c.bad; i++) {
        struct times times = {.meta = meta, .is_counter = i == AGGREGATE_COUNTER};
        uint64_t count;
        check_aggregate(v, place, &c, &times, &count);
        if (i == AGGREGATE_COUNT)
            *samples = count;
    }
    if (c.bad)
        tsdb_verify_find(v, place.file, place.offset, "an aggregate is cut");
    else if (c.rest.len > 0)
        tsdb_verify_find(v, place.file, place.offset,
                         "%zu bytes behind the last aggregate", c.rest.len);
}

void
tsdb_verify_samples(struct tsdb_verify_state *v, size_t file, uint64_t offset,
                    const struct tsdb_chunk *chunk, const struct tsdb_chunk_meta *meta)
{
    struct place place = {(int64_t)file, offset};
    struct times times = {.meta = meta};
    uint64_t samples = 0, findings = v->totals.findings;
    switch (chunk->encoding) {
    case TSDB_CHUNK_XOR:
        check_xor(v, place, chunk->data, &times, &samples);
        break;
    case TSDB_CHUNK_XOR2:
        check_xor2(v, place, chunk->data, meta, &samples);
        break;
    case TSDB_CHUNK_HISTOGRAM:
    case TSDB_CHUNK_FLOAT_HISTOGRAM:
        check_histogram(v, place, chunk->data, UINT16_MAX, &samples);
        break;
    case TSDB_CHUNK_HISTOGRAM_ST:
    case TSDB_CHUNK_FLOAT_HISTOGRAM_ST:
        check_histogram(v, place, chunk->data, ST_COUNT_MASK, &samples);
        break;
    case TSDB_CHUNK_AGGR:
        check_aggregates(v, place, chunk->data, meta, &samples);
        break;
    case TSDB_CHUNK_NONE:
        break;
    }
    /* Thanos once left empty chunks in downsampled blocks. */
    if (samples == 0 && v->totals.findings == findings &&
        v->how->meta->resolution_ms == 0)
        tsdb_verify_find(v, place.file, place.offset, "the chunk holds no samples");
    if (v->totals.findings != findings)
        v->has_chunks = false;
    v->totals.samples += samples;
}
