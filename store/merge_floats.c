/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge_floats.h"

#include "common/base/num.h"
#include "store/float_samples.h"
#include "store/sample_order.h"

/* A chunk of which samples are left. */
struct source {
    struct store_float_samples samples;
    size_t next;
};

struct merge {
    struct arena arena;
    struct source *sources; /* those behind count lend their memory to the next ones */
    size_t count;
    size_t cap;
};

static int64_t
time_of(const struct source *s)
{
    return s->samples.at[s->next].t_ms;
}

static bool
open_source(struct merge *m, const struct tsdb_timed_chunk *chunk, struct err *err)
{
    struct source *at =
        arena_grow(&m->arena, m->sources, m->count, &m->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&m->arena, err);
    m->sources = at;
    at += m->count;
    if (!store_float_samples_read(&at->samples, chunk, &m->arena, err))
        return false;
    at->next = 0;
    m->count += at->samples.count > 0;
    return true;
}

static void
close_source(struct merge *m, size_t i)
{
    struct source closed = m->sources[i];
    m->sources[i] = m->sources[--m->count];
    m->sources[m->count] = closed;
}

/* The time of the earliest sample; there is one. */
static int64_t
earliest(const struct merge *m)
{
    int64_t t_ms = time_of(&m->sources[0]);
    for (size_t i = 1; i < m->count; i++)
        t_ms = NUM_MIN(t_ms, time_of(&m->sources[i]));
    return t_ms;
}

/* The sample at t_ms, the earliest time, and a step of all sources that have one. */
static struct tsdb_sample
take(struct merge *m, int64_t t_ms)
{
    struct tsdb_sample best = {.t_ms = t_ms, .value_bits = TSDB_STALE_BITS};
    for (size_t i = m->count; i-- > 0;) {
        struct source *s = &m->sources[i];
        if (time_of(s) != t_ms)
            continue;
        uint64_t bits = s->samples.at[s->next].value_bits;
        if (store_float_cmp(bits, best.value_bits) > 0)
            best.value_bits = bits;
        if (++s->next == s->samples.count)
            close_source(m, i);
    }
    return best;
}

/* Write the samples of the only source until last_ms. */
static bool
write_one(struct merge *m, int64_t last_ms, struct store_chunk_writer *writer,
          struct err *err)
{
    struct source *s = &m->sources[0];
    for (; s->next < s->samples.count && time_of(s) <= last_ms; s->next++)
        if (!store_chunk_writer_float(writer, s->samples.at[s->next], err))
            return false;
    if (s->next == s->samples.count)
        close_source(m, 0);
    return true;
}

/* Write all samples until last_ms. */
static bool
write_until(struct merge *m, int64_t last_ms, struct store_chunk_writer *writer,
            struct err *err)
{
    while (m->count > 1) {
        int64_t t_ms = earliest(m);
        if (t_ms > last_ms)
            return true;
        if (!store_chunk_writer_float(writer, take(m, t_ms), err))
            return false;
    }
    return m->count == 0 || write_one(m, last_ms, writer, err);
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
store_merge_floats(const struct tsdb_timed_chunk *chunks, size_t count,
                   struct budget *budget, struct store_chunk_writer *writer,
                   struct err *err)
{
    struct merge m = {0};
    arena_init(&m.arena, budget);
    bool ok = merge_chunks(&m, chunks, count, writer, err);
    arena_fini(&m.arena);
    return ok;
}
