/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/index.h"

#include <inttypes.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum {
    MAGIC = 0xBAAAD700,
    MAX_VERSION = 3,
    LENGTH_SIZE = 4,
    COUNT_SIZE = 4,
    CRC_SIZE = 4,
    MIN_TABLE_SIZE = LENGTH_SIZE + COUNT_SIZE + CRC_SIZE,
    POSTINGS_KEY_COUNT = 2, /* name and value */
    /* A cut entry is completed in steps, because its length is not known before. */
    CARRY_STEP_BYTES = 256,
    /* No label is that long (a guess): what would be larger is a broken length. */
    MAX_ENTRY_BYTES = 16 * 1024 * 1024
};

bool
tsdb_index_header_parse(struct bytes header, int *version, struct err *err)
{
    struct cursor c = cursor_of(header);
    uint32_t magic = cursor_be32(&c);
    uint8_t found = cursor_u8(&c);
    if (c.bad || magic != MAGIC || found == 0)
        return err_set(err, ERR_CORRUPT, "not an index");
    if (found > MAX_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "index of version %d", found);
    *version = found;
    return true;
}

/* Obsolete sections may be absent, which is an offset of 0 or that of a neighbour. */
static bool
is_possible(const struct tsdb_index_toc *t, uint64_t end)
{
    return t->symbols >= TSDB_INDEX_HEADER_SIZE && t->symbols <= end &&
           t->series >= t->symbols && t->series - t->symbols >= MIN_TABLE_SIZE &&
           t->postings >= t->series && t->postings_table >= t->postings &&
           t->postings_table <= end && end - t->postings_table >= MIN_TABLE_SIZE &&
           (t->label_indices == 0 ||
            (t->label_indices >= t->series && t->label_indices <= t->postings)) &&
           (t->label_index_table == 0 || (t->label_index_table >= t->postings &&
                                          t->label_index_table <= t->postings_table));
}

bool
tsdb_index_toc_parse(struct tsdb_index_toc *toc, struct bytes tail, uint64_t file_size,
                     struct err *err)
{
    if (tail.len != TSDB_INDEX_TOC_SIZE || file_size < TSDB_INDEX_TOC_SIZE)
        return err_set(err, ERR_CORRUPT, "index TOC cut at %zu bytes", tail.len);
    struct bytes fields = bytes_of(tail.at, TSDB_INDEX_TOC_SIZE - CRC_SIZE);
    uint32_t crc = crc32c(fields), stored = be32_load(tail.at + fields.len);
    if (crc != stored)
        return err_set(err, ERR_CORRUPT,
                       "index TOC checksum mismatch: %08" PRIx32 ", stored %08" PRIx32,
                       crc, stored);
    struct cursor c = cursor_of(fields);
    struct tsdb_index_toc parsed;
    parsed.symbols = cursor_be64(&c);
    parsed.series = cursor_be64(&c);
    parsed.label_indices = cursor_be64(&c);
    parsed.label_index_table = cursor_be64(&c);
    parsed.postings = cursor_be64(&c);
    parsed.postings_table = cursor_be64(&c);
    if (!is_possible(&parsed, file_size - TSDB_INDEX_TOC_SIZE))
        return err_set(err, ERR_CORRUPT,
                       "index TOC does not fit a file of %" PRIu64 " bytes", file_size);
    *toc = parsed;
    return true;
}

uint64_t
tsdb_index_series_end(const struct tsdb_index_toc *toc)
{
    return toc->label_indices != 0 ? toc->label_indices : toc->postings;
}

uint64_t
tsdb_index_postings_end(const struct tsdb_index_toc *toc)
{
    return toc->label_index_table != 0 ? toc->label_index_table : toc->postings_table;
}

void
tsdb_index_symbols_begin(struct tsdb_index_table *t, tsdb_index_symbol_fn *fn,
                         void *arg, struct budget *budget)
{
    *t = (struct tsdb_index_table){
        .kind = TSDB_TABLE_SYMBOLS, .symbol_fn = fn, .arg = arg};
    buf_init(&t->carry, budget);
    buf_init(&t->previous, budget);
}

