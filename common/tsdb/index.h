/* SPDX-License-Identifier: Apache-2.0 */
/* The index file of a block: header, TOC, symbol table, postings offset table.
 *
 * Nothing here does I/O. The two tables may be hundreds of megabytes and arrive in
 * pieces, so their readers are fed piece by piece and call back once per entry; fed
 * once with all bytes they are the in-place readers. Versions 1, 2 and 3 (read as 2)
 * differ in the meaning of references only: index version 1 counts bytes, later ones
 * ordinals (symbols) and units of 16 bytes (series).
 *
 * Format: Prometheus tsdb/docs/format/index.md; tsdb/index/index.go. */
#ifndef COMMON_TSDB_INDEX_H
#define COMMON_TSDB_INDEX_H

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

enum {
    TSDB_INDEX_HEADER_SIZE = 5,
    TSDB_INDEX_TOC_SIZE = 52,
    TSDB_INDEX_SERIES_ALIGN = 16
};

/* File offsets of the sections. */
struct tsdb_index_toc {
    uint64_t symbols;
    uint64_t series;
    uint64_t label_indices;
    uint64_t label_index_table;
    uint64_t postings;
    uint64_t postings_table;
};

/* Check magic and version of the first TSDB_INDEX_HEADER_SIZE bytes.
 * Errors ERR_CORRUPT; ERR_UNSUPPORTED for a version above 3. */
NODISCARD bool tsdb_index_header_parse(struct bytes header, int *version,
                                       struct err *err);

/* Parse the last TSDB_INDEX_TOC_SIZE bytes of a file of file_size bytes. Checks the CRC
 * and that sections lie inside the file in a possible order.
 * Errors ERR_CORRUPT. */
NODISCARD bool tsdb_index_toc_parse(struct tsdb_index_toc *toc, struct bytes tail,
                                    uint64_t file_size, struct err *err);

/* End of the series section: the first section behind it. */
uint64_t tsdb_index_series_end(const struct tsdb_index_toc *toc);

/* End of the postings lists: the first section behind them. */
uint64_t tsdb_index_postings_end(const struct tsdb_index_toc *toc);

/* One symbol. position is its byte offset inside the section's payload (behind the
 * BE32 length), from which version 1 makes references. symbol is borrowed for the
 * call. Returns false, with err filled, to stop. */
typedef bool tsdb_index_symbol_fn(void *arg, uint32_t ordinal, uint32_t position,
                                  struct bytes symbol, struct err *err);

/* One row of the postings offset table; offset is where the list's BE32 length stands.
 * name and value are borrowed for the call. */
struct tsdb_index_posting_row {
    struct bytes name;
    struct bytes value;
    uint64_t offset;
};
typedef bool tsdb_index_posting_fn(void *arg, const struct tsdb_index_posting_row *row,
                                   struct err *err);

/* Reader of one table section, "BE32 len | BE32 count | entries | BE32 crc". */
struct tsdb_index_table {
    /* private */
    enum tsdb_index_table_kind { TSDB_TABLE_SYMBOLS, TSDB_TABLE_POSTINGS } kind;
    tsdb_index_symbol_fn *symbol_fn;
    tsdb_index_posting_fn *posting_fn;
    void *arg;
    struct buf carry; /* an entry cut by the end of a piece */
    uint64_t fed;     /* bytes of the section taken so far; whole entries only */
    uint32_t payload_len;
    uint32_t count;
    uint32_t seen;
    uint32_t crc;
    struct buf previous; /* last symbol, to check the order */
};

/* Start reading a symbol table. budget bounds the carry (an entry may be large).
 * The callback arguments are stored; release with tsdb_index_table_fini. */
void tsdb_index_symbols_begin(struct tsdb_index_table *t, tsdb_index_symbol_fn *fn,
                              void *arg, struct budget *budget);
void tsdb_index_postings_begin(struct tsdb_index_table *t, tsdb_index_posting_fn *fn,
                               void *arg, struct budget *budget);

/* Feed the next piece of the section, from its length field on. Bytes behind the CRC
 * are ignored.
 * Errors ERR_CORRUPT; or what the callback gave. After an error only fini is allowed.
 */
NODISCARD bool tsdb_index_table_feed(struct tsdb_index_table *t, struct bytes piece,
                                     struct err *err);

/* All was fed: check that the section was whole, its count and its CRC. Symbols must be
 * strictly ascending. */
NODISCARD bool tsdb_index_table_end(struct tsdb_index_table *t, struct err *err);

void tsdb_index_table_fini(struct tsdb_index_table *t);

#endif
