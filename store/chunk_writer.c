/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_writer.h"

/* As Prometheus cuts chunks, but for the limit on samples of histograms, which it does
 * not have when they are small; and the bytes are those behind the first one, because
 * the buckets that this describes may take more than all that follow. */
enum { MAX_SAMPLES = 120, HISTOGRAM_BYTES = 1024, HISTOGRAM_MIN_SAMPLES = 10 };

void
store_chunk_writer_init(struct store_chunk_writer *w, struct arena *arena)
{
    *w = (struct store_chunk_writer){.arena = arena};
    buf_init(&w->data, arena->budget);
    arena_init(&w->layout, arena->budget);
}

void
store_chunk_writer_fini(struct store_chunk_writer *w)
{
    buf_fini(&w->data);
    arena_fini(&w->layout);
}

static bool
append(struct store_chunk_writer *w, const struct tsdb_timed_chunk *chunk,
       struct err *err)
{
    struct tsdb_timed_chunk *at =
        arena_grow(w->arena, w->chunks, w->count, &w->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(w->arena, err);
    w->chunks = at;
    w->chunks[w->count++] = *chunk;
    return true;
}

/* End the chunk being written, if there is one. */
static bool
end_chunk(struct store_chunk_writer *w, struct err *err)
{
    struct tsdb_timed_chunk made = {.mint_ms = w->mint_ms, .maxt_ms = w->maxt_ms};
    if (w->open == TSDB_SAMPLE_NONE)
        return true;
    if (w->open == TSDB_SAMPLE_FLOAT) {
        tsdb_xor_finish(&w->floats);
        made.chunk.encoding = TSDB_CHUNK_XOR;
    } else {
        tsdb_histogram_finish(&w->histograms);
        made.chunk.encoding = tsdb_histogram_writer_encoding(&w->histograms);
    }
    made.chunk.data = arena_copy(w->arena, buf_bytes(&w->data));
    made.chunk.crc = tsdb_chunk_crc(&made.chunk);
    if (!buf_ok(&w->data, err) || !arena_ok(w->arena, err))
        return false;
    w->open = TSDB_SAMPLE_NONE;
    arena_reset(&w->layout);
    return append(w, &made, err);
}

static void
begin_chunk(struct store_chunk_writer *w, enum tsdb_sample_kind kind, int64_t t_ms)
{
    buf_clear(&w->data);
    w->open = kind;
    w->mint_ms = t_ms;
    w->samples = 0;
}

static void
count_sample(struct store_chunk_writer *w, int64_t t_ms)
{
    w->maxt_ms = t_ms;
    w->samples++;
}

bool
store_chunk_writer_float(struct store_chunk_writer *w, struct tsdb_sample sample,
                         struct err *err)
{
    if (w->open != TSDB_SAMPLE_FLOAT || w->samples == MAX_SAMPLES) {
        if (!end_chunk(w, err))
            return false;
        begin_chunk(w, TSDB_SAMPLE_FLOAT, sample.t_ms);
        tsdb_xor_writer_init(&w->floats, &w->data);
    }
    tsdb_xor_append(&w->floats, sample);
    count_sample(w, sample.t_ms);
    return true;
}

static bool
is_full(const struct store_chunk_writer *w)
{
    return w->samples == MAX_SAMPLES || (w->samples >= HISTOGRAM_MIN_SAMPLES &&
                                         w->data.len - w->first_len >= HISTOGRAM_BYTES);
}

/* What the header of a chunk says that begins with h, behind the one being written. */
static enum tsdb_counter_reset
reset_of(const struct store_chunk_writer *w, const struct tsdb_histogram *h)
{
    const struct tsdb_histogram *last = &w->histograms.last;
    if (h->reset == TSDB_RESET_GAUGE || h->reset == TSDB_RESET_YES)
        return h->reset;
    if (w->open != TSDB_SAMPLE_HISTOGRAM || tsdb_histogram_is_stale(h) ||
        tsdb_histogram_is_stale(last) ||
        !tsdb_histogram_writer_fits(&w->histograms, h) ||
        w->histograms.reset == TSDB_RESET_GAUGE)
        return TSDB_RESET_UNKNOWN;
    return tsdb_histogram_has_reset(last, h) ? TSDB_RESET_YES : TSDB_RESET_NO;
}

bool
store_chunk_writer_histogram(struct store_chunk_writer *w, int64_t t_ms,
                             const struct tsdb_histogram *h, struct err *err)
{
    if (w->open != TSDB_SAMPLE_HISTOGRAM || is_full(w) ||
        !tsdb_histogram_writer_takes(&w->histograms, h)) {
        enum tsdb_counter_reset reset = reset_of(w, h);
        if (!end_chunk(w, err))
            return false;
        begin_chunk(w, TSDB_SAMPLE_HISTOGRAM, t_ms);
        tsdb_histogram_writer_init(&w->histograms, &w->data, &w->layout, reset);
    }
    count_sample(w, t_ms);
    if (!tsdb_histogram_append(&w->histograms, t_ms, h, err))
        return false;
    if (w->samples == 1)
        w->first_len = w->data.len;
    return true;
}

bool
store_chunk_writer_chunk(struct store_chunk_writer *w,
                         const struct tsdb_timed_chunk *chunk, struct err *err)
{
    return end_chunk(w, err) && append(w, chunk, err);
}

bool
store_chunk_writer_finish(struct store_chunk_writer *w,
                          const struct tsdb_timed_chunk **out, size_t *count,
                          struct err *err)
{
    if (!end_chunk(w, err))
        return false;
    *out = w->chunks;
    *count = w->count;
    return true;
}
