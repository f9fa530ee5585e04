/* SPDX-License-Identifier: Apache-2.0 */
/* An absent label has the value "". So a matcher that holds for "" cannot be answered
 * by a union of lists alone: it is answered by taking away the series whose value
 * breaks it. Whether a matcher adds or subtracts follows from what it says of "", and
 * from whether another matcher on the same label already demands its presence. */
#include "store/select.h"

#include <stdlib.h>

#include "common/base/num.h"

/* Growable list of pieces in an arena; the arena is rewound with the selection. */
struct piece_list {
    struct arena *arena;
    struct store_piece *at;
    size_t count;
    size_t cap;
};

static bool
push_list(struct piece_list *l, struct store_posting_range range, struct err *err)
{
    struct store_piece *at = arena_grow(l->arena, l->at, l->count, &l->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(l->arena, err);
    l->at = at;
    l->at[l->count++] = (struct store_piece){.offset = range.offset, .len = range.len};
    return true;
}

/* Values and references between two looks at whether the query is still wanted. */
enum { PATIENCE = 4096 };

struct scan {
    const struct store_fetch_source *source;
    struct piece_list *list;
    size_t seen;
    const struct tsdb_matcher *matcher; /* NULL: every value */
    bool wanted;
};

static bool
scan_value(void *arg, struct bytes value, struct store_posting_range range,
           struct err *err)
{
    struct scan *s = arg;
    if (++s->seen % PATIENCE == 0 && !store_fetch_check(s->source, err))
        return false;
    if (s->matcher != NULL && tsdb_matcher_matches(s->matcher, value) != s->wanted)
        return true;
    return push_list(s->list, range, err);
}

static bool
look_up_set(struct store_index_header *header, const struct tsdb_matcher *m,
            struct piece_list *list, struct err *err)
{
    size_t count;
    const struct bytes *values = tsdb_matcher_set(m, &count);
    for (size_t i = 0; i < count; i++) {
        bool found;
        struct store_posting_range range;
        if (values[i].len == 0)
            continue;
        if (!store_index_header_find(header, tsdb_matcher_name(m), values[i], &found,
                                     &range, err))
            return false;
        if (found && !push_list(list, range, err))
            return false;
    }
    return true;
}

/* Lists of all values v of the matcher's label with matches(v) == wanted. */
static bool
collect_lists(const struct store_select *s, const struct tsdb_matcher *m, bool wanted,
              struct piece_list *list, struct err *err)
{
    struct store_index_header *header = s->block->header;
    enum tsdb_matcher_shape shape = tsdb_matcher_shape(m);
    struct scan scan = {
        .source = s->source, .list = list, .matcher = m, .wanted = wanted};
    struct bytes prefix = {0};
    bool positive = wanted != tsdb_matcher_is_negative(m);
    if (positive && shape == TSDB_SHAPE_SET)
        return look_up_set(header, m, list, err);
    if (positive && shape == TSDB_SHAPE_PREFIX)
        prefix = tsdb_matcher_prefix(m);
    if (shape == TSDB_SHAPE_ALL || shape == TSDB_SHAPE_NONEMPTY) {
        if (!positive)
            return true; /* values are never "": none breaks it */
        scan.matcher = NULL;
    }
    return store_index_header_values(header, tsdb_matcher_name(m), prefix, scan_value,
                                     &scan, err);
}

static bool
demands_presence(const struct tsdb_matcher *const *matchers, size_t count,
                 struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_eq(tsdb_matcher_name(matchers[i]), name) &&
            !tsdb_matcher_matches_absent(matchers[i]))
            return true;
    return false;
}

static bool
is_subtracting(const struct tsdb_matcher *const *matchers, size_t count,
               const struct tsdb_matcher *m)
{
    return !demands_presence(matchers, count, tsdb_matcher_name(m)) ||
           (tsdb_matcher_is_negative(m) && tsdb_matcher_matches_absent(m));
}

