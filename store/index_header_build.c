/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "store/index_header_format.h"
#include "store/page_writer.h"

/* The two tables pass through once. What they become is spread over five sections that
 * grow side by side, so each section is a temporary file of its own (while it is longer
 * than a page), and all are strung together when the last byte has been checked.
 *
 * A row of the postings table tells where a list begins; where it ends is known from
 * the list behind it. In version 2 rows stand in the order of the lists, so a row waits
 * for the next one. In version 1 they stand in no order: they are collected first. */

/* The end of an index, with its TOC, is read first. It is a part of the index, which as
 * a rule has the whole postings table in it, and small indexes are in it as a whole.
 * What is left of both tables is read at the same time, by a thread each: so a header
 * takes at most two reads that depend on each other. */
enum { TAIL_SHARE = 8, TAIL_MIN = 64 * 1024, TAIL_MAX = 512 * 1024 };

/* BE32 length, BE32 count and BE32 checksum. */
enum { MIN_LIST = 12 };

/* A row of a version 1 table. */
struct row {
    struct bytes name; /* in the arena, like value */
    struct bytes value;
    uint64_t offset;
    uint64_t end;
};

struct build {
    const struct store_index_source *source;
    const struct objstore_call *call;
    struct store_header_layout layout;
    struct store_page_writer sections[STORE_HEADER_SECTIONS];
    struct buf tail; /* of the index, from tail_at on */
    uint64_t tail_at;
    struct arena arena; /* version 1 only */
    struct buf rows;    /* version 1 only: struct row */

    /* of who reads the symbols */
    struct tsdb_index_table symbols;
    uint8_t head[TSDB_INDEX_HEADER_SIZE]; /* of the index */
    uint64_t head_read; /* bytes of what stands in front of the symbols */
    bool has_symbols;
    struct err failure; /* why it has not */
    struct mutex lock;  /* LOCK_HEADER_BUILD */
    struct cond known;
    /* guarded by lock */
    bool knows_version; /* layout.index_version is set */
    bool has_ended;

    /* of who reads the postings */
    struct tsdb_index_table postings;
    int rows_version; /* of the index; 0: it has still to be waited for */
    bool has_pair;    /* name and value are the last label pair */
    struct buf name;
    struct buf value;
    struct store_header_name open_name;   /* whose values are being written */
    struct store_header_value open_value; /* whose list has no end yet */
    uint32_t values;
};

static bool
put(struct build *b, enum store_header_section section, struct bytes data,
    struct err *err)
{
    return store_page_writer_put(&b->sections[section], data, err);
}

static bool
put_text(struct build *b, struct bytes text, struct store_header_text *where,
         struct err *err)
{
    uint64_t at = b->sections[STORE_HEADER_TEXTS].size;
    if (at > UINT32_MAX || text.len > UINT32_MAX - at)
        return err_set(err, ERR_UNSUPPORTED, "more than 4 GiB of label values");
    *where = (struct store_header_text){(uint32_t)at, (uint32_t)text.len};
    return put(b, STORE_HEADER_TEXTS, text, err);
}

static bool
put_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
           struct err *err)
{
    struct build *b = arg;
    uint8_t row[STORE_HEADER_SYMBOL_WIDTH];
    (void)ordinal;
    (void)symbol;
    if (b->layout.index_version == 1)
        return true;
    be32_store(row, position);
    return put(b, STORE_HEADER_SYMBOL_OFFSETS, bytes_of(row, sizeof row), err);
}

static bool
end_name(struct build *b, struct err *err)
{
    uint8_t row[STORE_HEADER_NAME_WIDTH];
    if (b->name.len == 0)
        return true;
    b->open_name.count = b->values - b->open_name.first;
    store_header_print_name(&b->open_name, row);
    return put(b, STORE_HEADER_NAMES, bytes_of(row, sizeof row), err);
}

