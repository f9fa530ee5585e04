/* SPDX-License-Identifier: Apache-2.0 */
/* Header, TOC and tables of an index. A table yields the same entries, and the same
 * verdict, whatever the pieces are in which it is fed. The first byte chooses the kind
 * of table and the size of the pieces. */
#include "common/base/check.h"
#include "common/base/num.h"
#include "common/tsdb/index.h"
#include "tests/support/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
    uint32_t crc;
    uint32_t entries;
};

static bool
add_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
           struct err *err)
{
    struct digest *d = arg;
    (void)err;
    CHECK(ordinal == d->entries++);
    d->crc = crc32c_extend(d->crc, symbol) + position;
    return true;
}

static bool
add_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct digest *d = arg;
    (void)err;
    d->entries++;
    d->crc = crc32c_extend(crc32c_extend(d->crc, row->name), row->value);
    d->crc += (uint32_t)row->offset;
    return true;
}

static bool
read_table(struct bytes section, bool symbols, size_t piece_len, struct digest *digest)
{
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table = {0};
    struct err err = {0};
    *digest = (struct digest){0};
    if (symbols)
        tsdb_index_symbols_begin(&table, add_symbol, digest, NULL);
    else
        tsdb_index_postings_begin(&table, add_row, digest, NULL);
    bool ok = true;
    while (ok && section.len > 0) {
        size_t len = NUM_MIN(piece_len, section.len);
        ok = tsdb_index_table_feed(&table, bytes_of(section.at, len), &err);
        bytes_skip(&section, len);
    }
    ok = ok && tsdb_index_table_end(&table, &err);
    CHECK(ok || err.code == ERR_CORRUPT);
    return ok;
}

static void
check_table(struct bytes section, bool symbols, size_t piece_len)
{
    struct digest whole, pieces;
    bool ok = read_table(section, symbols, SIZE_MAX, &whole);
    CHECK(read_table(section, symbols, piece_len, &pieces) == ok);
    CHECK(whole.entries == pieces.entries && whole.crc == pieces.crc);
}

static void
check_toc(struct bytes tail, uint64_t file_size)
{
    struct tsdb_index_toc toc;
    struct err err = {0};
    if (!tsdb_index_toc_parse(&toc, tail, file_size, &err)) {
        CHECK(err.code == ERR_CORRUPT);
        return;
    }
    CHECK(toc.symbols < toc.series);
    CHECK(toc.series <= tsdb_index_series_end(&toc));
    CHECK(tsdb_index_series_end(&toc) <= toc.postings);
    CHECK(toc.postings <= tsdb_index_postings_end(&toc));
    CHECK(tsdb_index_postings_end(&toc) <= toc.postings_table);
    CHECK(toc.postings_table < file_size - TSDB_INDEX_TOC_SIZE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_fini) struct buf section = {0};
    CLEANUP(buf_fini) struct buf toc = {0};
    struct bytes in = bytes_of(data, size);
    struct err err;
    int version;
    if (tsdb_index_header_parse(in, &version, &err))
        CHECK(version >= 1 && version <= 3);
    buf_put(&toc, bytes_of(data, NUM_MIN(size, (size_t)TSDB_INDEX_TOC_SIZE - 4)));
    put_crc_from(&toc, 0);
    check_toc(in, 5000);
    check_toc(buf_bytes(&toc), 5000);
    if (size == 0)
        return 0;
    bytes_skip(&in, 1);
    check_table(in, data[0] & 1, 1 + data[0] / 2);
    put_section(&section, in);
    check_table(buf_bytes(&section), data[0] & 1, 1 + data[0] / 2);
    return 0;
}