void
tsdb_index_postings_begin(struct tsdb_index_table *t, tsdb_index_posting_fn *fn,
                          void *arg, struct budget *budget)
{
    *t = (struct tsdb_index_table){
        .kind = TSDB_TABLE_POSTINGS, .posting_fn = fn, .arg = arg};
    buf_init(&t->carry, budget);
    buf_init(&t->previous, budget);
}

void
tsdb_index_table_fini(struct tsdb_index_table *t)
{
    buf_fini(&t->carry);
    buf_fini(&t->previous);
}

static const char *
table_name(const struct tsdb_index_table *t)
{
    return t->kind == TSDB_TABLE_SYMBOLS ? "symbol table" : "postings offset table";
}

static uint64_t
payload_end(const struct tsdb_index_table *t)
{
    return (uint64_t)LENGTH_SIZE + t->payload_len;
}

static struct bytes
take_text(struct cursor *c)
{
    return cursor_take(c, varint_u64(c));
}

static bool
emit_symbol(struct tsdb_index_table *t, struct bytes symbol, struct err *err)
{
    if (t->seen > 0 && bytes_cmp(buf_bytes(&t->previous), symbol) >= 0)
        return err_set(err, ERR_CORRUPT, "symbol %" PRIu32 " is out of order", t->seen);
    buf_clear(&t->previous);
    buf_put(&t->previous, symbol);
    uint32_t position = (uint32_t)(t->fed - LENGTH_SIZE);
    return buf_ok(&t->previous, err) &&
           t->symbol_fn(t->arg, t->seen, position, symbol, err);
}

/* Read the entry at c; a cut one makes c bad and is not emitted. */
static bool
read_entry(struct tsdb_index_table *t, struct cursor *c, struct err *err)
{
    if (t->kind == TSDB_TABLE_SYMBOLS) {
        struct bytes symbol = take_text(c);
        return c->bad || emit_symbol(t, symbol, err);
    }
    uint64_t keys = varint_u64(c);
    struct tsdb_index_posting_row row;
    row.name = take_text(c);
    row.value = take_text(c);
    row.offset = varint_u64(c);
    if (c->bad)
        return true;
    if (keys != POSTINGS_KEY_COUNT)
        return err_set(err, ERR_CORRUPT, "row %" PRIu32 " has %" PRIu64 " keys",
                       t->seen, keys);
    return t->posting_fn(t->arg, &row, err);
}

/* The consume functions take what is whole at the start of in and set *used to its
 * size; 0 asks for more bytes. */

static bool
consume_head(struct tsdb_index_table *t, struct bytes in, size_t *used, struct err *err)
{
    if (in.len < LENGTH_SIZE + COUNT_SIZE)
        return true;
    t->payload_len = be32_load(in.at);
    t->count = be32_load(in.at + LENGTH_SIZE);
    if (t->payload_len < COUNT_SIZE)
        return err_set(err, ERR_CORRUPT, "length of %" PRIu32 " bytes", t->payload_len);
    t->crc = crc32c(bytes_of(in.at + LENGTH_SIZE, COUNT_SIZE));
    *used = LENGTH_SIZE + COUNT_SIZE;
    t->fed = *used;
    return true;
}

static bool
consume_entries(struct tsdb_index_table *t, struct bytes in, size_t *used,
                struct err *err)
{
    uint64_t left = payload_end(t) - t->fed;
    struct cursor c = cursor_of(bytes_of(in.at, (size_t)NUM_MIN(left, in.len)));
    while (c.rest.len > 0) {
        struct cursor entry = c;
        if (t->seen == t->count)
            return err_set(err, ERR_CORRUPT, "bytes behind the last entry");
        if (!read_entry(t, &entry, err))
            return false;
        if (entry.bad)
            break;
        t->fed += c.rest.len - entry.rest.len;
        t->seen++;
        c = entry;
    }
    if (c.rest.len > 0 && in.len >= left)
        return err_set(err, ERR_CORRUPT, "entry %" PRIu32 " is longer than the table",
                       t->seen);
    *used = (size_t)NUM_MIN(left, in.len) - c.rest.len;
    t->crc = crc32c_extend(t->crc, bytes_of(in.at, *used));
    return true;
}

