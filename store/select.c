/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of a group are fetched in portions, so that a matcher may stand for
 * millions of them. The first portion of all groups is fetched at once, and is nearly
 * always the only one; where there are more, one is fetched while another is used.
 *
 * The base is put together and sorted; the other groups only mark which of its
 * references they have, list by list: no union of theirs is ever made. */
#include "store/select.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/num.h"
#include "store/select_memo.h"
#include "store/select_priv.h"

/* Where a portion of a group ends. Guesses: about a megabyte of plans, and as much as a
 * bucket delivers in a tenth of a second. */
enum { PORTION_LISTS = 16 * 1024, PORTION_BYTES = 8 * 1024 * 1024, SCAN_ROWS = 2048 };

static void
portion_fini(struct store_select_portion *p)
{
    store_fetch_fini(&p->fetch);
    arena_fini(&p->arena);
    *p = (struct store_select_portion){0};
}

/* Wait, so that the end of the portion is not that of the query. */
static void
drain(struct store_select_portion *p)
{
    struct err ignored;
    (void)!store_fetch_wait(&p->fetch, &ignored);
}

/* Putting lists of one group into a portion. */
struct filler {
    const struct store_fetch_source *source;
    struct store_select_portion *portion;
    const struct store_select_group *group;
    uint32_t tag;
    size_t seen;
    uint64_t bytes;
};

static bool
push_list(struct filler *f, struct store_posting_range range, struct err *err)
{
    struct store_select_portion *p = f->portion;
    struct store_piece *at =
        arena_grow(&p->arena, p->pieces, p->count, &p->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&p->arena, err);
    p->pieces = at;
    p->pieces[p->count++] =
        (struct store_piece){.offset = range.offset, .len = range.len, .tag = f->tag};
    f->bytes += range.len;
    return true;
}

static bool
scan_value(void *arg, struct bytes value, struct store_posting_range range,
           struct err *err)
{
    struct filler *f = arg;
    const struct store_select_group *g = f->group;
    if (++f->seen % STORE_SELECT_PATIENCE == 0 && !store_fetch_check(f->source, err))
        return false;
    if (g->matcher != NULL && tsdb_matcher_matches(g->matcher, value) == g->subtract)
        return true;
    return push_list(f, range, err);
}

static bool
fill_some(struct filler *f, struct store_index_header *header,
          struct store_select_group *g, struct err *err)
{
    if (g->range_next < g->range_count)
        return push_list(f, g->ranges[g->range_next++], err);
    struct store_value_rows some = g->rows;
    some.end = NUM_MIN(some.end, some.begin + SCAN_ROWS);
    g->rows.begin = some.end;
    return store_index_header_scan(header, some, scan_value, f, err);
}

/* Move lists of a group into the portion until it is full. */
static bool
fill(struct store_select *s, size_t group, struct store_select_portion *p,
     struct err *err)
{
    struct store_select_group *g = &s->groups[group];
    struct filler f = {
        .source = s->source, .portion = p, .group = g, .tag = (uint32_t)group};
    size_t begin = p->count;
    while (store_select_has_more(g) && p->count - begin < PORTION_LISTS &&
           f.bytes < PORTION_BYTES)
        if (!fill_some(&f, s->block->header, g, err))
            return false;
    return true;
}

static uint64_t
bytes_of_reads(const struct store_fetch *f)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->count; i++)
        bytes += f->reads[i].len;
    return bytes;
}

static bool
fetch(struct store_select *s, struct store_select_portion *p, struct err *err)
{
    const char *const *keys = (const char *const *)&s->block->index_key;
    store_fetch_sort(p->pieces, p->count);
    if (!store_fetch_start(&p->fetch, s->source, keys, p->pieces, p->count, &p->arena,
                           err))
        return false;
    s->memo.lists += p->count;
    s->memo.bytes += bytes_of_reads(&p->fetch);
    return true;
}

static bool
fetch_first(struct store_select *s, struct err *err)
{
    arena_init(&s->first.arena, s->arena.budget);
    for (size_t g = 0; g < s->group_count; g++) {
        if (!fill(s, g, &s->first, err))
            return false;
        if (g == 0 && s->first.count == 0 && !store_select_has_more(&s->groups[0])) {
            s->nothing = true;
            return true;
        }
    }
    return fetch(s, &s->first, err);
}

