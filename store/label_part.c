/* SPDX-License-Identifier: Apache-2.0 */
/* By postings one range of the index is read, in pages: a label's lists lie side by
 * side and hold four bytes for each series that has the label. By series the entries of
 * the selection are read, some hundred bytes each. So a selection of a few series reads
 * those, and a large one the lists. Names have no lists of their own. */
#include "store/label_part.h"

#include <stdlib.h>

#include "common/base/num.h"

enum {
    /* What a read of one entry costs at least, beside its bytes (series_batch.c). */
    ENTRY_MIN = 512,
    LIST_OVERHEAD = 12, /* length, count and CRC of a postings list */
    GULP_MIN = 1024,
    GULP_MAX = 32 * 1024,
    PAGE_VALUES = 4096,
    SYMBOLS_MIN = 4096,
    PATIENCE = 4096 /* texts between two looks at whether the query is wanted */
};

static uint64_t
series_of(const struct store_index_header *h)
{
    uint64_t len = store_index_header_all(h).len;
    return len > LIST_OVERHEAD ? (len - LIST_OVERHEAD) / sizeof(tsdb_ref) : 0;
}

static enum store_label_way
choose_way(const struct store_label_part *p)
{
    const struct store_index_header *h = p->context->block->header;
    const struct tsdb_index_toc *toc = store_index_header_toc(h);
    uint64_t series = series_of(h), selected = p->options.refs.count;
    if (p->options.all || selected >= series)
        return STORE_LABELS_OF_HEADER;
    if (p->options.name.len == 0)
        return STORE_LABELS_BY_SERIES;
    uint64_t section = tsdb_index_series_end(toc) - toc->series;
    uint64_t entry = NUM_MAX(section / series, (uint64_t)ENTRY_MIN);
    uint64_t entries = NUM_MIN(selected * entry, section);
    uint64_t lists = series * sizeof(tsdb_ref) + p->cursor.left * LIST_OVERHEAD;
    return lists < entries ? STORE_LABELS_BY_POSTINGS : STORE_LABELS_BY_SERIES;
}

/* Whether a value of the label can belong to the answer, as far as the matchers on the
 * label itself tell. */
static bool
may_hold(const struct store_label_part *p, struct bytes value)
{
    const struct store_label_part_options *o = &p->options;
    for (size_t i = 0; i < o->set_count; i++) {
        bool holds = true;
        for (size_t k = 0; k < o->sets[i].count && holds; k++) {
            const struct tsdb_matcher *m = o->sets[i].at[k];
            holds = !bytes_eq(tsdb_matcher_name(m), o->name) ||
                    tsdb_matcher_matches(m, value);
        }
        if (holds)
            return true;
    }
    return o->set_count == 0;
}

/* The next text of the header that may hold. */
static bool
next_of_header(struct store_label_part *p, struct bytes *text,
               struct store_posting_range *range, bool *end, struct err *err)
{
    do {
        if (p->cursor.left % PATIENCE == 0 &&
            !store_fetch_check(p->context->source, err))
            return false;
        if (!store_index_cursor_next(&p->cursor, text, range, end, err))
            return false;
    } while (!*end && !may_hold(p, *text));
    return true;
}

/* Take values into the page until their lists are a share. */
static bool
fill_page(struct store_label_part *p, struct err *err)
{
    size_t most = (size_t)NUM_MIN(p->cursor.left, (uint64_t)PAGE_VALUES);
    uint64_t bytes = 0;
    p->pieces = arena_calloc(&p->arena, most, sizeof *p->pieces);
    p->values = arena_calloc(&p->arena, most, sizeof *p->values);
    if (p->pieces == NULL || p->values == NULL)
        return arena_ok(&p->arena, err);
    for (p->count = 0; p->count < most && bytes < p->options.share_bytes; p->count++) {
        struct bytes value;
        struct store_posting_range range;
        bool end;
        if (!next_of_header(p, &value, &range, &end, err))
            return false;
        if (end)
            break;
        p->values[p->count] = arena_copy(&p->arena, value);
        p->pieces[p->count] = (struct store_piece){
            .offset = range.offset, .len = range.len, .tag = (uint32_t)p->count};
        bytes += range.len + value.len;
    }
    return arena_ok(&p->arena, err);
}