static bool
begin_name(struct build *b, struct bytes name, struct err *err)
{
    if (!end_name(b, err))
        return false;
    b->open_name.first = b->values;
    buf_clear(&b->name);
    buf_put(&b->name, name);
    return buf_ok(&b->name, err) && put_text(b, name, &b->open_name.text, err);
}

/* Whether a pair may follow the last one; a name is not empty but in ("", ""). */
static bool
is_behind_last(const struct build *b, struct bytes name, struct bytes value)
{
    int order = bytes_cmp(name, buf_bytes(&b->name));
    if (order == 0)
        order = bytes_cmp(value, buf_bytes(&b->value));
    return name.len > 0 && order > 0;
}

/* Rows arrive here in the order of label pairs, ("", "") first. */
static bool
begin_value(struct build *b, struct bytes name, struct bytes value, struct err *err)
{
    if (!b->has_pair && name.len + value.len > 0)
        return err_set(err, ERR_CORRUPT, "postings table without a list of all series");
    if (b->has_pair && !is_behind_last(b, name, value))
        return err_set(err, ERR_CORRUPT, "postings table out of order at %.*s",
                       (int)NUM_MIN(name.len, (size_t)64), (const char *)name.at);
    if (!bytes_eq(name, buf_bytes(&b->name)) && !begin_name(b, name, err))
        return false;
    b->has_pair = true;
    buf_clear(&b->value);
    buf_put(&b->value, value);
    return buf_ok(&b->value, err) && put_text(b, value, &b->open_value.text, err);
}

/* The list that began last ends here. */
static bool
end_value(struct build *b, uint64_t end, struct err *err)
{
    struct store_posting_range *list = &b->open_value.postings;
    if (list->offset < b->layout.toc.postings || list->offset > end ||
        end - list->offset < MIN_LIST || end - list->offset > UINT32_MAX)
        return err_set(err, ERR_CORRUPT,
                       "postings list from %llu to %llu cannot be one",
                       (unsigned long long)list->offset, (unsigned long long)end);
    list->len = end - list->offset;
    if (b->name.len == 0) {
        b->layout.all = *list;
        return true;
    }
    uint8_t row[STORE_HEADER_VALUE_WIDTH];
    store_header_print_value(&b->open_value, row);
    b->values++;
    return put(b, STORE_HEADER_VALUES, bytes_of(row, sizeof row), err);
}

static bool
put_sorted_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct build *b = arg;
    if (b->has_pair && !end_value(b, row->offset, err))
        return false;
    b->open_value.postings.offset = row->offset;
    return begin_value(b, row->name, row->value, err);
}

static bool
collect_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct build *b = arg;
    struct row copy = {.name = arena_copy(&b->arena, row->name),
                       .value = arena_copy(&b->arena, row->value),
                       .offset = row->offset};
    buf_put(&b->rows, bytes_of(&copy, sizeof copy));
    return arena_ok(&b->arena, err) && buf_ok(&b->rows, err);
}

/* False: it will never be known. */
static bool
wait_for_version(struct build *b, struct err *err)
{
    MUTEX_SCOPE(&b->lock);
    while (!b->knows_version && !b->has_ended)
        cond_wait_until(&b->known, &b->lock, CLOCK_NEVER);
    return b->knows_version ||
           err_set(err, ERR_CORRUPT, "nothing is known of the version of the index");
}

static bool
put_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct build *b = arg;
    if (b->rows_version == 0 && !wait_for_version(b, err))
        return false;
    b->rows_version = b->layout.index_version;
    return b->rows_version == 1 ? collect_row(b, row, err)
                                : put_sorted_row(b, row, err);
}