/* Start fetching the postings of a label that an external label replaces, or that is
 * dropped. */
static bool
fetch_split(struct store_select *s, struct store_value_rows rows, struct err *err)
{
    struct store_select_portion *p = &s->splits[s->split_count++];
    const struct store_select_group every = {0};
    struct filler f = {.source = s->source, .portion = p, .group = &every};
    arena_init(&p->arena, s->arena.budget);
    return store_index_header_scan(s->block->header, rows, scan_value, &f, err) &&
           fetch(s, p, err);
}

static bool
fetch_split_of(struct store_select *s, struct bytes name, struct err *err)
{
    struct store_value_rows rows;
    if (!store_index_header_rows(s->block->header, name, (struct bytes){0}, &rows, err))
        return false;
    return rows.begin == rows.end || fetch_split(s, rows, err);
}

static bool
fetch_splits(struct store_select *s, struct err *err)
{
    const struct tsdb_labels external = s->block->meta.external;
    s->splits =
        arena_calloc(&s->arena, external.len + s->dropped->count, sizeof *s->splits);
    if (s->splits == NULL)
        return arena_ok(&s->arena, err);
    for (size_t i = 0; i < external.len; i++)
        if (!fetch_split_of(s, external.at[i].name, err))
            return false;
    for (size_t i = 0; i < s->dropped->count; i++)
        if (tsdb_labels_get(external, s->dropped->names[i]).len == 0 &&
            !fetch_split_of(s, s->dropped->names[i], err))
            return false;
    return true;
}

/* Take the selection from the cache, if it is there. */
static bool
look_up(struct store_select *s, struct store_matchers matchers, struct err *err)
{
    const struct store_select_question question = {s->block, matchers, s->dropped};
    if (s->source->cache == NULL)
        return true;
    if (!store_select_memo_init(&s->memo, &question, &s->arena, err) ||
        !store_select_memo_get(&s->memo, s->source, &s->arena, &s->known, &s->is_known,
                               err))
        return false;
    return !s->is_known || s->source->limits == NULL ||
           store_limits_add_bytes(s->source->limits, s->memo.bytes, err);
}

static bool
begin(struct store_select *s, struct store_matchers matchers, struct budget *budget,
      struct err *err)
{
    arena_init(&s->arena, budget);
    if (!look_up(s, matchers, err))
        return false;
    if (s->is_known)
        return true;
    if (!store_select_plan(s, matchers.at, matchers.count, err))
        return false;
    if (s->nothing)
        return true;
    return fetch_first(s, err) && (s->nothing || s->is_exact || fetch_splits(s, err));
}

bool
store_select_begin(struct store_select *s, const struct store_block *block,
                   struct store_matchers matchers,
                   const struct store_replica_labels *dropped,
                   struct store_fetch_source *source, struct budget *budget,
                   struct err *err)
{
    *s = (struct store_select){.block = block, .source = source, .dropped = dropped};
    return begin(s, matchers, budget, err);
}

bool
store_select_begin_exact(struct store_select *s, const struct store_block *block,
                         struct store_matchers matchers,
                         struct store_fetch_source *source, struct budget *budget,
                         struct err *err)
{
    *s = (struct store_select){.block = block, .source = source, .is_exact = true};
    return begin(s, matchers, budget, err);
}

uint64_t
store_select_pending(const struct store_select *s)
{
    uint64_t bytes = bytes_of_reads(&s->first.fetch);
    for (size_t i = 0; i < s->split_count; i++)
        bytes += bytes_of_reads(&s->splits[i].fetch);
    return bytes;
}

/* A fetched list, checked. */
static bool
open_list(const struct store_select *s, const struct store_select_portion *p,
          const struct store_piece *piece, struct tsdb_postings *list, struct err *err)
{
    if (!tsdb_postings_parse(list, store_fetch_piece(&p->fetch, piece), err))
        return err_wrap(err, "postings at %" PRIu64 " of %s", piece->offset,
                        s->block->index_key);
    return true;
}

/* Going through the lists of one group, portion by portion. */
struct walk {
    struct store_select *s;
    size_t group;
    struct store_refs *refs; /* of the base */
    size_t cap;              /* its room, while it is put together */
    size_t lists;
    bool *hits; /* NULL: the group is the base */
};