static bool
start_page(struct store_label_part *p, struct err *err)
{
    store_fetch_fini(&p->fetch);
    arena_reset(&p->arena);
    p->at = 0;
    if (!fill_page(p, err))
        return false;
    store_fetch_sort(p->pieces, p->count);
    const char *const *keys = (const char *const *)&p->context->block->index_key;
    return store_fetch_start(&p->fetch, p->context->source, keys, p->pieces, p->count,
                             &p->arena, err);
}

/* Wait for the lists of the page and find out which of its values are met. */
static bool
finish_page(struct store_label_part *p, struct err *err)
{
    const struct store_block *b = p->context->block;
    p->met = arena_calloc(&p->arena, p->count, sizeof *p->met);
    if (p->met == NULL)
        return arena_ok(&p->arena, err);
    if (!store_fetch_wait(&p->fetch, err))
        return false;
    for (size_t i = 0; i < p->count; i++) {
        struct tsdb_postings list;
        struct bytes section = store_fetch_piece(&p->fetch, &p->pieces[i]);
        if (!tsdb_postings_parse(&list, section, err))
            return err_wrap(err, "postings at %llu of %s",
                            (unsigned long long)p->pieces[i].offset, b->index_key);
        p->met[p->pieces[i].tag] = store_refs_meet(&p->options.refs, list);
    }
    return store_fetch_check(p->context->source, err);
}

static bool
next_by_postings(struct store_label_part *p, struct bytes *text, bool *end,
                 struct err *err)
{
    for (;;) {
        for (; p->met != NULL && p->at < p->count; p->at++)
            if (p->met[p->at]) {
                *text = p->values[p->at++];
                return true;
            }
        *end = p->count == 0;
        if (*end)
            return true;
        if (p->met != NULL) {
            p->met = NULL;
            if (!start_page(p, err))
                return false;
        }
        if (!finish_page(p, err))
            return false;
    }
}

static uint32_t *
symbols(const struct store_label_part *p)
{
    return (uint32_t *)(void *)p->symbols.at;
}

static size_t
symbol_count(const struct store_label_part *p)
{
    return p->symbols.len / sizeof(uint32_t);
}

static int
by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void
sort_symbols(struct store_label_part *p)
{
    size_t count = symbol_count(p), kept = 0;
    uint32_t *at = symbols(p);
    if (count > 0)
        qsort(at, count, sizeof *at, by_number);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || at[kept - 1] != at[i])
            at[kept++] = at[i];
    p->sorted = kept;
    p->symbols.len = kept * sizeof *at;
}

/* Symbols that come again and again are dropped whenever they have doubled the list. */
static void
push_symbol(struct store_label_part *p, uint32_t symbol)
{
    if (symbol_count(p) >= 2 * p->sorted + SYMBOLS_MIN)
        sort_symbols(p);
    buf_put(&p->symbols, bytes_of(&symbol, sizeof symbol));
}

static bool
resolve(struct store_label_part *p, uint32_t symbol, struct bytes *text,
        struct err *err)
{
    arena_reset(&p->arena);
    return store_symbol_memo_get(p->context->memo, p->context->block, symbol, &p->arena,
                                 text, err);
}

/* The value that a series has for the label. A block has one symbol for each text, so
 * the label's own needs to be found once. */
static bool
push_value(struct store_label_part *p, const struct tsdb_series *s, struct err *err)
{
    for (size_t i = 0; i < s->label_count; i++) {
        struct bytes name;
        if (p->knows_name && s->labels[i].name != p->name_ref)
            continue;
        if (!p->knows_name && !resolve(p, s->labels[i].name, &name, err))
            return false;
        if (!p->knows_name && !bytes_eq(name, p->options.name))
            continue;
        p->knows_name = true;
        p->name_ref = s->labels[i].name;
        push_symbol(p, s->labels[i].value);
        break;
    }
    return buf_ok(&p->symbols, err);
}

