/* SPDX-License-Identifier: Apache-2.0 */
/* Series entries of an index: label references and chunk metas, decoded from bytes.
 *
 * Format: Prometheus tsdb/docs/format/index.md "Series". */
#ifndef COMMON_TSDB_SERIES_H
#define COMMON_TSDB_SERIES_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

/* One chunk of a series. mint and maxt are the first and last sample time, both
 * inclusive. */
struct tsdb_chunk_meta {
    int64_t mint_ms;
    int64_t maxt_ms;
    uint64_t ref; /* segment number << 32 | offset in the segment */
};

static inline uint32_t
tsdb_chunk_ref_segment(uint64_t ref)
{
    return (uint32_t)(ref >> 32);
}

static inline uint32_t
tsdb_chunk_ref_offset(uint64_t ref)
{
    return (uint32_t)ref;
}

/* Label pair as symbol references (ordinals; file offsets in index version 1). */
struct tsdb_series_label {
    uint32_t name;
    uint32_t value;
};

struct tsdb_series {
    const struct tsdb_series_label *labels;
    size_t label_count;
    const struct tsdb_chunk_meta *chunks; /* those that overlap the range, file order */
    size_t chunk_count;
};

/* Bytes that the entry at the start of b occupies, CRC included, from its length field
 * alone. Returns false when the length field itself is cut or longer than 5 bytes. */
NODISCARD bool tsdb_series_size(struct bytes b, uint64_t *size);

/* Decode the entry at the start of b; it may be followed by other bytes. All chunks
 * are looked at, in whatever order they stand; those with maxt >= mint_ms and
 * mint <= maxt_ms are kept. The arrays live in arena.
 * Errors ERR_CORRUPT: cut, CRC differs, counts that do not fit. ERR_BUDGET. */
NODISCARD bool tsdb_series_parse(struct tsdb_series *s, struct bytes b, int64_t mint_ms,
                                 int64_t maxt_ms, struct arena *arena, struct err *err);

#endif
