/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/index_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/tsdb/index.h"
#include "tests/support/sink.h"
#include "tests/support/symbol_set.h"

enum {
    POSTINGS_ALIGN = 4,
    POSTINGS_KEYS = 2, /* name and value, in each row of the postings table */
    SPOOL_HEAD = 4,
    FIRST_PAIRS = 1024
};

static const uint8_t index_magic[] = {0xba, 0xaa, 0xd7, 0x00};

/* Series ref has the label pair (name, value). Both are ranks of sorted symbols counted
 * from 1; (0, 0) is the key of the list of all series. */
struct pair {
    uint32_t name;
    uint32_t value;
    uint32_t ref;
};

/* A spool record is BE32 length, then the payload of an index entry with symbol ids in
 * place of symbol references. */
struct index_writer {
    char *path;
    char *spool_path;
    int version;
    struct symbol_set *symbols;
    struct sink spool;
    struct buf entry; /* of the series being added */
    bool entry_has_chunk;
    struct tsdb_chunk_meta last;
    uint64_t series_count;
};

/* What is needed once all series are known. */
struct build {
    const struct index_writer *w;
    struct sink out;
    struct tsdb_index_toc toc;
    const struct symbol *sorted; /* by rank - 1 */
    uint32_t *rank;              /* by symbol id */
    uint32_t *symbol_ref;        /* by rank - 1: what series entries hold */
    struct pair *pairs;
    size_t pair_count;
    size_t pair_cap;
};

bool
index_writer_new(struct index_writer **out, const char *index_path, int version,
                 struct err *err)
{
    CLEANUP(index_writer_free) struct index_writer *w = xcalloc(1, sizeof *w);
    w->path = xstrdup(index_path);
    w->spool_path = xasprintf("%s.spool", index_path);
    w->version = version;
    w->symbols = symbol_set_new();
    buf_init(&w->entry, NULL);
    if (!sink_open(&w->spool, w->spool_path, err))
        return false;
    *out = TAKE(w);
    return true;
}

void
index_writer_free(struct index_writer **pointer)
{
    struct index_writer *w = TAKE(*pointer);
    if (!w)
        return;
    if (w->spool.file)
        unlink(w->spool_path);
    sink_abandon(&w->spool);
    symbol_set_free(&w->symbols);
    buf_fini(&w->entry);
    free(w->spool_path);
    free(w->path);
    free(w);
}

void
index_writer_begin_series(struct index_writer *w, struct tsdb_labels labels,
                          size_t chunk_count)
{
    buf_clear(&w->entry);
    varint_put_u64(&w->entry, labels.len);
    for (size_t i = 0; i < labels.len; i++) {
        varint_put_u64(&w->entry, symbol_set_add(w->symbols, labels.at[i].name));
        varint_put_u64(&w->entry, symbol_set_add(w->symbols, labels.at[i].value));
    }
    varint_put_u64(&w->entry, chunk_count);
    w->entry_has_chunk = false;
}

void
index_writer_add_chunk(struct index_writer *w, struct tsdb_chunk_meta chunk)
{
    /* Unsigned, so that chunks out of order wrap as they do upstream. */
    uint64_t mint = (uint64_t)chunk.mint_ms, maxt = (uint64_t)chunk.maxt_ms;
    if (w->entry_has_chunk) {
        varint_put_u64(&w->entry, mint - (uint64_t)w->last.maxt_ms);
        varint_put_u64(&w->entry, maxt - mint);
        varint_put_i64(&w->entry, (int64_t)(chunk.ref - w->last.ref));
    } else {
        varint_put_i64(&w->entry, chunk.mint_ms);
        varint_put_u64(&w->entry, maxt - mint);
        varint_put_u64(&w->entry, chunk.ref);
    }
    w->entry_has_chunk = true;
    w->last = chunk;
}

void
index_writer_end_series(struct index_writer *w)
{
    sink_put_be32(&w->spool, (uint32_t)w->entry.len);
    sink_put(&w->spool, buf_bytes(&w->entry));
    w->series_count++;
}

static void
build_fini(struct build *b)
{
    sink_abandon(&b->out);
    free(b->rank);
    free(b->symbol_ref);
    free(b->pairs);
}

/* BE32 length, payload, BE32 CRC: the form of all sections but series. */
static void
put_section(struct sink *out, struct bytes payload)
{
    sink_put_be32(out, (uint32_t)payload.len);
    sink_put(out, payload);
    sink_put_be32(out, crc32c(payload));
}

