/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_reader.h"

bool
store_chunk_reader_open(struct store_chunk_reader *r,
                        const struct tsdb_timed_chunk *chunk, struct budget *budget,
                        struct err *err)
{
    *r = (struct store_chunk_reader){.maxt_ms = chunk->maxt_ms};
    arena_init(&r->arena, budget);
    if (!tsdb_chunk_iter_init(&r->it, &chunk->chunk, &r->arena, err) ||
        !store_chunk_reader_next(r, err))
        return false;
    return r->kind == TSDB_SAMPLE_NONE || r->it.sample.t_ms >= chunk->mint_ms ||
           err_set(err, ERR_CORRUPT, "sample at %lld ms in a chunk from %lld ms on",
                   (long long)r->it.sample.t_ms, (long long)chunk->mint_ms);
}

bool
store_chunk_reader_next(struct store_chunk_reader *r, struct err *err)
{
    bool is_first = r->kind == TSDB_SAMPLE_NONE;
    int64_t last_ms = r->it.sample.t_ms;
    if (!tsdb_chunk_next(&r->it, &r->kind, err))
        return false;
    int64_t t_ms = r->it.sample.t_ms;
    if (r->kind == TSDB_SAMPLE_NONE ||
        (t_ms <= r->maxt_ms && (is_first || t_ms > last_ms)))
        return true;
    return err_set(err, ERR_CORRUPT,
                   "sample at %lld ms behind one at %lld ms, in a chunk until %lld ms",
                   (long long)t_ms, (long long)last_ms, (long long)r->maxt_ms);
}

bool
store_chunk_reader_write(const struct store_chunk_reader *r,
                         struct store_chunk_writer *writer, struct err *err)
{
    if (r->kind == TSDB_SAMPLE_FLOAT)
        return store_chunk_writer_float(writer, r->it.sample, err);
    return store_chunk_writer_histogram(writer, r->it.sample.t_ms, &r->it.histogram,
                                        err);
}

struct store_any_value
store_chunk_reader_value(const struct store_chunk_reader *r)
{
    return (struct store_any_value){
        .float_bits = r->it.sample.value_bits,
        .histogram = r->kind == TSDB_SAMPLE_HISTOGRAM ? &r->it.histogram : NULL};
}

void
store_chunk_reader_close(struct store_chunk_reader *r)
{
    arena_fini(&r->arena);
}