static bool
plan_group(struct store_select *s, const struct tsdb_matcher *m, bool subtract,
           struct err *err)
{
    struct piece_list list = {.arena = &s->arena};
    if (!store_fetch_check(s->source, err) ||
        !collect_lists(s, m, !subtract, &list, err))
        return false;
    if (subtract && list.count == 0)
        return true;
    if (!subtract && list.count == 0)
        s->nothing = true;
    s->groups[s->group_count++] = (struct store_select_group){
        .subtract = subtract, .count = list.count, .lists = list.at};
    s->piece_count += list.count;
    return true;
}

static bool
plan_all_series(struct store_select *s, struct err *err)
{
    struct piece_list list = {.arena = &s->arena};
    if (!push_list(&list, store_index_header_all(s->block->header), err))
        return false;
    s->groups[s->group_count++] =
        (struct store_select_group){.count = 1, .lists = list.at};
    s->piece_count++;
    return true;
}

static bool
plan_groups(struct store_select *s, const struct tsdb_matcher *const *matchers,
            size_t count, struct err *err)
{
    size_t adding = 0;
    s->groups = arena_calloc(&s->arena, count + 1, sizeof *s->groups);
    if (s->groups == NULL)
        return arena_ok(&s->arena, err);
    for (size_t i = 0; i < count && !s->nothing; i++) {
        bool subtract = is_subtracting(matchers, count, matchers[i]);
        adding += !subtract;
        if (!plan_group(s, matchers[i], subtract, err))
            return false;
    }
    return s->nothing || adding > 0 || plan_all_series(s, err);
}

static int
by_offset(const void *a, const void *b)
{
    const struct store_piece *x = a;
    const struct store_piece *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Fetch the lists of all groups in one plan, ordered by offset; groups then find theirs
 * by offset again. */
static bool
start_fetch(struct store_select *s, struct err *err)
{
    s->pieces = arena_calloc(&s->arena, s->piece_count, sizeof *s->pieces);
    if (s->pieces == NULL)
        return arena_ok(&s->arena, err);
    size_t n = 0;
    for (size_t g = 0; g < s->group_count; g++) {
        memcpy(s->pieces + n, s->groups[g].lists,
               s->groups[g].count * sizeof *s->pieces);
        n += s->groups[g].count;
    }
    qsort(s->pieces, n, sizeof *s->pieces, by_offset);
    const char *const *keys = (const char *const *)&s->block->index_key;
    return store_fetch_start(&s->fetch, s->source, keys, s->pieces, n, &s->arena, err);
}

bool
store_select_begin(struct store_select *s, const struct store_block *block,
                   const struct tsdb_matcher *const *matchers, size_t count,
                   struct store_fetch_source *source, struct budget *budget,
                   struct err *err)
{
    *s = (struct store_select){.block = block, .source = source};
    arena_init(&s->arena, budget);
    if (!plan_groups(s, matchers, count, err))
        return false;
    return s->nothing || start_fetch(s, err);
}

/* The fetched list that stands at a group's piece, checked. */
static bool
open_list(struct store_select *s, const struct store_piece *wanted,
          struct tsdb_postings *list, struct err *err)
{
    const struct store_piece *piece =
        bsearch(wanted, s->pieces, s->piece_count, sizeof *s->pieces, by_offset);
    struct bytes section = store_fetch_piece(&s->fetch, piece);
    if (!tsdb_postings_parse(list, section, err))
        return err_wrap(err, "postings at %llu of %s",
                        (unsigned long long)piece->offset, s->block->index_key);
    return true;
}

/* Sort n big-endian references: least significant byte first, between at and spare of
 * the same size. */
static void
sort_refs(uint8_t *at, uint8_t *spare, size_t n)
{
    for (size_t byte = sizeof(tsdb_ref); byte-- > 0;) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < n; i++)
            starts[at[i * sizeof(tsdb_ref) + byte] + 1]++;
        for (size_t i = 1; i < 257; i++)
            starts[i] += starts[i - 1];
        for (size_t i = 0; i < n; i++) {
            const uint8_t *from = at + i * sizeof(tsdb_ref);
            memcpy(spare + starts[from[byte]]++ * sizeof(tsdb_ref), from,
                   sizeof(tsdb_ref));
        }
        uint8_t *swap = at;
        at = spare;
        spare = swap;
    }
}