static void
put_text(struct buf *out, struct bytes text)
{
    varint_put_u64(out, text.len);
    buf_put(out, text);
}

static void
put_symbols(struct build *b)
{
    CLEANUP(buf_fini) struct buf payload;
    buf_init(&payload, NULL);
    uint32_t count = symbol_set_count(b->w->symbols);
    buf_put_be32(&payload, count);
    b->toc.symbols = b->out.at;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t file_offset = b->toc.symbols + sizeof(uint32_t) + payload.len;
        b->symbol_ref[i] = b->w->version == 1 ? (uint32_t)file_offset : i;
        put_text(&payload, b->sorted[i].text);
    }
    put_section(&b->out, buf_bytes(&payload));
}

static void
add_pair(struct build *b, struct pair pair)
{
    if (b->pair_count == b->pair_cap) {
        b->pair_cap = NUM_MAX(FIRST_PAIRS, b->pair_cap * 2);
        b->pairs = xrealloc(b->pairs, b->pair_cap * sizeof *b->pairs);
    }
    b->pairs[b->pair_count++] = pair;
}

/* Turn a spool record into the payload of the entry with reference ref. */
static void
resolve_entry(struct build *b, struct bytes record, uint32_t ref, struct buf *payload)
{
    struct cursor c = cursor_of(record);
    uint64_t label_count = varint_u64(&c);
    varint_put_u64(payload, label_count);
    add_pair(b, (struct pair){.ref = ref});
    for (uint64_t i = 0; i < label_count; i++) {
        uint32_t name = b->rank[varint_u64(&c)];
        uint32_t value = b->rank[varint_u64(&c)];
        varint_put_u64(payload, b->symbol_ref[name - 1]);
        varint_put_u64(payload, b->symbol_ref[value - 1]);
        add_pair(b, (struct pair){name, value, ref});
    }
    buf_put(payload, c.rest);
}

static bool
read_spool(const struct index_writer *w, struct buf *record, struct err *err)
{
    uint8_t head[SPOOL_HEAD];
    bool got_head = fread(head, sizeof head, 1, w->spool.file) == 1;
    size_t len = got_head ? be32_load(head) : 0;
    buf_clear(record);
    if (!got_head || fread(buf_reserve(record, len), 1, len, w->spool.file) != len)
        return err_sys(err, errno, "read %s", w->spool_path);
    record->len = len;
    return true;
}

/* Reference of the entry that begins here: 32 bits of bytes in version 1, else of
 * units of 16 bytes. */
static bool
series_ref(const struct build *b, uint32_t *ref, struct err *err)
{
    uint64_t unit = b->w->version == 1 ? 1 : TSDB_INDEX_SERIES_ALIGN;
    if (b->out.at / unit > UINT32_MAX)
        return err_set(err, ERR_INVALID, "too many series for one index");
    *ref = (uint32_t)(b->out.at / unit);
    return true;
}

static void
put_entry(struct sink *out, struct bytes payload)
{
    uint8_t len[VARINT_MAX_BYTES];
    sink_put(out, bytes_of(len, varint_store_u64(len, payload.len)));
    sink_put(out, payload);
    sink_put_be32(out, crc32c(payload));
}

static bool
put_series(struct build *b, struct err *err)
{
    CLEANUP(buf_fini) struct buf record;
    CLEANUP(buf_fini) struct buf payload;
    buf_init(&record, NULL);
    buf_init(&payload, NULL);
    rewind(b->w->spool.file);
    b->toc.series = b->out.at;
    for (uint64_t i = 0; i < b->w->series_count; i++) {
        uint32_t ref = 0;
        if (b->w->version != 1)
            sink_align(&b->out, TSDB_INDEX_SERIES_ALIGN);
        if (!series_ref(b, &ref, err) || !read_spool(b->w, &record, err))
            return false;
        buf_clear(&payload);
        resolve_entry(b, buf_bytes(&record), ref, &payload);
        put_entry(&b->out, buf_bytes(&payload));
    }
    return true;
}

static int
pair_key_cmp(const struct pair *a, const struct pair *b)
{
    int by_name = (a->name > b->name) - (a->name < b->name);
    return by_name ? by_name : (a->value > b->value) - (a->value < b->value);
}

static int
pair_cmp(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int by_key = pair_key_cmp(a, b);
    return by_key ? by_key : (a->ref > b->ref) - (a->ref < b->ref);
}

