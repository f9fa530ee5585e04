/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_clip.h"

static bool
cut(const struct tsdb_chunk *chunk, struct store_time_ranges parts,
    struct store_chunk_writer *w, struct arena *scratch, struct err *err)
{
    struct store_clip clip = {.parts = parts};
    struct tsdb_chunk_iter it;
    if (!tsdb_chunk_iter_init(&it, chunk, scratch, err))
        return false;
    for (;;) {
        enum tsdb_sample_kind kind;
        if (!tsdb_chunk_next(&it, &kind, err))
            return false;
        if (kind == TSDB_SAMPLE_NONE)
            return true;
        if (!store_clip_keeps(&clip, it.sample.t_ms))
            continue;
        if (!(kind == TSDB_SAMPLE_FLOAT ? store_chunk_writer_float(w, it.sample, err)
                                        : store_chunk_writer_histogram(
                                              w, it.sample.t_ms, &it.histogram, err)))
            return false;
    }
}

bool
store_chunk_clip(const struct tsdb_timed_chunk *chunk, struct store_time_ranges parts,
                 struct store_chunk_writer *w, struct arena *scratch, struct err *err)
{
    size_t first = store_time_ranges_find(parts, chunk->mint_ms);
    if (first == parts.count || parts.at[first].mint_ms > chunk->maxt_ms)
        return true;
    if (parts.at[first].mint_ms <= chunk->mint_ms &&
        parts.at[first].maxt_ms >= chunk->maxt_ms)
        return store_chunk_writer_chunk(w, chunk, err);
    bool ok = cut(&chunk->chunk, parts, w, scratch, err);
    arena_reset(scratch);
    return ok;
}
