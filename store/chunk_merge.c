/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_merge.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "store/chunk_writer.h"
#include "store/float_samples.h"
#include "store/merge_any.h"
#include "store/merge_floats.h"

static int
by_time(const void *a, const void *b)
{
    const struct tsdb_timed_chunk *x = a;
    const struct tsdb_timed_chunk *y = b;
    if (x->mint_ms != y->mint_ms)
        return x->mint_ms < y->mint_ms ? -1 : 1;
    if (x->maxt_ms != y->maxt_ms)
        return x->maxt_ms < y->maxt_ms ? -1 : 1;
    if (x->chunk.encoding != y->chunk.encoding)
        return x->chunk.encoding < y->chunk.encoding ? -1 : 1;
    return bytes_cmp(x->chunk.data, y->chunk.data);
}

static bool
is_sequence(const struct tsdb_timed_chunk *chunks, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (chunks[i].mint_ms <= chunks[i - 1].maxt_ms)
            return false;
    return true;
}

static size_t
drop_identical(struct tsdb_timed_chunk *chunks, size_t count)
{
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (by_time(&chunks[kept - 1], &chunks[i]) != 0)
            chunks[kept++] = chunks[i];
    return kept;
}

/* Of more chunks at one time it would take too long to look at each of them for each
 * sample. Many replicas are fewer. */
enum { MOST_AT_ONCE = 32 };

/* Whether more of the chunks overlap each other at some time. */
static bool
is_deep(const struct tsdb_timed_chunk *chunks, size_t count)
{
    int64_t ends[MOST_AT_ONCE];
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < open; k++)
            if (ends[k] >= chunks[i].mint_ms)
                ends[kept++] = ends[k];
        open = kept;
        if (open == MOST_AT_ONCE)
            return true;
        ends[open++] = chunks[i].maxt_ms;
    }
    return false;
}

static bool
merge_samples(const struct tsdb_timed_chunk *chunks, size_t count,
              struct store_chunk_writer *writer, struct err *err)
{
    struct budget *budget = writer->arena->budget;
    bool has_floats_only = true;
    for (size_t i = 0; i < count; i++)
        has_floats_only &= store_float_samples_has(chunks[i].chunk.encoding);
    return has_floats_only ? store_merge_floats(chunks, count, budget, writer, err)
                           : store_merge_any(chunks, count, budget, writer, err);
}

/* How many chunks from the first on overlap each other, directly or through others. */
static size_t
run_length(const struct tsdb_timed_chunk *chunks, size_t count)
{
    int64_t end = chunks[0].maxt_ms;
    size_t n = 1;
    for (; n < count && chunks[n].mint_ms <= end; n++)
        end = NUM_MAX(end, chunks[n].maxt_ms);
    return n;
}

static bool merge_sorted(const struct tsdb_timed_chunk *chunks, size_t count,
                         struct store_chunk_writer *writer, struct err *err);

static bool
merge_half(const struct tsdb_timed_chunk *chunks, size_t count, struct arena *arena,
           const struct tsdb_timed_chunk **out, size_t *out_count, struct err *err)
{
    CLEANUP(store_chunk_writer_fini) struct store_chunk_writer writer;
    store_chunk_writer_init(&writer, arena);
    return merge_sorted(chunks, count, &writer, err) &&
           store_chunk_writer_finish(&writer, out, out_count, err);
}

/* Make a sequence of each half; of two of them not more than two chunks overlap. */
static bool
merge_halves(const struct tsdb_timed_chunk *chunks, size_t count,
             struct store_chunk_writer *writer, struct err *err)
{
    const struct tsdb_timed_chunk *first, *second;
    size_t half = count / 2, first_count, second_count;
    struct arena *arena = writer->arena;
    if (!merge_half(chunks, half, arena, &first, &first_count, err) ||
        !merge_half(chunks + half, count - half, arena, &second, &second_count, err))
        return false;
    size_t both_count = first_count + second_count;
    struct tsdb_timed_chunk *both = arena_calloc(arena, both_count, sizeof *both);
    if (both == NULL)
        return arena_ok(arena, err);
    if (first_count > 0)
        memcpy(both, first, first_count * sizeof *both);
    if (second_count > 0)
        memcpy(both + first_count, second, second_count * sizeof *both);
    if (both_count == 0) /* chunks of no samples */
        return true;
    qsort(both, both_count, sizeof *both, by_time);
    return merge_sorted(both, drop_identical(both, both_count), writer, err);
}

/* Merge chunks in the order of by_time, none twice. */
static bool
merge_sorted(const struct tsdb_timed_chunk *chunks, size_t count,
             struct store_chunk_writer *writer, struct err *err)
{
    for (size_t n; count > 0; chunks += n, count -= n) {
        n = run_length(chunks, count);
        bool ok = n == 1               ? store_chunk_writer_chunk(writer, chunks, err)
                  : is_deep(chunks, n) ? merge_halves(chunks, n, writer, err)
                                       : merge_samples(chunks, n, writer, err);
        if (!ok)
            return false;
    }
    return true;
}

bool
store_chunk_merge(struct tsdb_timed_chunk *chunks, size_t count, struct arena *arena,
                  const struct tsdb_timed_chunk **out, size_t *out_count,
                  struct err *err)
{
    *out = chunks;
    *out_count = count;
    if (is_sequence(chunks, count))
        return true;
    qsort(chunks, count, sizeof *chunks, by_time);
    count = *out_count = drop_identical(chunks, count);
    if (is_sequence(chunks, count))
        return true;
    CLEANUP(store_chunk_writer_fini) struct store_chunk_writer writer;
    store_chunk_writer_init(&writer, arena);
    return merge_sorted(chunks, count, &writer, err) &&
           store_chunk_writer_finish(&writer, out, out_count, err);
}