/* Room for more references of the base. What is left behind goes with the arena. */
static bool
reserve(struct walk *w, uint64_t more, struct err *err)
{
    struct arena *arena = &w->s->arena;
    uint64_t count = w->refs->count + more;
    size_t bytes;
    if (count <= w->cap)
        return true;
    if (w->cap > 0)
        count = NUM_MAX(count, (uint64_t)w->cap * 2);
    if (!num_mul((size_t)count, sizeof *w->refs->at, &bytes))
        return err_set(err, ERR_BUDGET, "%" PRIu64 " series references", count);
    tsdb_ref *at = arena_alloc(arena, bytes);
    if (at == NULL)
        return arena_ok(arena, err);
    if (w->refs->count > 0)
        memcpy(at, w->refs->at, w->refs->count * sizeof *at);
    w->refs->at = at;
    w->cap = (size_t)count;
    return true;
}

static bool
take_list(struct walk *w, struct tsdb_postings list, struct err *err)
{
    if (++w->lists % STORE_SELECT_PATIENCE == 0 &&
        !store_fetch_check(w->s->source, err))
        return false;
    if (w->hits != NULL) {
        store_refs_mark(w->refs, list, w->hits, NULL);
        return true;
    }
    if (!reserve(w, tsdb_postings_count(&list), err))
        return false;
    store_refs_append(w->refs, list);
    return true;
}

static bool
take_portion(struct walk *w, const struct store_select_portion *p, struct err *err)
{
    for (size_t i = 0; i < p->count; i++) {
        struct tsdb_postings list;
        if (p->pieces[i].tag != w->group)
            continue;
        if (!open_list(w->s, p, &p->pieces[i], &list, err) || !take_list(w, list, err))
            return false;
    }
    return true;
}

struct turns {
    struct store_select_portion at[2];
};

static void
turns_fini(struct turns *t)
{
    for (size_t i = 0; i < ARRAY_LEN(t->at); i++) {
        drain(&t->at[i]);
        portion_fini(&t->at[i]);
    }
}

static bool
fetch_more(struct walk *w, struct store_select_portion *p, struct err *err)
{
    arena_init(&p->arena, w->s->arena.budget);
    return fill(w->s, w->group, p, err) && fetch(w->s, p, err);
}

static bool
take_group(struct walk *w, struct err *err)
{
    CLEANUP(turns_fini) struct turns turns = {0};
    const struct store_select_group *g = &w->s->groups[w->group];
    unsigned turn = 0;
    bool more = store_select_has_more(g);
    if (more && !fetch_more(w, &turns.at[turn], err))
        return false;
    if (!take_portion(w, &w->s->first, err))
        return false;
    for (; more; turn = !turn) {
        struct store_select_portion *now = &turns.at[turn];
        more = store_select_has_more(g);
        if (more && !fetch_more(w, &turns.at[!turn], err))
            return false;
        if (!store_fetch_wait(&now->fetch, err) || !take_portion(w, now, err))
            return false;
        portion_fini(now);
    }
    return true;
}

/* The base, less what the other groups say. */
static bool
combine(struct store_select *s, struct store_refs *refs, struct err *err)
{
    struct walk base = {.s = s, .refs = refs};
    if (!take_group(&base, err))
        return false;
    /* One list is as it is, for series_batch to see when it is not in order. */
    if (base.lists > 1)
        store_refs_sort(refs);
    for (size_t g = 1; g < s->group_count && refs->count > 0; g++) {
        struct arena_mark mark = arena_mark(&s->arena);
        struct walk walk = {.s = s, .group = g, .refs = refs};
        walk.hits = arena_calloc(&s->arena, refs->count, sizeof *walk.hits);
        if (walk.hits == NULL)
            return arena_ok(&s->arena, err);
        if (!take_group(&walk, err))
            return false;
        store_refs_keep(refs, walk.hits, !s->groups[g].subtract);
        arena_rewind(&s->arena, mark);
    }
    return true;
}

