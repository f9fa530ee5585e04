/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/index.h"

#include <inttypes.h>

#include "common/base/cursor.h"
#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum {
    LENGTH_SIZE = 4,
    COUNT_SIZE = 4,
    CRC_SIZE = 4,
    MAX_VERSION = 3,
    POSTING_KEYS = 2 /* name and value: each row says so */
};

static const uint32_t index_magic = 0xbaaad700;

bool
tsdb_index_header_parse(struct bytes header, int *version, struct err *err)
{
    struct cursor c = cursor_of(header);
    uint32_t magic = cursor_be32(&c);
    uint8_t found = cursor_u8(&c);
    if (c.bad)
        return err_set(err, ERR_CORRUPT, "index is cut at %zu bytes", header.len);
    if (magic != index_magic)
        return err_set(err, ERR_CORRUPT, "not an index: magic %08" PRIx32, magic);
    if (found == 0 || found > MAX_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "index of version %u, known are 1 to %d",
                       found, MAX_VERSION);
    *version = found;
    return true;
}

/* Sections lie between the header and the TOC, tables behind what they refer to. */
static bool
is_plausible(const struct tsdb_index_toc *t, uint64_t toc_at)
{
    return t->symbols == TSDB_INDEX_HEADER_SIZE && t->series > t->symbols &&
           t->series <= t->postings && t->postings <= t->postings_table &&
           t->postings_table <= toc_at && t->label_indices <= toc_at &&
           t->label_index_table <= toc_at;
}

bool
tsdb_index_toc_parse(struct tsdb_index_toc *toc, struct bytes tail, uint64_t file_size,
                     struct err *err)
{
    if (tail.len != TSDB_INDEX_TOC_SIZE ||
        file_size < TSDB_INDEX_HEADER_SIZE + TSDB_INDEX_TOC_SIZE)
        return err_set(err, ERR_CORRUPT, "index of %" PRIu64 " bytes has no room for a TOC",
                       file_size);
    struct bytes covered = bytes_of(tail.at, TSDB_INDEX_TOC_SIZE - CRC_SIZE);
    if (crc32c(covered) != be32_load(tail.at + covered.len))
        return err_set(err, ERR_CORRUPT, "index TOC: checksum differs");
    struct cursor c = cursor_of(covered);
    struct tsdb_index_toc parsed;
    parsed.symbols = cursor_be64(&c);
    parsed.series = cursor_be64(&c);
    parsed.label_indices = cursor_be64(&c);
    parsed.label_index_table = cursor_be64(&c);
    parsed.postings = cursor_be64(&c);
    parsed.postings_table = cursor_be64(&c);
    if (!is_plausible(&parsed, file_size - TSDB_INDEX_TOC_SIZE))
        return err_set(err, ERR_CORRUPT, "index TOC: sections are not in order");
    *toc = parsed;
    return true;
}

/* The first section that begins behind begin. */
static uint64_t
end_of(const struct tsdb_index_toc *t, uint64_t begin)
{
    const uint64_t starts[] = {t->label_indices, t->label_index_table, t->postings,
                               t->postings_table};
    uint64_t end = t->postings_table;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (starts[i] > begin)
            end = NUM_MIN(end, starts[i]);
    return end;
}

uint64_t
tsdb_index_series_end(const struct tsdb_index_toc *toc)
{
    return end_of(toc, toc->series);
}

uint64_t
tsdb_index_postings_end(const struct tsdb_index_toc *toc)
{
    return end_of(toc, toc->postings);
}

static void
begin(struct tsdb_index_table *t, enum tsdb_index_table_kind kind, void *arg,
      struct budget *budget)
{
    *t = (struct tsdb_index_table){.kind = kind, .arg = arg};
    buf_init(&t->carry, budget);
    buf_init(&t->previous, budget);
}

void
tsdb_index_symbols_begin(struct tsdb_index_table *t, tsdb_index_symbol_fn *fn, void *arg,
                         struct budget *budget)
{
    begin(t, TSDB_TABLE_SYMBOLS, arg, budget);
    t->symbol_fn = fn;
}

void
tsdb_index_postings_begin(struct tsdb_index_table *t, tsdb_index_posting_fn *fn,
                          void *arg, struct budget *budget)
{
    begin(t, TSDB_TABLE_POSTINGS, arg, budget);
    t->posting_fn = fn;
}

void
tsdb_index_table_fini(struct tsdb_index_table *t)
{
    buf_fini(&t->carry);
    buf_fini(&t->previous);
}

/* A string; marks c bad when it is cut. */
static struct bytes
read_string(struct cursor *c)
{
    return cursor_take(c, varint_u64(c));
}

static bool
take_symbol(struct tsdb_index_table *t, struct cursor *c, uint32_t position,
            struct err *err)
{
    struct bytes symbol = read_string(c);
    if (c->bad)
        return true;
    if (t->seen > 0 && bytes_cmp(buf_bytes(&t->previous), symbol) >= 0)
        return err_set(err, ERR_CORRUPT, "symbol %" PRIu32 " is not above the one before",
                       t->seen);
    buf_clear(&t->previous);
    buf_put(&t->previous, symbol);
    return buf_ok(&t->previous, err) &&
           t->symbol_fn(t->arg, t->seen, position, symbol, err);
}

