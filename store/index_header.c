/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_header.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/cursor.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/varint.h"
#include "store/index_header_format.h"

/* Rows of NAMES and VALUES are looked at one by one in a binary search and by the gulp
 * in a scan. A gulp of texts is one contiguous read, because values follow each other
 * in TEXTS as their rows do in VALUES. */
enum {
    COMPARE_GULP = 256,
    SCAN_GULP = 32 * 1024, /* bytes of texts */
    GULP_PER_ROW = 128,    /* one row is read for so many bytes of a gulp */
    SYMBOL_GUESS = 128     /* covers most symbols with their length: one read */
};

static const int64_t REPAIR_TIMEOUT_NS = 5 * 60 * CLOCK_NS_PER_S;

struct store_index_header {
    char *path;
    char *key;
    struct store_index_source source;
    struct store_page_cache *cache;
    uint64_t file_id;
    struct store_header_layout layout;
    atomic_uint repairs; /* how often the file was built again since it was opened */
};

/* Rows [begin, end) of NAMES or VALUES; both begin with their text. */
struct rows {
    enum store_header_section section;
    uint32_t width;
    uint64_t begin;
    uint64_t end;
};

static bool
read_layout(struct store_index_header *h, struct store_header_layout *layout,
            struct err *err)
{
    uint8_t head[STORE_HEADER_HEAD_SIZE];
    CLEANUP(file_close) int fd = -1;
    uint64_t size = 0;
    return file_open_read(h->path, &fd, err) && file_size(fd, h->path, &size, err) &&
           store_page_read(h->path, 0, head, sizeof head, err) &&
           store_header_parse_head(layout, head, size, err);
}

bool
store_index_header_open(struct store_index_header **out,
                        const struct store_index_source *source, const char *path,
                        struct store_page_cache *cache, struct err *err)
{
    CLEANUP(store_index_header_free)
    struct store_index_header *h = xcalloc(1, sizeof *h);
    h->path = xstrdup(path);
    h->key = xstrdup(source->key);
    h->source = *source;
    h->source.key = h->key;
    h->cache = cache;
    h->file_id = store_page_cache_file_id(cache);
    atomic_init(&h->repairs, 0);
    if (!read_layout(h, &h->layout, err))
        return err_wrap(err, "open index header %s", path);
    if (h->layout.index_size != source->size)
        return err_set(err, ERR_CORRUPT,
                       "index header %s is of an index of %" PRIu64
                       " bytes, not %" PRIu64,
                       path, h->layout.index_size, source->size);
    *out = TAKE(h);
    return true;
}

void
store_index_header_free(struct store_index_header **out)
{
    struct store_index_header *h = TAKE(*out);
    if (h == NULL)
        return;
    store_page_cache_forget(h->cache, h->file_id);
    free(h->path);
    free(h->key);
    free(h);
}

const struct tsdb_index_toc *
store_index_header_toc(const struct store_index_header *h)
{
    return &h->layout.toc;
}

uint32_t
store_index_header_series_unit(const struct store_index_header *h)
{
    return h->layout.index_version == 1 ? 1 : TSDB_INDEX_SERIES_ALIGN;
}

struct store_posting_range
store_index_header_all(const struct store_index_header *h)
{
    return h->layout.all;
}

