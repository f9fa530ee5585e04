/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_samples.h"

/* Decode all of them: how many there are is in the chunk's head. */
static bool
decode(const struct tsdb_chunk *chunk, struct buf *out, struct err *err)
{
    struct tsdb_xor_reader reader;
    if (chunk->encoding != TSDB_CHUNK_XOR)
        return err_set(err, ERR_UNSUPPORTED,
                       "chunks of encoding %s cannot be answered as samples yet: use a "
                       "client that takes streamed chunks (Prometheus 2.55 or later)",
                       tsdb_chunk_encoding_name(chunk->encoding));
    if (!tsdb_xor_reader_init(&reader, chunk->data, err))
        return false;
    size_t count = tsdb_xor_reader_count(&reader);
    uint8_t *to = buf_reserve(out, count * sizeof(struct tsdb_sample));
    if (to == NULL)
        return buf_ok(out, err);
    if (!tsdb_xor_read_all(&reader, (struct tsdb_sample *)(void *)to, err))
        return false;
    out->len += count * sizeof(struct tsdb_sample);
    return true;
}

static bool
is_inside(const struct tsdb_sample *sample, int64_t mint_ms, int64_t maxt_ms)
{
    return sample->t_ms >= mint_ms && sample->t_ms <= maxt_ms;
}

/* Keep those in the range, in place. Most chunks lie in it as a whole. */
static void
cut(struct buf *samples, int64_t mint_ms, int64_t maxt_ms)
{
    struct tsdb_sample *at = (struct tsdb_sample *)(void *)samples->at;
    size_t count = store_samples_count(samples), kept = 0;
    while (kept < count && is_inside(&at[kept], mint_ms, maxt_ms))
        kept++;
    for (size_t i = kept; i < count; i++)
        if (is_inside(&at[i], mint_ms, maxt_ms))
            at[kept++] = at[i];
    samples->len = kept * sizeof *at;
}

bool
store_chunk_samples(const struct tsdb_chunk *chunk, int64_t mint_ms, int64_t maxt_ms,
                    struct buf *out, struct err *err)
{
    buf_clear(out);
    if (!decode(chunk, out, err))
        return false;
    cut(out, mint_ms, maxt_ms);
    return true;
}