static bool
consume_crc(struct tsdb_index_table *t, struct bytes in, size_t *used, struct err *err)
{
    if (in.len < CRC_SIZE)
        return true;
    if (be32_load(in.at) != t->crc)
        return err_set(err, ERR_CORRUPT,
                       "checksum mismatch: %08" PRIx32 ", stored %08" PRIx32, t->crc,
                       be32_load(in.at));
    if (t->seen != t->count)
        return err_set(err, ERR_CORRUPT, "%" PRIu32 " entries instead of %" PRIu32,
                       t->seen, t->count);
    *used = CRC_SIZE;
    t->fed += *used;
    return true;
}

static bool
consume_part(struct tsdb_index_table *t, struct bytes in, size_t *used, struct err *err)
{
    if (t->fed == 0)
        return consume_head(t, in, used, err);
    if (t->fed < payload_end(t))
        return consume_entries(t, in, used, err);
    if (t->fed == payload_end(t))
        return consume_crc(t, in, used, err);
    *used = in.len; /* behind the CRC */
    return true;
}

static bool
consume(struct tsdb_index_table *t, struct bytes in, size_t *used, struct err *err)
{
    size_t part;
    *used = 0;
    do {
        part = 0;
        if (!consume_part(t, in, &part, err))
            return false;
        bytes_skip(&in, part);
        *used += part;
    } while (part > 0 && in.len > 0);
    return true;
}

static bool
carry(struct tsdb_index_table *t, struct bytes cut, struct err *err)
{
    buf_put(&t->carry, cut);
    if (t->carry.len > MAX_ENTRY_BYTES)
        return err_set(err, ERR_CORRUPT, "entry %" PRIu32 " is longer than %d bytes",
                       t->seen, MAX_ENTRY_BYTES);
    return buf_ok(&t->carry, err);
}

/* Complete the carried part with the start of piece. */
static bool
feed_carry(struct tsdb_index_table *t, struct bytes *piece, struct err *err)
{
    size_t before = t->carry.len, used;
    size_t step = NUM_MIN(piece->len, NUM_MAX(before, (size_t)CARRY_STEP_BYTES));
    if (!carry(t, bytes_of(piece->at, step), err) ||
        !consume(t, buf_bytes(&t->carry), &used, err))
        return false;
    if (used == 0) {
        bytes_skip(piece, step);
        return true;
    }
    CHECK(used > before);
    bytes_skip(piece, used - before);
    buf_clear(&t->carry);
    return true;
}

static bool
feed(struct tsdb_index_table *t, struct bytes piece, struct err *err)
{
    size_t used;
    while (t->carry.len > 0 && piece.len > 0)
        if (!feed_carry(t, &piece, err))
            return false;
    if (piece.len == 0)
        return true;
    if (!consume(t, piece, &used, err))
        return false;
    bytes_skip(&piece, used);
    return carry(t, piece, err);
}

bool
tsdb_index_table_feed(struct tsdb_index_table *t, struct bytes piece, struct err *err)
{
    return feed(t, piece, err) || err_wrap(err, "%s", table_name(t));
}

bool
tsdb_index_table_end(struct tsdb_index_table *t, struct err *err)
{
    if (t->fed == payload_end(t) + CRC_SIZE)
        return true;
    return err_set(err, ERR_CORRUPT, "%s cut at %" PRIu64 " bytes", table_name(t),
                   t->fed + t->carry.len);
}