static struct bytes
rank_text(const struct build *b, uint32_t rank)
{
    return rank == 0 ? (struct bytes){0} : b->sorted[rank - 1].text;
}

/* Write the list of the pairs [begin, end), which have one key, and its table row. */
static void
put_postings_list(struct build *b, size_t begin, size_t end, struct buf *table)
{
    CLEANUP(buf_fini) struct buf list;
    buf_init(&list, NULL);
    buf_put_be32(&list, (uint32_t)(end - begin));
    for (size_t i = begin; i < end; i++)
        buf_put_be32(&list, b->pairs[i].ref);

    sink_align(&b->out, POSTINGS_ALIGN);
    varint_put_u64(table, POSTINGS_KEYS);
    put_text(table, rank_text(b, b->pairs[begin].name));
    put_text(table, rank_text(b, b->pairs[begin].value));
    varint_put_u64(table, b->out.at);
    put_section(&b->out, buf_bytes(&list));
}

/* Where each key's pairs begin, and pair_count behind the last; to be freed. */
static size_t *
group_pairs(const struct build *b, size_t *count)
{
    size_t *begins = xcalloc(b->pair_count + 1, sizeof *begins);
    size_t n = 0;
    for (size_t i = 0; i < b->pair_count; i++) {
        if (i == 0 || pair_key_cmp(&b->pairs[i - 1], &b->pairs[i]) != 0)
            begins[n++] = i;
    }
    begins[n] = b->pair_count;
    *count = n;
    return begins;
}

/* Position in sorted order of the i-th list to write. Version 1 tables come in any
 * order: here all odd positions, then all even ones. */
static size_t
list_position(const struct build *b, size_t i, size_t count)
{
    if (b->w->version != 1)
        return i;
    return i < count / 2 ? 2 * i + 1 : 2 * (i - count / 2);
}

static void
put_postings(struct build *b)
{
    if (b->pair_count > 0)
        qsort(b->pairs, b->pair_count, sizeof *b->pairs, pair_cmp);
    size_t count = 0;
    CLEANUP(xfree) size_t *begins = group_pairs(b, &count);
    CLEANUP(buf_fini) struct buf table;
    buf_init(&table, NULL);

    buf_put_be32(&table, (uint32_t)count);
    b->toc.label_indices = b->out.at; /* no such section any more */
    b->toc.postings = b->out.at;
    for (size_t i = 0; i < count; i++) {
        size_t at = list_position(b, i, count);
        put_postings_list(b, begins[at], begins[at + 1], &table);
    }
    b->toc.label_index_table = b->out.at; /* nor this */
    b->toc.postings_table = b->out.at;
    put_section(&b->out, buf_bytes(&table));
}

static void
put_toc(struct build *b)
{
    const uint64_t fields[] = {b->toc.symbols,       b->toc.series,
                               b->toc.label_indices, b->toc.label_index_table,
                               b->toc.postings,      b->toc.postings_table};
    uint8_t toc[sizeof fields];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        be64_store(toc + i * sizeof fields[0], fields[i]);
    sink_put(&b->out, bytes_of(toc, sizeof toc));
    sink_put_be32(&b->out, crc32c(bytes_of(toc, sizeof toc)));
}

static bool
write_sections(struct build *b, struct err *err)
{
    uint8_t version = (uint8_t)b->w->version;
    sink_put(&b->out, bytes_of(index_magic, sizeof index_magic));
    sink_put(&b->out, bytes_of(&version, sizeof version));
    put_symbols(b);
    if (!put_series(b, err))
        return false;
    put_postings(b);
    put_toc(b);
    return true;
}

bool
index_writer_finish(struct index_writer *w, struct err *err)
{
    size_t count = symbol_set_count(w->symbols);
    CLEANUP(build_fini) struct build b = {.w = w};
    b.sorted = symbol_set_sort(w->symbols);
    b.rank = xcalloc(count + 1, sizeof *b.rank);
    b.symbol_ref = xcalloc(count + 1, sizeof *b.symbol_ref);
    for (uint32_t i = 0; i < count; i++)
        b.rank[b.sorted[i].id] = i + 1;

    if (!sink_open(&b.out, w->path, err) || !write_sections(&b, err) ||
        !sink_close(&b.out, err))
        return err_wrap(err, "write %s", w->path);
    return true;
}
