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

static bool
merge_run(const struct tsdb_timed_chunk *chunks, size_t count,
          struct store_chunk_writer *writer, struct err *err)
{
    struct budget *budget = writer->arena->budget;
    bool has_floats_only = true;
    if (count == 1)
        return store_chunk_writer_chunk(writer, &chunks[0], err);
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
    for (size_t i = 0; i < count;) {
        size_t n = run_length(chunks + i, count - i);
        if (!merge_run(chunks + i, n, &writer, err))
            return false;
        i += n;
    }
    return store_chunk_writer_finish(&writer, out, out_count, err);
}
