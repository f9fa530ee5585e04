/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge_any.h"

#include "common/base/num.h"
#include "store/chunk_reader.h"

/* Chunks of which samples are left. */
struct merge {
    struct budget *budget;
    struct arena arena;
    struct store_chunk_reader *sources;
    size_t count;
    size_t cap;
};

static void
close_if_ended(struct merge *m, size_t i)
{
    if (m->sources[i].kind != TSDB_SAMPLE_NONE)
        return;
    store_chunk_reader_close(&m->sources[i]);
    m->sources[i] = m->sources[--m->count];
}

static bool
open_source(struct merge *m, const struct tsdb_timed_chunk *chunk, struct err *err)
{
    struct store_chunk_reader *at =
        arena_grow(&m->arena, m->sources, m->count, &m->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&m->arena, err);
    m->sources = at;
    if (!store_chunk_reader_open(&m->sources[m->count++], chunk, m->budget, err))
        return false;
    close_if_ended(m, m->count - 1);
    return true;
}

static int64_t
time_of(const struct store_chunk_reader *r)
{
    return r->it.sample.t_ms;
}

/* Whether a sample of a comes before, or at the same time wins over, the one of b. */
static bool
is_before(const struct store_chunk_reader *a, const struct store_chunk_reader *b)
{
    if (time_of(a) != time_of(b))
        return time_of(a) < time_of(b);
    return store_any_value_cmp(store_chunk_reader_value(a),
                               store_chunk_reader_value(b)) > 0;
}

/* Step all sources that have a sample at t_ms. */
static bool
step_all(struct merge *m, int64_t t_ms, struct err *err)
{
    for (size_t i = m->count; i-- > 0;) {
        if (time_of(&m->sources[i]) != t_ms)
            continue;
        if (!store_chunk_reader_next(&m->sources[i], err))
            return false;
        close_if_ended(m, i);
    }
    return true;
}

/* Write all samples until last_ms. */
static bool
write_until(struct merge *m, int64_t last_ms, struct store_chunk_writer *writer,
            struct err *err)
{
    while (m->count > 0) {
        const struct store_chunk_reader *first = &m->sources[0];
        for (size_t i = 1; i < m->count; i++)
            if (is_before(&m->sources[i], first))
                first = &m->sources[i];
        int64_t t_ms = time_of(first);
        if (t_ms > last_ms)
            return true;
        if (!store_chunk_reader_write(first, writer, err) || !step_all(m, t_ms, err))
            return false;
    }
    return true;
}

static bool
merge_chunks(struct merge *m, const struct tsdb_timed_chunk *chunks, size_t count,
             struct store_chunk_writer *writer, struct err *err)
{
    for (size_t next = 0; next < count;) {
        int64_t begin_ms = chunks[next].mint_ms;
        for (; next < count && chunks[next].mint_ms == begin_ms; next++)
            if (!open_source(m, &chunks[next], err))
                return false;
        int64_t last_ms = next < count ? chunks[next].mint_ms - 1 : INT64_MAX;
        if (!write_until(m, last_ms, writer, err))
            return false;
    }
    return true;
}

bool
store_merge_any(const struct tsdb_timed_chunk *chunks, size_t count,
                struct budget *budget, struct store_chunk_writer *writer,
                struct err *err)
{
    struct merge m = {.budget = budget};
    arena_init(&m.arena, budget);
    bool ok = merge_chunks(&m, chunks, count, writer, err);
    while (m.count > 0)
        store_chunk_reader_close(&m.sources[--m.count]);
    arena_fini(&m.arena);
    return ok;
}