static bool
take_posting(struct tsdb_index_table *t, struct cursor *c, struct err *err)
{
    struct tsdb_index_posting_row row;
    uint64_t keys = varint_u64(c);
    if (!c->bad && keys != POSTING_KEYS)
        return err_set(err, ERR_CORRUPT, "postings table row %" PRIu32 " has %" PRIu64
                       " keys, not 2", t->seen, keys);
    row.name = read_string(c);
    row.value = read_string(c);
    row.offset = varint_u64(c);
    return c->bad || t->posting_fn(t->arg, &row, err);
}

/* Take whole entries from the front of *data; stops at one that is cut. position is that
 * of *data inside the payload. */
static bool
take_entries(struct tsdb_index_table *t, struct bytes *data, uint32_t position,
             struct err *err)
{
    while (t->seen < t->count && data->len > 0) {
        struct cursor c = cursor_of(*data);
        bool ok = t->kind == TSDB_TABLE_SYMBOLS ? take_symbol(t, &c, position, err)
                                                : take_posting(t, &c, err);
        if (!ok)
            return false;
        if (c.bad)
            return true;
        position += (uint32_t)(data->len - c.rest.len);
        *data = c.rest;
        t->seen++;
    }
    return true;
}

/* The payload behind its count: entries, the last of which may be cut by the end of the
 * piece; what is cut waits in carry for the next piece. */
static bool
feed_entries(struct tsdb_index_table *t, struct bytes piece, struct err *err)
{
    uint64_t before = t->fed - LENGTH_SIZE;
    struct bytes data = piece;
    if (t->carry.len > 0) {
        buf_put(&t->carry, piece);
        if (!buf_ok(&t->carry, err))
            return false;
        before -= t->carry.len - piece.len;
        data = buf_bytes(&t->carry);
    }
    if (!take_entries(t, &data, (uint32_t)before, err))
        return false;
    if (t->seen == t->count)
        data.len = 0; /* padding, if anything; the checksum covers it */
    if (t->carry.len > 0) {
        if (data.len > 0)
            memmove(t->carry.at, data.at, data.len);
        t->carry.len = data.len;
        return true;
    }
    buf_put(&t->carry, data);
    return buf_ok(&t->carry, err);
}

/* Collect a fixed field of size bytes across pieces. True once it is whole, in carry. */
static bool
collect(struct tsdb_index_table *t, struct bytes *piece, size_t size)
{
    size_t n = NUM_MIN(size - t->carry.len, piece->len);
    buf_put(&t->carry, bytes_of(piece->at, n));
    bytes_skip(piece, n);
    t->fed += n;
    return t->carry.len == size;
}

static bool
feed_head(struct tsdb_index_table *t, struct bytes *piece, struct err *err)
{
    if (t->fed < LENGTH_SIZE && collect(t, piece, LENGTH_SIZE)) {
        t->payload_len = be32_load(t->carry.at);
        t->carry.len = 0;
        if (t->payload_len < COUNT_SIZE)
            return err_set(err, ERR_CORRUPT, "index table of %" PRIu32 " bytes",
                           t->payload_len);
    }
    if (t->fed >= LENGTH_SIZE && t->fed < LENGTH_SIZE + COUNT_SIZE &&
        collect(t, piece, COUNT_SIZE)) {
        t->crc = crc32c(buf_bytes(&t->carry));
        t->count = be32_load(t->carry.at);
        t->carry.len = 0;
        if (t->count > t->payload_len)
            return err_set(err, ERR_CORRUPT,
                           "index table of %" PRIu32 " bytes claims %" PRIu32 " entries",
                           t->payload_len, t->count);
    }
    return buf_ok(&t->carry, err);
}

static bool
check_entries_whole(const struct tsdb_index_table *t, struct err *err)
{
    if (t->seen == t->count)
        return true;
    return err_set(err, ERR_CORRUPT,
                   "index table ends after %" PRIu32 " of %" PRIu32 " entries", t->seen,
                   t->count);
}

bool
tsdb_index_table_feed(struct tsdb_index_table *t, struct bytes piece, struct err *err)
{
    if (!feed_head(t, &piece, err))
        return false;
    uint64_t payload_end = (uint64_t)LENGTH_SIZE + t->payload_len;
    if (t->fed >= LENGTH_SIZE + COUNT_SIZE && t->fed < payload_end && piece.len > 0) {
        struct bytes payload =
            bytes_of(piece.at, (size_t)NUM_MIN(payload_end - t->fed, piece.len));
        t->crc = crc32c_extend(t->crc, payload);
        if (!feed_entries(t, payload, err))
            return false;
        bytes_skip(&piece, payload.len);
        t->fed += payload.len;
    }
    if (t->fed < payload_end || t->fed < LENGTH_SIZE + COUNT_SIZE)
        return true;
    if (t->fed == payload_end) {
        if (!check_entries_whole(t, err))
            return false;
        t->carry.len = 0;
    }
    if (t->fed < payload_end + CRC_SIZE && piece.len > 0)
        collect(t, &piece, CRC_SIZE);
    return buf_ok(&t->carry, err);
}

bool
tsdb_index_table_end(struct tsdb_index_table *t, struct err *err)
{
    if (t->fed != (uint64_t)LENGTH_SIZE + t->payload_len + CRC_SIZE)
        return err_set(err, ERR_CORRUPT, "index table is cut at %" PRIu64 " bytes",
                       t->fed);
    if (be32_load(t->carry.at) != t->crc)
        return err_set(err, ERR_CORRUPT, "index table: checksum differs");
    return true;
}