static bool
collect_symbols(void *arg, const struct tsdb_series *s, struct err *err)
{
    struct store_label_part *p = arg;
    if (p->options.name.len > 0)
        return push_value(p, s, err);
    for (size_t i = 0; i < s->label_count; i++)
        push_symbol(p, s->labels[i].name);
    return buf_ok(&p->symbols, err);
}

static bool
start_batch(struct store_label_part *p, struct store_series_batch *b, struct err *err)
{
    const struct store_refs left = {p->options.refs.at + p->next_ref,
                                    p->options.refs.count - p->next_ref};
    if (left.count == 0)
        return true;
    bool ok =
        store_series_batch_start(b, p->context, left, p->options.share_bytes, err);
    p->next_ref += b->count;
    return ok;
}

/* Read all entries, one batch while another is fetched. */
static bool
read_entries(struct store_label_part *p, struct err *err)
{
    for (unsigned turn = 0; p->batches[turn].started; turn = !turn) {
        if (!start_batch(p, &p->batches[!turn], err) ||
            !store_series_batch_each(&p->batches[turn], p->context, collect_symbols, p,
                                     err) ||
            !store_fetch_check(p->context->source, err))
            return false;
        store_series_batch_fini(&p->batches[turn]);
    }
    sort_symbols(p);
    return true;
}

static bool
next_by_series(struct store_label_part *p, struct bytes *text, bool *end,
               struct err *err)
{
    if (p->batches[0].started && !read_entries(p, err))
        return false;
    *end = p->at == symbol_count(p);
    return *end || resolve(p, symbols(p)[p->at++], text, err);
}

bool
store_label_part_open(struct store_label_part *p, struct store_stream_context *context,
                      const struct store_label_part_options *options, struct err *err)
{
    size_t gulp =
        NUM_MAX(NUM_MIN(options->share_bytes, (size_t)GULP_MAX), (size_t)GULP_MIN);
    struct store_value_rows rows;
    memset(p, 0, sizeof *p); /* larger than a frame may be */
    p->context = context;
    p->options = *options;
    arena_init(&p->arena, context->budget);
    buf_init(&p->symbols, context->budget);
    store_index_cursor_init(&p->cursor, context->block->header, gulp, context->budget);
    if (options->name.len == 0)
        store_index_cursor_names(&p->cursor);
    else if (!store_index_header_rows(context->block->header, options->name,
                                      (struct bytes){0}, &rows, err))
        return false;
    else
        store_index_cursor_values(&p->cursor, rows);
    if (p->cursor.left == 0)
        return true;
    p->way = choose_way(p);
    if (p->way == STORE_LABELS_BY_POSTINGS)
        return start_page(p, err);
    return p->way == STORE_LABELS_OF_HEADER || start_batch(p, &p->batches[0], err);
}

bool
store_label_part_next(struct store_label_part *p, struct bytes *text, bool *end,
                      struct err *err)
{
    struct store_posting_range unused;
    *end = false;
    switch (p->way) {
    case STORE_LABELS_BY_POSTINGS:
        return next_by_postings(p, text, end, err);
    case STORE_LABELS_BY_SERIES:
        return next_by_series(p, text, end, err);
    case STORE_LABELS_OF_HEADER:
        break;
    }
    return next_of_header(p, text, &unused, end, err);
}

void
store_label_part_fini(struct store_label_part *p)
{
    store_fetch_fini(&p->fetch);
    store_series_batch_fini(&p->batches[0]);
    store_series_batch_fini(&p->batches[1]);
    store_index_cursor_fini(&p->cursor);
    buf_fini(&p->symbols);
    arena_fini(&p->arena);
}
