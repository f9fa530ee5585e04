/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols and series. The texts of symbols are not kept: they ascend, so references
 * compare as the texts do. */
#include <inttypes.h>

#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/tsdb/block_verify_priv.h"

enum { LENGTH_SIZE = 4, CRC_SIZE = 4, COUNT_SIZE = 4, MAX_LENGTH_FIELD = 5 };

/* What one piece of the walk shares: the entry, and where it stands. */
struct entry {
    uint64_t at;
    struct tsdb_series series;
};

static bool
take_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
            struct err *err)
{
    struct tsdb_verify_state *v = arg;
    (void)err;
    if (v->version == 1)
        tsdb_verify_bits_set(&v->symbol_starts, position);
    if (v->symbol_crcs.len > 0)
        be32_store(v->symbol_crcs.at + sizeof(uint32_t) * ordinal, crc32c(symbol));
    v->symbol_count = ordinal + 1;
    return true;
}

/* Room for what is kept of each symbol. The count comes from the file: a symbol takes a
 * byte at least. */
static bool
make_room(struct tsdb_verify_state *v)
{
    uint64_t room = v->toc.series - v->toc.symbols;
    if (v->version == 1)
        return tsdb_verify_bits_init(v, &v->symbol_starts, room);
    struct bytes head = tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX,
                                         v->toc.symbols, LENGTH_SIZE + COUNT_SIZE);
    if (tsdb_verify_is_over(v) || v->how->level != TSDB_VERIFY_FULL)
        return !tsdb_verify_is_over(v);
    uint64_t count = be32_load(head.at + LENGTH_SIZE);
    size_t len = (size_t)NUM_MIN(count, room) * sizeof(uint32_t);
    if (buf_reserve(&v->symbol_crcs, len) == NULL)
        return buf_ok(&v->symbol_crcs, &v->failure);
    v->symbol_crcs.len = len;
    return true;
}

void
tsdb_verify_symbols(struct tsdb_verify_state *v)
{
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table = {0};
    if (!make_room(v))
        return;
    tsdb_index_symbols_begin(&table, take_symbol, v, v->how->budget);
    v->has_symbols = tsdb_verify_table(v, &table, v->toc.symbols, v->toc.series);
}

static bool
is_symbol(const struct tsdb_verify_state *v, uint32_t ref)
{
    if (v->version != 1)
        return ref < v->symbol_count;
    uint64_t payload = v->toc.symbols + LENGTH_SIZE;
    return ref >= payload && tsdb_verify_bits_has(&v->symbol_starts, ref - payload);
}

/* As tsdb_labels_cmp of the texts. */
static int
compare_labels(const struct tsdb_series_label *a, size_t a_count,
               const struct tsdb_series_label *b, size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        if (a[i].name != b[i].name)
            return a[i].name < b[i].name ? -1 : 1;
        if (a[i].value != b[i].value)
            return a[i].value < b[i].value ? -1 : 1;
    }
    return (a_count > b_count) - (a_count < b_count);
}

static void
check_order(struct tsdb_verify_state *v, const struct entry *e)
{
    const struct tsdb_series_label *last = (const void *)v->last_labels.at;
    size_t last_count = v->last_labels.len / sizeof *last;
    const struct tsdb_series *s = &e->series;
    int order = v->totals.series == 0
                    ? -1
                    : compare_labels(last, last_count, s->labels, s->label_count);
    if (order >= 0)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                         order == 0 ? "the series has the labels of the one before"
                                    : "the series is not in the order of its labels");
    buf_clear(&v->last_labels);
    buf_put(&v->last_labels, bytes_of(s->labels, s->label_count * sizeof *last));
    v->has_series &= buf_ok(&v->last_labels, &v->failure);
}

static uint32_t
symbol_crc(const struct tsdb_verify_state *v, uint32_t ref)
{
    return be32_load(v->symbol_crcs.at + sizeof(uint32_t) * ref);
}

static void
sum_up_labels(struct tsdb_verify_state *v, const struct entry *e)
{
    const struct tsdb_series_label *labels = e->series.labels;
    uint32_t ref = (uint32_t)(e->at / tsdb_verify_series_unit(v));
    v->label_pairs += e->series.label_count;
    for (size_t i = 0; i < e->series.label_count && v->symbol_crcs.len > 0; i++)
        v->label_digest += tsdb_verify_posting_digest(
            symbol_crc(v, labels[i].name), symbol_crc(v, labels[i].value), ref);
}

