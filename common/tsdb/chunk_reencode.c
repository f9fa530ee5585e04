/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk_reencode.h"

#include "common/tsdb/chunk_histogram_writer.h"
#include "common/tsdb/chunk_xor2.h"

enum tsdb_chunk_encoding
tsdb_chunk_plain_encoding(enum tsdb_chunk_encoding encoding)
{
    switch (encoding) {
    case TSDB_CHUNK_XOR2:
        return TSDB_CHUNK_XOR;
    case TSDB_CHUNK_HISTOGRAM_ST:
        return TSDB_CHUNK_HISTOGRAM;
    case TSDB_CHUNK_FLOAT_HISTOGRAM_ST:
        return TSDB_CHUNK_FLOAT_HISTOGRAM;
    case TSDB_CHUNK_NONE:
    case TSDB_CHUNK_XOR:
    case TSDB_CHUNK_HISTOGRAM:
    case TSDB_CHUNK_FLOAT_HISTOGRAM:
    case TSDB_CHUNK_AGGR:
        break;
    }
    return encoding;
}

static bool
reencode_floats(const struct tsdb_chunk *chunk, struct buf *out, struct err *err)
{
    struct tsdb_xor2_reader reader;
    struct tsdb_xor_writer writer;
    struct tsdb_sample sample;
    bool end;
    if (!tsdb_xor2_reader_init(&reader, chunk->data, err))
        return false;
    tsdb_xor_writer_init(&writer, out);
    for (;;) {
        if (!tsdb_xor2_next(&reader, &sample, &end, err))
            return false;
        if (end)
            break;
        tsdb_xor_append(&writer, sample);
    }
    tsdb_xor_finish(&writer);
    return buf_ok(out, err);
}

/* Histograms that decode may still not be what an encoder made. All of a chunk have one
 * layout, but for stale markers, which have none: the first one answers for all. To
 * compare each would take as many steps as there are samples times spans. */
static bool
check_layout(const struct tsdb_histogram_writer *writer, const struct tsdb_histogram *h,
             bool *is_checked, struct err *err)
{
    if (*is_checked || tsdb_histogram_is_stale(h))
        return true;
    *is_checked = true;
    if (!tsdb_histogram_writer_fits(writer, h))
        return err_set(err, ERR_CORRUPT,
                       "histogram chunk: buckets behind a stale marker without any");
    return true;
}

static bool
reencode_histograms(const struct tsdb_chunk *chunk, struct buf *out,
                    struct arena *arena, struct err *err)
{
    struct tsdb_histogram_reader reader;
    struct tsdb_histogram_writer writer;
    struct tsdb_histogram h;
    int64_t t_ms;
    bool end, is_checked = false;
    if (!tsdb_histogram_reader_init(&reader, chunk, arena, err))
        return false;
    tsdb_histogram_writer_init(&writer, out, arena,
                               tsdb_histogram_reader_reset(&reader));
    for (;;) {
        if (!tsdb_histogram_next(&reader, &t_ms, &h, &end, err))
            return false;
        if (end)
            break;
        if (!check_layout(&writer, &h, &is_checked, err) ||
            !tsdb_histogram_append(&writer, t_ms, &h, err))
            return false;
    }
    tsdb_histogram_finish(&writer);
    return buf_ok(out, err);
}

bool
tsdb_chunk_reencode(const struct tsdb_chunk *chunk, struct buf *out,
                    struct arena *arena, struct err *err)
{
    if (chunk->encoding == TSDB_CHUNK_XOR2)
        return reencode_floats(chunk, out, err);
    if (tsdb_chunk_plain_encoding(chunk->encoding) != chunk->encoding)
        return reencode_histograms(chunk, out, arena, err);
    buf_put(out, chunk->data);
    return buf_ok(out, err);
}