/* The union of a group's lists. One list is used where it lies; several are laid
 * together and sorted: the values of one label share no
 * series, so nothing is there twice. */
static bool
open_group(struct store_select *s, const struct store_select_group *group,
           struct tsdb_postings *out, struct err *err)
{
    if (group->count == 1)
        return open_list(s, &group->lists[0], out, err);
    struct tsdb_postings *lists = arena_calloc(&s->arena, group->count, sizeof *lists);
    if (lists == NULL)
        return arena_ok(&s->arena, err);
    size_t total = 0;
    for (size_t i = 0; i < group->count; i++) {
        if (!open_list(s, &group->lists[i], &lists[i], err))
            return false;
        total += lists[i].rest.len;
    }
    uint8_t *all = arena_alloc(&s->arena, total);
    uint8_t *spare = arena_alloc(&s->arena, total);
    if (all == NULL || spare == NULL)
        return arena_ok(&s->arena, err);
    size_t at = 0;
    for (size_t i = 0; i < group->count; i++) {
        if (lists[i].rest.len > 0)
            memcpy(all + at, lists[i].rest.at, lists[i].rest.len);
        at += lists[i].rest.len;
    }
    sort_refs(all, spare, total / sizeof(tsdb_ref));
    out->rest = bytes_of(all, total);
    return true;
}

/* A group while it is walked: its current reference and what is left. */
struct walker {
    struct tsdb_postings rest;
    bool subtract;
    bool ended;
    tsdb_ref at;
};

/* Step w to the first reference >= ref; whether that is ref itself. */
static bool
reaches(struct walker *w, tsdb_ref ref)
{
    if (!w->ended && w->at < ref && !tsdb_postings_next(&w->rest, ref, &w->at))
        w->ended = true;
    return !w->ended && w->at == ref;
}

/* Walk the smallest adding group and ask the others for each of its references. */
static bool
combine(const struct store_select *s, struct walker *walkers, size_t smallest,
        struct store_refs *refs, struct err *err)
{
    struct tsdb_postings base = walkers[smallest].rest;
    tsdb_ref ref = 0;
    for (size_t seen = 1; tsdb_postings_next(&base, 0, &ref); seen++) {
        bool keep = true;
        if (seen % PATIENCE == 0 && !store_fetch_check(s->source, err))
            return false;
        for (size_t i = 0; i < s->group_count && keep; i++)
            keep = i == smallest || reaches(&walkers[i], ref) != walkers[i].subtract;
        if (keep)
            refs->at[refs->count++] = ref;
    }
    return true;
}

static bool
combine_groups(struct store_select *s, struct arena *arena, struct store_refs *refs,
               struct err *err)
{
    struct walker *walkers = arena_calloc(&s->arena, s->group_count, sizeof *walkers);
    if (walkers == NULL)
        return arena_ok(&s->arena, err);
    size_t smallest = SIZE_MAX;
    for (size_t i = 0; i < s->group_count; i++) {
        walkers[i].subtract = s->groups[i].subtract;
        if (!open_group(s, &s->groups[i], &walkers[i].rest, err))
            return false;
        if (!walkers[i].subtract &&
            (smallest == SIZE_MAX ||
             walkers[i].rest.rest.len < walkers[smallest].rest.rest.len))
            smallest = i;
    }
    refs->at = arena_calloc(arena, tsdb_postings_count(&walkers[smallest].rest),
                            sizeof *refs->at);
    if (refs->at == NULL)
        return arena_ok(arena, err);
    return combine(s, walkers, smallest, refs, err);
}