static void
check_labels(struct tsdb_verify_state *v, const struct entry *e)
{
    const struct tsdb_series_label *labels = e->series.labels;
    for (size_t i = 0; i < e->series.label_count; i++) {
        if (!is_symbol(v, labels[i].name) || !is_symbol(v, labels[i].value)) {
            tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                             "label %zu of the series refers to no symbol", i);
            v->has_series = false;
            return;
        }
        if (i > 0 && labels[i].name <= labels[i - 1].name) {
            tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                             "the names of the labels of the series do not ascend");
            break;
        }
    }
    check_order(v, e);
    sum_up_labels(v, e);
}

static void
check_times(struct tsdb_verify_state *v, const struct entry *e, size_t i)
{
    const struct tsdb_chunk_meta *c = &e->series.chunks[i];
    const struct tsdb_meta *meta = v->how->meta;
    if (c->mint_ms > c->maxt_ms)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                         "chunk %zu of the series ends before it begins", i);
    else if (i > 0 && c->mint_ms <= c[-1].maxt_ms)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                         "chunk %zu of the series begins before the one before ends",
                         i);
    if (c->mint_ms < meta->mint_ms || c->maxt_ms > meta->maxt_ms)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, e->at,
                         "chunk %zu of the series, from %" PRId64 " to %" PRId64
                         ", is outside the block, from %" PRId64 " to %" PRId64,
                         i, c->mint_ms, c->maxt_ms, meta->mint_ms, meta->maxt_ms);
}

static void
check_chunks(struct tsdb_verify_state *v, const struct entry *e)
{
    for (size_t i = 0; i < e->series.chunk_count && !tsdb_verify_is_over(v); i++) {
        check_times(v, e, i);
        tsdb_verify_chunk(v, &e->series.chunks[i], e->at);
        v->totals.chunks++;
    }
}

static void
check_entry(struct tsdb_verify_state *v, uint64_t at, struct bytes bytes,
            struct arena *arena)
{
    struct entry e = {.at = at};
    struct err err;
    if (!tsdb_series_parse(&e.series, bytes, INT64_MIN, INT64_MAX, arena, &err)) {
        tsdb_verify_fail(v, TSDB_VERIFY_INDEX, at, &err);
        v->has_series = false;
        v->may_skip = true; /* its chunks */
        return;
    }
    if (v->has_symbols)
        check_labels(v, &e);
    check_chunks(v, &e);
}

/* Bytes of the entry at offset, or 0 when it has none that is possible. */
static uint64_t
entry_size(struct tsdb_verify_state *v, uint64_t at, uint64_t end)
{
    uint64_t size;
    struct bytes head =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, at, MAX_LENGTH_FIELD);
    if (tsdb_verify_is_over(v))
        return 0;
    if (tsdb_series_size(head, &size) && size <= end - at &&
        size <= TSDB_VERIFY_MAX_RECORD)
        return size;
    tsdb_verify_find(v, TSDB_VERIFY_INDEX, at,
                     "the series entry has an impossible length");
    return 0;
}

/* Check the entry at offset. Returns where the next one may begin. */
static uint64_t
take_entry(struct tsdb_verify_state *v, uint64_t at, uint64_t end, struct arena *arena)
{
    uint64_t unit = tsdb_verify_series_unit(v);
    struct bytes first = tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, at, 1);
    if (first.len > 0 && first.at[0] == 0)
        return at + unit; /* padding */
    uint64_t size = entry_size(v, at, end);
    struct bytes bytes =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, at, (size_t)size);
    if (size == 0 || tsdb_verify_is_over(v)) {
        v->has_series = false;
        return end;
    }
    tsdb_verify_bits_set(&v->series_bits, (at - tsdb_verify_series_begin(v)) / unit);
    bytes.len = (size_t)size;
    check_entry(v, at, bytes, arena);
    v->totals.series++;
    return at + (size + unit - 1) / unit * unit;
}

void
tsdb_verify_series(struct tsdb_verify_state *v)
{
    uint64_t at = tsdb_verify_series_begin(v), end = tsdb_index_series_end(&v->toc);
    CLEANUP(arena_fini) struct arena arena = {0};
    uint64_t units = at < end ? (end - at) / tsdb_verify_series_unit(v) + 1 : 0;
    if (!tsdb_verify_bits_init(v, &v->series_bits, units))
        return;
    v->has_series = true;
    arena_init(&arena, v->how->budget);
    /* Something below the mark, so that the block in which it lies is kept. */
    if (arena_alloc(&arena, 1) == NULL && !arena_ok(&arena, &v->failure))
        return;
    struct arena_mark mark = arena_mark(&arena);
    while (at < end && !tsdb_verify_is_over(v)) {
        at = take_entry(v, at, end, &arena);
        arena_rewind(&arena, mark);
    }
}