static int
by_offset(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int
by_pair(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = bytes_cmp(x->name, y->name);
    return order != 0 ? order : bytes_cmp(x->value, y->value);
}

static bool
put_collected_rows(struct build *b, struct err *err)
{
    size_t count = b->rows.len / sizeof(struct row);
    struct row *rows = (struct row *)(void *)b->rows.at;
    if (count == 0)
        return true;
    qsort(rows, count, sizeof *rows, by_offset);
    for (size_t i = 0; i + 1 < count; i++)
        rows[i].end = rows[i + 1].offset;
    rows[count - 1].end = tsdb_index_postings_end(&b->layout.toc);
    qsort(rows, count, sizeof *rows, by_pair);
    for (size_t i = 0; i < count; i++) {
        b->open_value.postings.offset = rows[i].offset;
        if (!begin_value(b, rows[i].name, rows[i].value, err) ||
            !end_value(b, rows[i].end, err))
            return false;
    }
    return true;
}

static bool
learn_version(struct build *b, struct err *err)
{
    int version;
    if (!tsdb_index_header_parse(bytes_of(b->head, sizeof b->head), &version, err))
        return false;
    MUTEX_SCOPE(&b->lock);
    b->layout.index_version = version;
    b->knows_version = true;
    cond_broadcast(&b->known);
    return true;
}

/* Take what stands in front of the symbols off a piece, and the version from it. */
static bool
feed_head(struct build *b, struct bytes *piece, struct err *err)
{
    for (; b->head_read < b->layout.toc.symbols && piece->len > 0; b->head_read++) {
        if (b->head_read < sizeof b->head)
            b->head[b->head_read] = piece->at[0];
        bytes_skip(piece, 1);
        if (b->head_read + 1 == sizeof b->head && !learn_version(b, err))
            return false;
    }
    return true;
}

static bool
feed_symbols(void *arg, struct bytes piece, struct err *err)
{
    struct build *b = arg;
    if (!feed_head(b, &piece, err))
        return false;
    return put(b, STORE_HEADER_SYMBOLS, piece, err) &&
           tsdb_index_table_feed(&b->symbols, piece, err);
}

static bool
feed_postings(void *arg, struct bytes piece, struct err *err)
{
    struct build *b = arg;
    return tsdb_index_table_feed(&b->postings, piece, err);
}

/* A server that cannot do what buckets can, such as a proxy that answers in its place,
 * is no fault of the block. */
static bool
bucket_failed(struct err *err)
{
    if (err->code == ERR_UNSUPPORTED)
        err->code = ERR_UNAVAILABLE;
    return false;
}

/* Where a stream leads. */
struct outlet {
    struct build *build;
    objstore_sink_fn *feed;
    bool is_refused; /* the failure is that of feed */
};

static bool
feed_outlet(void *arg, struct bytes piece, struct err *err)
{
    struct outlet *o = arg;
    o->is_refused = !o->feed(o->build, piece, err);
    return !o->is_refused;
}

/* Stream [begin, end) of the index, of which the tail is there already. */
static bool
stream(struct build *b, uint64_t begin, uint64_t end, objstore_sink_fn *feed,
       struct err *err)
{
    const struct store_index_source *source = b->source;
    uint64_t fetched = NUM_MIN(end, b->tail_at);
    struct outlet outlet = {b, feed, false};
    if (begin < fetched &&
        !objstore_get_range(source->bucket, b->call, bytes_of_str(source->key), begin,
                            fetched - begin, feed_outlet, &outlet, err))
        return outlet.is_refused ? false : bucket_failed(err);
    uint64_t from = NUM_MAX(begin, b->tail_at);
    return from >= end ||
           feed(b, bytes_of(b->tail.at + (from - b->tail_at), (size_t)(end - from)),
                err);
}

/* Stream [begin, end) of the index through a table. */
static bool
read_table(struct build *b, struct tsdb_index_table *table, uint64_t begin,
           uint64_t end, objstore_sink_fn *feed, struct err *err)
{
    bool ok = end > begin || err_set(err, ERR_CORRUPT, "empty section at %llu",
                                     (unsigned long long)begin);
    ok = ok && stream(b, begin, end, feed, err) && tsdb_index_table_end(table, err);
    tsdb_index_table_fini(table);
    return ok;
}

static bool
read_symbols(struct build *b, struct err *err)
{
    const struct tsdb_index_toc *toc = &b->layout.toc;
    tsdb_index_symbols_begin(&b->symbols, put_symbol, b, b->source->budget);
    if (!read_table(b, &b->symbols, 0, toc->series, feed_symbols, err))
        return err_wrap(err, "symbol table");
    return true;
}

/* Whether nothing but padding can stand where series do. */
static bool
has_no_series(const struct build *b)
{
    const struct tsdb_index_toc *toc = &b->layout.toc;
    return tsdb_index_series_end(toc) - toc->series < TSDB_INDEX_SERIES_ALIGN;
}

static bool
finish_postings(struct build *b, struct err *err)
{
    if (b->layout.index_version == 1 && !put_collected_rows(b, err))
        return false;
    /* Old releases wrote blocks of nothing when all samples had been deleted. */
    if (!b->has_pair)
        return has_no_series(b) || err_set(err, ERR_CORRUPT, "no lists");
    if (b->layout.index_version != 1 &&
        !end_value(b, tsdb_index_postings_end(&b->layout.toc), err))
        return false;
    return end_name(b, err);
}

static bool
read_postings(struct build *b, struct err *err)
{
    uint64_t end = b->layout.index_size - TSDB_INDEX_TOC_SIZE;
    tsdb_index_postings_begin(&b->postings, put_row, b, b->source->budget);
    if (!read_table(b, &b->postings, b->layout.toc.postings_table, end, feed_postings,
                    err))
        return err_wrap(err, "postings table");
    return true;
}

static void *
run_symbols(void *arg)
{
    struct build *b = arg;
    b->has_symbols = read_symbols(b, &b->failure);
    MUTEX_SCOPE(&b->lock);
    b->has_ended = true;
    cond_broadcast(&b->known);
    return NULL;
}

/* Where the tail has not all of the postings table, both are read at once. */
static bool
read_tables(struct build *b, struct err *err)
{
    pthread_t thread;
    bool at_once = b->layout.toc.postings_table < b->tail_at;
    if (!at_once)
        run_symbols(b);
    else if (!thread_start(&thread, "header", run_symbols, b, err))
        return false;
    bool ok = (at_once || b->has_symbols) && read_postings(b, err);
    if (at_once)
        pthread_join(thread, NULL);
    if (!b->has_symbols) {
        *err = b->failure;
        return false;
    }
    return ok && (finish_postings(b, err) || err_wrap(err, "postings table"));
}

static bool
read_exactly(struct build *b, uint64_t offset, uint8_t *into, size_t len,
             struct err *err)
{
    size_t got = 0;
    if (!objstore_read_range(b->source->bucket, b->call, bytes_of_str(b->source->key),
                             (struct objstore_range){offset, len}, into, &got, err))
        return bucket_failed(err);
    return got == len || err_set(err, ERR_CORRUPT, "object is shorter than listed");
}

static bool
read_layout(struct build *b, struct err *err)
{
    uint64_t size = b->source->size;
    if (size < TSDB_INDEX_HEADER_SIZE + TSDB_INDEX_TOC_SIZE)
        return err_set(err, ERR_CORRUPT, "%llu bytes are no index",
                       (unsigned long long)size);
    uint64_t share =
        NUM_MIN(NUM_MAX(size / TAIL_SHARE, (uint64_t)TAIL_MIN), (uint64_t)TAIL_MAX);
    b->layout.index_size = size;
    b->tail_at = size - NUM_MIN(size, share);
    size_t len = (size_t)(size - b->tail_at);
    uint8_t *tail = buf_reserve(&b->tail, len);
    if (tail == NULL)
        return buf_ok(&b->tail, err);
    b->tail.len = len;
    return read_exactly(b, b->tail_at, tail, len, err) &&
           tsdb_index_toc_parse(
               &b->layout.toc,
               bytes_of(tail + len - TSDB_INDEX_TOC_SIZE, TSDB_INDEX_TOC_SIZE), size,
               err);
}

static bool
put_head(struct build *b, struct err *err)
{
    uint8_t head[STORE_HEADER_HEAD_SIZE];
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        b->layout.sizes[i] = b->sections[i].size;
    store_header_print_head(&b->layout, head);
    return put(b, STORE_HEADER_HEAD, bytes_of(head, sizeof head), err);
}

static bool
write_sections(struct build *b, int fd, const char *path, struct err *err)
{
    CLEANUP(store_page_writer_fini) struct store_page_writer w = {0};
    if (!store_page_writer_open_at(&w, fd, path, b->source->budget, err))
        return false;
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        if (!store_page_writer_append(&w, &b->sections[i], err))
            return false;
    if (!store_page_writer_end(&w, err))
        return false;
    return true;
}

static bool
name_file(int fd, const char *tmp, const char *path, struct err *err)
{
    bool ok = fsync(fd) == 0 || err_sys(err, errno, "fsync %s", tmp);
    if (close(fd) != 0 && ok)
        ok = err_sys(err, errno, "close %s", tmp);
    if (ok && rename(tmp, path) != 0)
        ok = err_sys(err, errno, "rename %s to %s", tmp, path);
    return ok || store_page_disk_failed(err);
}

static bool
write_file(struct build *b, const char *path, struct err *err)
{
    CLEANUP(xfree) char *tmp = xasprintf("%s.XXXXXX", path);
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "create %s", tmp) || store_page_disk_failed(err);
    bool ok = write_sections(b, fd, tmp, err);
    if (ok)
        ok = name_file(fd, tmp, path, err);
    else
        close(fd);
    if (!ok)
        unlink(tmp);
    return ok;
}

