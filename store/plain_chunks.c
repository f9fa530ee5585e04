/* SPDX-License-Identifier: Apache-2.0 */
#include "store/plain_chunks.h"

#include "common/tsdb/chunk_reencode.h"

void
store_plain_chunks_init(struct store_plain_chunks *p, struct budget *budget)
{
    arena_init(&p->made, budget);
    arena_init(&p->scratch, budget);
    buf_init(&p->data, budget);
}

void
store_plain_chunks_fini(struct store_plain_chunks *p)
{
    buf_fini(&p->data);
    arena_fini(&p->scratch);
    arena_fini(&p->made);
}

/* Aggregated chunks have no plain encoding. */
static bool
is_known(const struct tsdb_timed_chunk *c, enum tsdb_chunk_encoding newest)
{
    enum tsdb_chunk_encoding encoding = c->chunk.encoding;
    return encoding <= newest || tsdb_chunk_plain_encoding(encoding) == encoding;
}

static bool
is_known_whole(const struct store_series *series, enum tsdb_chunk_encoding newest)
{
    for (size_t i = 0; i < series->chunk_count; i++)
        if (!is_known(&series->chunks[i], newest))
            return false;
    return true;
}

static bool
encode(struct store_plain_chunks *p, struct tsdb_chunk *chunk, struct err *err)
{
    buf_clear(&p->data);
    bool ok = tsdb_chunk_reencode(chunk, &p->data, &p->scratch, err);
    arena_reset(&p->scratch);
    if (!ok)
        return false;
    chunk->encoding = tsdb_chunk_plain_encoding(chunk->encoding);
    chunk->data = arena_copy(&p->made, buf_bytes(&p->data));
    chunk->crc = tsdb_chunk_crc(chunk);
    return arena_ok(&p->made, err);
}

bool
store_plain_chunks_make(struct store_plain_chunks *p, enum tsdb_chunk_encoding newest,
                        struct store_series *series,
                        const struct store_fetch_source *source, struct err *err)
{
    if (is_known_whole(series, newest))
        return true;
    struct tsdb_timed_chunk *chunks =
        arena_calloc(&p->made, series->chunk_count, sizeof *chunks);
    if (chunks == NULL)
        return arena_ok(&p->made, err);
    for (size_t i = 0; i < series->chunk_count; i++) {
        chunks[i] = series->chunks[i];
        if (!is_known(&chunks[i], newest) &&
            (!store_fetch_check(source, err) || !encode(p, &chunks[i].chunk, err)))
            return false;
    }
    series->chunks = chunks;
    return true;
}