bool
store_select_finish(struct store_select *s, struct arena *arena,
                    struct store_refs *refs, struct err *err)
{
    *refs = (struct store_refs){0};
    if (s->nothing)
        return true;
    return store_fetch_wait(&s->fetch, err) && combine_groups(s, arena, refs, err);
}

void
store_select_fini(struct store_select *s)
{
    store_fetch_fini(&s->fetch);
    arena_fini(&s->arena);
}

/* Position of the first of refs from begin on that is not below ref. */
static size_t
first_not_below(const struct store_refs *refs, size_t begin, tsdb_ref ref)
{
    size_t end = refs->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (refs->at[middle] < ref)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* Copy the references that refs and list share into a new array of arena, and note
 * their positions in refs. O(shorter * log longer): there may be a list per series. */
static bool
extract(const struct store_refs *refs, struct tsdb_postings list, bool *taken,
        struct arena *arena, struct store_refs *out, struct err *err)
{
    tsdb_ref ref;
    size_t most = NUM_MIN(refs->count, tsdb_postings_count(&list));
    *out = (struct store_refs){.at = arena_calloc(arena, most, sizeof *out->at)};
    if (out->at == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0;
         i < refs->count && tsdb_postings_next(&list, refs->at[i], &ref);) {
        i = first_not_below(refs, i, ref);
        if (i == refs->count || refs->at[i] != ref)
            continue;
        out->at[out->count++] = ref;
        taken[i++] = true;
    }
    return true;
}

static bool
push_refs(struct store_ref_lists *lists, struct store_refs refs, struct arena *arena,
          struct err *err)
{
    struct store_refs *at =
        arena_grow(arena, lists->at, lists->count, &lists->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    lists->at = at;
    if (refs.count > 0)
        lists->at[lists->count++] = refs;
    return true;
}

static void
drop_taken(struct store_refs *refs, const bool *taken)
{
    size_t kept = 0;
    for (size_t i = 0; i < refs->count; i++)
        if (!taken[i])
            refs->at[kept++] = refs->at[i];
    refs->count = kept;
}

/* Append what each fetched list takes out of refs, and the rest. */
static bool
split_refs(struct store_select *s, struct store_refs refs, struct arena *arena,
           struct store_ref_lists *out, struct err *err)
{
    bool *taken = arena_calloc(&s->arena, refs.count, sizeof *taken);
    if (taken == NULL)
        return arena_ok(&s->arena, err);
    for (size_t i = 0; i < s->piece_count; i++) {
        struct tsdb_postings list;
        struct store_refs part;
        if (!store_fetch_check(s->source, err) ||
            !open_list(s, &s->pieces[i], &list, err) ||
            !extract(&refs, list, taken, arena, &part, err) ||
            !push_refs(out, part, arena, err))
            return false;
    }
    drop_taken(&refs, taken);
    return push_refs(out, refs, arena, err);
}

bool
store_select_split(const struct store_block *block, struct bytes name,
                   struct store_fetch_source *source, struct arena *arena,
                   struct store_ref_lists *lists, struct err *err)
{
    CLEANUP(store_select_fini)
    struct store_select s = {.block = block, .source = source};
    arena_init(&s.arena, arena->budget);
    struct piece_list list = {.arena = &s.arena};
    struct scan scan = {.source = source, .list = &list};
    if (!store_index_header_values(block->header, name, (struct bytes){0}, scan_value,
                                   &scan, err))
        return false;
    s.piece_count = list.count;
    s.group_count = 1;
    s.groups = &(struct store_select_group){.count = list.count, .lists = list.at};
    if (list.count > 0 && (!start_fetch(&s, err) || !store_fetch_wait(&s.fetch, err)))
        return false;
    struct store_ref_lists out = {0};
    for (size_t i = 0; i < lists->count; i++)
        if (!split_refs(&s, lists->at[i], arena, &out, err))
            return false;
    *lists = out;
    return true;
}