static struct build *
build_new(const struct store_index_source *source, const struct objstore_call *call)
{
    struct build *b = xcalloc(1, sizeof *b);
    b->source = source;
    b->call = call;
    mutex_init(&b->lock, LOCK_HEADER_BUILD);
    cond_init(&b->known);
    arena_init(&b->arena, source->budget);
    buf_init(&b->rows, source->budget);
    buf_init(&b->tail, source->budget);
    buf_init(&b->name, source->budget);
    buf_init(&b->value, source->budget);
    return b;
}

static void
build_free(struct build **out)
{
    struct build *b = *out;
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        store_page_writer_fini(&b->sections[i]);
    buf_fini(&b->value);
    buf_fini(&b->name);
    buf_fini(&b->tail);
    buf_fini(&b->rows);
    arena_fini(&b->arena);
    cond_fini(&b->known);
    mutex_fini(&b->lock);
    free(b);
}

/* Whoever deleted the folder did not mean that blocks are broken. */
static bool
make_folder(const char *path, struct err *err)
{
    CLEANUP(xfree) char *folder = xstrdup(path);
    char *end = strrchr(folder, '/');
    if (end == NULL || end == folder)
        return true;
    *end = 0;
    return file_mkdirs(folder, err) || store_page_disk_failed(err);
}

static bool
open_sections(struct build *b, const char *path, struct err *err)
{
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        if (!store_page_writer_open(&b->sections[i], path, b->source->budget, err))
            return false;
    return true;
}

bool
store_index_header_build(const struct store_index_source *source,
                         const struct objstore_call *call, const char *path,
                         struct err *err)
{
    CLEANUP(build_free) struct build *b = build_new(source, call);
    if (!make_folder(path, err) || !open_sections(b, path, err) ||
        !read_layout(b, err) || !read_tables(b, err) || !put_head(b, err) ||
        !write_file(b, path, err))
        return err_wrap(err, "build index header of %s", source->key);
    return true;
}