static bool
push_refs(struct store_ref_lists *lists, struct store_refs refs, struct arena *arena,
          struct err *err)
{
    if (refs.count == 0)
        return true;
    struct store_refs *at =
        arena_grow(arena, lists->at, lists->count, &lists->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    lists->at = at;
    lists->at[lists->count++] = refs;
    return true;
}

/* Append what each of the fetched lists takes out of refs, and the rest. */
static bool
split_refs(struct store_select *s, const struct store_select_portion *p,
           struct store_refs refs, struct store_ref_lists *out, struct err *err)
{
    struct arena *arena = &s->arena;
    bool *taken = arena_calloc(arena, refs.count, sizeof *taken);
    if (taken == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < p->count; i++) {
        struct tsdb_postings list;
        struct store_refs part = {0};
        if (!store_fetch_check(s->source, err) ||
            !open_list(s, p, &p->pieces[i], &list, err))
            return false;
        part.at = arena_calloc(arena, NUM_MIN(refs.count, tsdb_postings_count(&list)),
                               sizeof *part.at);
        if (part.at == NULL)
            return arena_ok(arena, err);
        store_refs_mark(&refs, list, taken, &part);
        if (!push_refs(out, part, arena, err))
            return false;
    }
    store_refs_keep(&refs, taken, false);
    return push_refs(out, refs, arena, err);
}

/* Split the parts by the value that their series have for each label that an external
 * label replaces or that is dropped: into one per value that occurs and one for the
 * series without it. */
static bool
split_parts(struct store_select *s, struct store_ref_lists *parts, struct err *err)
{
    for (size_t i = 0; i < s->split_count; i++) {
        struct store_ref_lists out = {0};
        for (size_t k = 0; k < parts->count; k++)
            if (!split_refs(s, &s->splits[i], parts->at[k], &out, err))
                return false;
        portion_fini(&s->splits[i]);
        *parts = out;
    }
    return true;
}

/* Copy what outlives the making of the selection, without what that left behind. */
static bool
give(const struct store_selection *made, struct arena *arena,
     struct store_selection *selection, struct err *err)
{
    struct store_selection to = {.filter_count = made->filter_count};
    to.parts.at = arena_calloc(arena, made->parts.count, sizeof *to.parts.at);
    to.filters = arena_calloc(arena, made->filter_count, sizeof *to.filters);
    if (to.parts.at == NULL || to.filters == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < made->filter_count; i++)
        to.filters[i] = made->filters[i];
    for (size_t i = 0; i < made->parts.count; i++) {
        struct store_refs from = made->parts.at[i];
        struct bytes copy =
            arena_copy(arena, bytes_of(from.at, from.count * sizeof *from.at));
        if (copy.at == NULL)
            return arena_ok(arena, err);
        to.parts.at[to.parts.count++] =
            (struct store_refs){(tsdb_ref *)(uintptr_t)copy.at, from.count};
    }
    *selection = to;
    return true;
}

/* All of them, so that none is cut off when the selection ends early: that would end
 * the query. */
static bool
wait_for_all(struct store_select *s, struct err *err)
{
    bool ok = store_fetch_wait(&s->first.fetch, err);
    for (size_t i = 0; i < s->split_count && ok; i++)
        ok = store_fetch_wait(&s->splits[i].fetch, err);
    return ok;
}

static bool
make(struct store_select *s, struct store_selection *made, struct err *err)
{
    struct store_refs refs = {0};
    if (!wait_for_all(s, err) || !combine(s, &refs, err))
        return false;
    portion_fini(&s->first);
    made->filters = s->filters;
    made->filter_count = s->filter_count;
    return push_refs(&made->parts, refs, &s->arena, err) &&
           split_parts(s, &made->parts, err);
}

bool
store_select_finish(struct store_select *s, struct arena *arena,
                    struct store_selection *selection, struct err *err)
{
    struct store_selection made = {0};
    *selection = made;
    if (s->nothing)
        return true;
    if (s->is_known)
        return give(&s->known, arena, selection, err);
    if (!make(s, &made, err))
        return false;
    store_select_memo_put(&s->memo, s->source, s->arena.budget, &made);
    return give(&made, arena, selection, err);
}

void
store_select_end(struct store_select *s)
{
    const struct store_block *block = s->block;
    drain(&s->first);
    for (size_t i = 0; i < s->split_count; i++)
        drain(&s->splits[i]);
    store_select_fini(s);
    *s = (struct store_select){.block = block, .nothing = true};
}

void
store_select_fini(struct store_select *s)
{
    portion_fini(&s->first);
    for (size_t i = 0; i < s->split_count; i++)
        portion_fini(&s->splits[i]);
    arena_fini(&s->arena);
}