static bool
is_same_layout(const struct store_header_layout *a, const struct store_header_layout *b)
{
    uint8_t x[STORE_HEADER_HEAD_SIZE], y[STORE_HEADER_HEAD_SIZE];
    store_header_print_head(a, x);
    store_header_print_head(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

bool
store_index_header_is_same(const struct store_index_header *a,
                           const struct store_index_header *b)
{
    return is_same_layout(&a->layout, &b->layout);
}

/* Build the file again, unless another thread has since repairs was read. damage is
 * what was found; it is replaced when the repair fails. */
static bool
repair(struct store_index_header *h, unsigned repairs, struct err *damage)
{
    if (atomic_load(&h->repairs) != repairs)
        return true;
    LOG_AT(damage->code == ERR_NOT_FOUND ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
           "index header missing or damaged, building it again",
           LOG_STR("path", h->path), LOG_ERR(damage));
    struct objstore_call call = {.deadline_ns = clock_deadline(REPAIR_TIMEOUT_NS)};
    struct store_header_layout layout;
    if (!store_index_header_build(&h->source, &call, h->path, damage) ||
        !read_layout(h, &layout, damage))
        return false;
    if (!is_same_layout(&layout, &h->layout))
        return err_set(damage, ERR_CORRUPT, "index %s has changed", h->key);
    atomic_fetch_add(&h->repairs, 1);
    return true;
}

/* Copy len bytes from position at of a section. */
static bool
read_section(struct store_index_header *h, enum store_header_section section,
             uint64_t at, void *into, size_t len, struct err *err)
{
    uint64_t size = h->layout.sizes[section];
    if (at > size || len > size - at)
        return err_set(err, ERR_CORRUPT,
                       "%s: %zu bytes at %" PRIu64 " of a section of %" PRIu64, h->path,
                       len, at, size);
    uint64_t offset = h->layout.offsets[section] + at;
    unsigned repairs = atomic_load(&h->repairs);
    if (store_page_cache_read(h->cache, h->file_id, h->path, offset, into, len, err))
        return true;
    bool is_damaged = err->code == ERR_CORRUPT || err->code == ERR_NOT_FOUND;
    if (!is_damaged || h->source.bucket == NULL || !repair(h, repairs, err))
        return false;
    return store_page_cache_read(h->cache, h->file_id, h->path, offset, into, len, err);
}

/* Compare a stored text with key, as bytes_cmp does. */
static bool
compare_text(struct store_index_header *h, struct store_header_text text,
             struct bytes key, int *order, struct err *err)
{
    uint8_t gulp[COMPARE_GULP];
    uint64_t at = text.at;
    size_t left = text.len;
    while (left > 0 && key.len > 0) {
        size_t part = NUM_MIN(NUM_MIN(left, key.len), sizeof gulp);
        if (!read_section(h, STORE_HEADER_TEXTS, at, gulp, part, err))
            return false;
        *order = memcmp(gulp, key.at, part);
        if (*order != 0)
            return true;
        bytes_skip(&key, part);
        at += part;
        left -= part;
    }
    *order = (left > 0) - (key.len > 0);
    return true;
}

/* Where a search ends: at the first text that is not below the key, or at the first
 * that is above all which start with it. */
enum goal { NOT_BELOW, ABOVE_PREFIX };

/* *at becomes that row, *order how it compares with key (positive also at the end of
 * the rows). */
static bool
find_row(struct store_index_header *h, const struct rows *rows, struct bytes key,
         enum goal goal, uint64_t *at, int *order, struct err *err)
{
    uint64_t begin = rows->begin, end = rows->end;
    *order = 1;
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        uint8_t row[sizeof(struct store_header_text)];
        int compared;
        if (!read_section(h, rows->section, middle * rows->width, row, sizeof row, err))
            return false;
        struct store_header_text text = store_header_parse_text(row);
        if (goal == ABOVE_PREFIX)
            text.len = (uint32_t)NUM_MIN(text.len, key.len);
        if (!compare_text(h, text, key, &compared, err))
            return false;
        if (compared < (goal == ABOVE_PREFIX)) {
            begin = middle + 1;
        } else {
            end = middle;
            *order = compared;
        }
    }
    *at = begin;
    return true;
}

static struct rows
rows_of_names(const struct store_index_header *h)
{
    return (struct rows){.section = STORE_HEADER_NAMES,
                         .width = STORE_HEADER_NAME_WIDTH,
                         .end = h->layout.sizes[STORE_HEADER_NAMES] /
                                STORE_HEADER_NAME_WIDTH};
}

/* The rows of VALUES that belong to a name; an unknown one has none. */
static bool
find_values(struct store_index_header *h, struct bytes name, struct rows *values,
            struct err *err)
{
    struct rows names = rows_of_names(h);
    uint8_t row[STORE_HEADER_NAME_WIDTH];
    uint64_t at;
    int order;
    *values = (struct rows){STORE_HEADER_VALUES, STORE_HEADER_VALUE_WIDTH, 0, 0};
    if (!find_row(h, &names, name, NOT_BELOW, &at, &order, err))
        return false;
    if (order != 0)
        return true;
    if (!read_section(h, names.section, at * names.width, row, sizeof row, err))
        return false;
    struct store_header_name found = store_header_parse_name(row);
    values->begin = found.first;
    values->end = (uint64_t)found.first + found.count;
    return true;
}

static bool
check_range(const struct store_index_header *h, struct store_posting_range range,
            struct err *err)
{
    uint64_t size = h->layout.index_size;
    if (range.offset > size || range.len > size - range.offset)
        return err_set(err, ERR_CORRUPT, "%s: a postings list outside the index",
                       h->path);
    return true;
}

static bool
read_value(struct store_index_header *h, uint64_t row, struct store_header_value *value,
           struct err *err)
{
    uint8_t raw[STORE_HEADER_VALUE_WIDTH];
    if (!read_section(h, STORE_HEADER_VALUES, row * sizeof raw, raw, sizeof raw, err))
        return false;
    *value = store_header_parse_value(raw);
    return check_range(h, value->postings, err);
}

bool
store_index_header_find(struct store_index_header *h, struct bytes name,
                        struct bytes value, bool *found,
                        struct store_posting_range *range, struct err *err)
{
    struct rows values;
    struct store_header_value row;
    uint64_t at;
    int order;
    if (!find_values(h, name, &values, err) ||
        !find_row(h, &values, value, NOT_BELOW, &at, &order, err))
        return false;
    *found = order == 0;
    if (order != 0)
        return true;
    if (!read_value(h, at, &row, err))
        return false;
    *range = row.postings;
    return true;
}

bool
store_index_header_has_name(struct store_index_header *h, struct bytes name, bool *has,
                            struct err *err)
{
    struct rows values;
    if (!find_values(h, name, &values, err))
        return false;
    *has = values.begin < values.end;
    return true;
}

static bool
read_into(struct store_index_header *h, enum store_header_section section, uint64_t at,
          size_t len, struct buf *into, struct err *err)
{
    buf_clear(into);
    uint8_t *to = buf_reserve(into, len);
    if (to == NULL)
        return buf_ok(into, err);
    if (!read_section(h, section, at, to, len, err))
        return false;
    into->len = len;
    return true;
}

void
store_index_cursor_init(struct store_index_cursor *c, struct store_index_header *h,
                        size_t gulp_bytes, struct budget *budget)
{
    *c = (struct store_index_cursor){.header = h, .gulp_bytes = gulp_bytes};
    buf_init(&c->rows, budget);
    buf_init(&c->texts, budget);
}

void
store_index_cursor_fini(struct store_index_cursor *c)
{
    buf_fini(&c->rows);
    buf_fini(&c->texts);
}

void
store_index_cursor_names(struct store_index_cursor *c)
{
    c->is_of_names = true;
    c->left = rows_of_names(c->header).end;
}

void
store_index_cursor_values(struct store_index_cursor *c, struct store_value_rows rows)
{
    c->row = rows.begin;
    c->left = rows.end > rows.begin ? rows.end - rows.begin : 0;
}

static struct store_header_value
value_at(const struct store_index_cursor *c, size_t i)
{
    return store_header_parse_value(c->rows.at + i * STORE_HEADER_VALUE_WIDTH);
}

/* Read the texts of the values in memory, of as many as make a gulp and at least one.
 */
static bool
gulp_texts(struct store_index_cursor *c, struct err *err)
{
    struct store_header_text span = {.at = value_at(c, 0).text.at};
    size_t n = 0;
    for (; n < c->count; n++) {
        struct store_header_text text = value_at(c, n).text;
        if (text.at != (uint64_t)span.at + span.len)
            return err_set(err, ERR_CORRUPT, "%s: values do not follow each other",
                           c->header->path);
        if (n > 0 && (uint64_t)span.len + text.len > c->gulp_bytes)
            break;
        span.len += text.len;
    }
    c->count = n;
    c->texts_at = span.at;
    return read_into(c->header, STORE_HEADER_TEXTS, span.at, span.len, &c->texts, err);
}

/* Read the following rows. Texts of names do not follow each other, so they are read
 * one by one. */
static bool
gulp(struct store_index_cursor *c, struct err *err)
{
    size_t width = c->is_of_names ? STORE_HEADER_NAME_WIDTH : STORE_HEADER_VALUE_WIDTH;
    uint64_t rows = c->gulp_bytes / GULP_PER_ROW + 1;
    c->at = 0;
    c->count = (size_t)NUM_MIN(rows, c->left);
    if (!read_into(c->header, c->is_of_names ? STORE_HEADER_NAMES : STORE_HEADER_VALUES,
                   c->row * width, c->count * width, &c->rows, err))
        return false;
    if (!c->is_of_names && !gulp_texts(c, err))
        return false;
    c->row += c->count;
    return true;
}

static bool
next_name(struct store_index_cursor *c, struct bytes *text, struct err *err)
{
    struct store_header_text at =
        store_header_parse_text(c->rows.at + c->at * STORE_HEADER_NAME_WIDTH);
    if (!read_into(c->header, STORE_HEADER_TEXTS, at.at, at.len, &c->texts, err))
        return false;
    *text = buf_bytes(&c->texts);
    return true;
}

bool
store_index_cursor_next(struct store_index_cursor *c, struct bytes *text,
                        struct store_posting_range *range, bool *end, struct err *err)
{
    *end = c->left == 0;
    if (*end)
        return true;
    if (c->at == c->count && !gulp(c, err))
        return false;
    if (c->is_of_names) {
        if (!next_name(c, text, err))
            return false;
    } else {
        struct store_header_value v = value_at(c, c->at);
        *text = bytes_of(c->texts.at + (v.text.at - c->texts_at), v.text.len);
        *range = v.postings;
        if (!check_range(c->header, *range, err))
            return false;
    }
    c->at++;
    c->left--;
    return true;
}

bool
store_index_header_rows(struct store_index_header *h, struct bytes name,
                        struct bytes prefix, struct store_value_rows *rows,
                        struct err *err)
{
    struct rows values;
    int order;
    if (!find_values(h, name, &values, err))
        return false;
    *rows = (struct store_value_rows){values.begin, values.end};
    return prefix.len == 0 ||
           (find_row(h, &values, prefix, NOT_BELOW, &rows->begin, &order, err) &&
            find_row(h, &values, prefix, ABOVE_PREFIX, &rows->end, &order, err));
}

bool
store_index_header_span(struct store_index_header *h, struct store_value_rows rows,
                        uint64_t *bytes, struct err *err)
{
    struct store_header_value first, last;
    *bytes = 0;
    if (rows.begin >= rows.end)
        return true;
    if (!read_value(h, rows.begin, &first, err) ||
        !read_value(h, rows.end - 1, &last, err))
        return false;
    uint64_t end = last.postings.offset + last.postings.len;
    *bytes = end > first.postings.offset ? end - first.postings.offset : 0;
    return true;
}

bool
store_index_header_scan(struct store_index_header *h, struct store_value_rows rows,
                        store_value_fn *fn, void *arg, struct err *err)
{
    CLEANUP(store_index_cursor_fini) struct store_index_cursor c;
    store_index_cursor_init(&c, h, SCAN_GULP, store_page_cache_budget(h->cache));
    store_index_cursor_values(&c, rows);
    for (;;) {
        struct bytes value;
        struct store_posting_range range;
        bool end;
        if (!store_index_cursor_next(&c, &value, &range, &end, err))
            return false;
        if (end)
            return true;
        if (!fn(arg, value, range, err))
            return false;
    }
}

static bool
bad_symbol(const struct store_index_header *h, uint32_t ref, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: no symbol has the reference %" PRIu32, h->key,
                   ref);
}

