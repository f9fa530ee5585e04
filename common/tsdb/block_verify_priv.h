/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the block check share. Each part is given the state, reads through
 * one of its two streams, reports what it finds, and returns at once when the check is
 * over; so nothing has to be handed from part to part. */
#ifndef COMMON_TSDB_BLOCK_VERIFY_PRIV_H
#define COMMON_TSDB_BLOCK_VERIFY_PRIV_H

#include "common/base/arena.h"
#include "common/tsdb/block_verify.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/index.h"
#include "common/tsdb/series.h"

/* No entry and no chunk is that long (a guess): what would be has a broken length. */
enum { TSDB_VERIFY_MAX_RECORD = 16 * 1024 * 1024 };

/* Number of the index among the files; segment n is file 1 + n. */
enum { TSDB_VERIFY_INDEX = 0 };

/* A part of one file that was read. */
struct tsdb_verify_stream {
    size_t file;
    uint64_t at; /* offset of the first byte held */
    struct buf held;
};

struct tsdb_verify_state {
    const struct tsdb_verify *how;
    struct tsdb_verify_totals totals;
    struct err failure; /* what ended the check; ERR_NONE: nothing did */
    bool was_ended;     /* by the caller */

    struct tsdb_verify_stream index; /* front to back through the index */
    struct tsdb_verify_stream other; /* segments, then postings lists */

    int version;
    struct tsdb_index_toc toc;

    /* from the symbol table */
    bool has_symbols; /* it was whole and in order */
    uint32_t symbol_count;
    struct buf symbol_starts; /* version 1: a bit for each byte of the payload */
    struct buf symbol_crcs;   /* level full, version 2: BE32 each, by ordinal */

    /* from the series section */
    bool has_series;        /* each entry could be read */
    struct buf series_bits; /* where an entry begins, in units of a reference */
    struct buf last_labels; /* of the series before */
    uint64_t label_pairs;   /* of all series */
    uint64_t label_digest;

    /* the segment that is walked through, and up to where it was */
    size_t segment;
    uint64_t segment_at;
    bool may_skip;        /* what comes next need not join on */
    bool has_chunks;      /* each chunk could be read */
    struct arena buckets; /* of the histograms of one chunk */
};

/* Whether the check has to end. */
static inline bool
tsdb_verify_is_over(const struct tsdb_verify_state *v)
{
    return v->was_ended || v->failure.code != ERR_NONE;
}

static inline size_t
tsdb_verify_segment_count(const struct tsdb_verify_state *v)
{
    return v->how->file_count - 1;
}

/* Bytes that a series reference counts. */
static inline uint64_t
tsdb_verify_series_unit(const struct tsdb_verify_state *v)
{
    return v->version == 1 ? 1 : TSDB_INDEX_SERIES_ALIGN;
}

/* Offset of the first series entry. */
static inline uint64_t
tsdb_verify_series_begin(const struct tsdb_verify_state *v)
{
    uint64_t unit = tsdb_verify_series_unit(v);
    return (v->toc.series + unit - 1) / unit * unit;
}

/* The bytes at offset of a file: want of them at least, but never past its end, and
 * what else is held. Borrowed until the stream is used again. Empty when the check is
 * over. */
struct bytes tsdb_verify_peek(struct tsdb_verify_state *v, struct tsdb_verify_stream *s,
                              size_t file, uint64_t offset, size_t want);

/* Report a finding. file is a number of a file or TSDB_VERIFY_META. */
void tsdb_verify_find(struct tsdb_verify_state *v, int64_t file, uint64_t offset,
                      const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Report bytes that nothing refers to, from offset to the end of a file. */
void tsdb_verify_surplus(struct tsdb_verify_state *v, size_t file, uint64_t offset);

/* What a decoder said: a finding when the data is to blame, else the end. */
void tsdb_verify_fail(struct tsdb_verify_state *v, int64_t file, uint64_t offset,
                      const struct err *err);

/* Set bits to count zeros, charged to the budget. False when the check is over. */
NODISCARD bool tsdb_verify_bits_init(struct tsdb_verify_state *v, struct buf *bits,
                                     uint64_t count);

static inline void
tsdb_verify_bits_set(struct buf *bits, uint64_t i)
{
    bits->at[i / 8] |= (uint8_t)(1 << i % 8);
}

/* False for what lies behind the last one, too. */
static inline bool
tsdb_verify_bits_has(const struct buf *bits, uint64_t i)
{
    return i / 8 < bits->len && (bits->at[i / 8] >> i % 8 & 1) != 0;
}

/* Feed a table that begins at an offset of the index and ends before limit. Returns
 * whether it was sound; else that is reported. */
NODISCARD bool tsdb_verify_table(struct tsdb_verify_state *v,
                                 struct tsdb_index_table *table, uint64_t offset,
                                 uint64_t limit);

/* The share of one posting in the sums that tell whether series and postings say the
 * same; the checksums are those of the texts. */
static inline uint64_t
tsdb_verify_posting_digest(uint32_t name_crc, uint32_t value_crc, uint32_t ref)
{
    uint64_t h = ((uint64_t)name_crc << 32 | value_crc) + UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93) + ref;
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

/* The parts, in their order. Series takes the chunks along. */
void tsdb_verify_symbols(struct tsdb_verify_state *v);
void tsdb_verify_series(struct tsdb_verify_state *v);
void tsdb_verify_postings(struct tsdb_verify_state *v);

/* Around all chunks, and one of them: its record, as the series entry at series_at of
 * the index tells of it. */
void tsdb_verify_chunks_begin(struct tsdb_verify_state *v);
void tsdb_verify_chunk(struct tsdb_verify_state *v, const struct tsdb_chunk_meta *meta,
                       uint64_t series_at);
void tsdb_verify_chunks_end(struct tsdb_verify_state *v);

/* The samples of a chunk that begins at offset of a file; adds their number to the
 * totals. */
void tsdb_verify_samples(struct tsdb_verify_state *v, size_t file, uint64_t offset,
                         const struct tsdb_chunk *chunk,
                         const struct tsdb_chunk_meta *meta);

#endif
