/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk_iter.h"

bool
tsdb_chunk_iter_init(struct tsdb_chunk_iter *it, const struct tsdb_chunk *chunk,
                     struct arena *arena, struct err *err)
{
    it->encoding = chunk->encoding;
    switch (chunk->encoding) {
    case TSDB_CHUNK_XOR:
        return tsdb_xor_reader_init(&it->reader.xor, chunk->data, err);
    case TSDB_CHUNK_XOR2:
        return tsdb_xor2_reader_init(&it->reader.xor2, chunk->data, err);
    case TSDB_CHUNK_HISTOGRAM:
    case TSDB_CHUNK_FLOAT_HISTOGRAM:
    case TSDB_CHUNK_HISTOGRAM_ST:
    case TSDB_CHUNK_FLOAT_HISTOGRAM_ST:
        return tsdb_histogram_reader_init(&it->reader.histogram, chunk, arena, err);
    case TSDB_CHUNK_NONE:
    case TSDB_CHUNK_AGGR:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "chunk of encoding %s is no sequence of samples",
                   tsdb_chunk_encoding_name(chunk->encoding));
}

uint32_t
tsdb_chunk_iter_count(const struct tsdb_chunk_iter *it)
{
    if (it->encoding == TSDB_CHUNK_XOR)
        return tsdb_xor_reader_count(&it->reader.xor);
    if (it->encoding == TSDB_CHUNK_XOR2)
        return tsdb_xor2_reader_count(&it->reader.xor2);
    return tsdb_histogram_reader_count(&it->reader.histogram);
}

int64_t
tsdb_chunk_iter_start_ms(const struct tsdb_chunk_iter *it)
{
    if (it->encoding == TSDB_CHUNK_XOR)
        return 0;
    if (it->encoding == TSDB_CHUNK_XOR2)
        return tsdb_xor2_reader_start_ms(&it->reader.xor2);
    return tsdb_histogram_reader_start_ms(&it->reader.histogram);
}

bool
tsdb_chunk_next_other(struct tsdb_chunk_iter *it, enum tsdb_sample_kind *kind,
                      struct err *err)
{
    bool end, is_float = it->encoding == TSDB_CHUNK_XOR2;
    bool ok = is_float ? tsdb_xor2_next(&it->reader.xor2, &it->sample, &end, err)
                       : tsdb_histogram_next(&it->reader.histogram, &it->sample.t_ms,
                                             &it->histogram, &end, err);
    if (!ok)
        return false;
    if (end)
        *kind = TSDB_SAMPLE_NONE;
    else
        *kind = is_float ? TSDB_SAMPLE_FLOAT : TSDB_SAMPLE_HISTOGRAM;
    return true;
}