/* Where a symbol stands in SYMBOLS, from its length on; it ends before *end. */
static bool
locate_symbol(struct store_index_header *h, uint32_t ref, uint64_t *at, uint64_t *end,
              struct err *err)
{
    enum { LENGTH = 4, COUNT = 4, CRC = 4 };
    uint8_t row[STORE_HEADER_SYMBOL_WIDTH];
    uint64_t size = h->layout.sizes[STORE_HEADER_SYMBOLS];
    uint64_t count = h->layout.sizes[STORE_HEADER_SYMBOL_OFFSETS] / sizeof row;
    if (h->layout.index_version == 1) {
        *at = ref - h->layout.toc.symbols; /* huge when it lies before: refused below */
    } else {
        if (ref >= count)
            return bad_symbol(h, ref, err);
        if (!read_section(h, STORE_HEADER_SYMBOL_OFFSETS, ref * (uint64_t)sizeof row,
                          row, sizeof row, err))
            return false;
        *at = (uint64_t)be32_load(row) + LENGTH;
    }
    if (size < CRC || *at < LENGTH + COUNT || *at >= size - CRC)
        return bad_symbol(h, ref, err);
    *end = size - CRC;
    return true;
}

bool
store_index_header_symbol(struct store_index_header *h, uint32_t ref,
                          struct arena *arena, struct bytes *text, struct err *err)
{
    uint8_t guess[SYMBOL_GUESS];
    uint64_t at, end;
    if (!locate_symbol(h, ref, &at, &end, err))
        return false;
    size_t got = (size_t)NUM_MIN(end - at, (uint64_t)sizeof guess);
    if (!read_section(h, STORE_HEADER_SYMBOLS, at, guess, got, err))
        return false;
    struct cursor c = cursor_of(bytes_of(guess, got));
    uint64_t len = varint_u64(&c);
    at += got - c.rest.len;
    if (c.bad || len > end - at)
        return bad_symbol(h, ref, err);
    if (len <= c.rest.len) {
        *text = arena_copy(arena, bytes_of(c.rest.at, (size_t)len));
        return arena_ok(arena, err);
    }
    uint8_t *into = arena_alloc(arena, (size_t)len);
    if (into == NULL)
        return arena_ok(arena, err);
    *text = bytes_of(into, (size_t)len);
    return read_section(h, STORE_HEADER_SYMBOLS, at, into, (size_t)len, err);
}
