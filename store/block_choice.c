/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_choice.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"

static const struct store_time_range all_time[] = {{INT64_MIN, INT64_MAX}};

/* Ranges that parts are slices of. */
struct store_owned_ranges {
    struct store_owned_ranges *next;
    struct store_time_range at[];
};

/* Blocks of the same external labels: by resolution, in each by time. */
struct group {
    struct store_block *const *blocks[STORE_RESOLUTION_COUNT];
    size_t counts[STORE_RESOLUTION_COUNT];
};

/* The choice in one group: what the blocks looked at so far do not answer. */
struct filling {
    struct store_block_plan *plan;
    struct store_block_choice *choice;
    struct store_time_range *holes; /* owned */
    size_t hole_count;
};

int
store_block_by_time(const void *a, const void *b)
{
    const struct store_block *const *x = a, *const *y = b;
    int64_t m = (*x)->meta.mint_ms, n = (*y)->meta.mint_ms;
    int order = (m > n) - (m < n);
    return order != 0 ? order : tsdb_ulid_cmp(&(*x)->id, &(*y)->id);
}

static int
by_group(const void *a, const void *b)
{
    const struct store_block *const *x = a, *const *y = b;
    int64_t m = (*x)->meta.resolution_ms, n = (*y)->meta.resolution_ms;
    int order = tsdb_labels_cmp((*x)->meta.external, (*y)->meta.external);
    if (order == 0)
        order = (m > n) - (m < n);
    return order != 0 ? order : store_block_by_time(a, b);
}

static int64_t
used_from(const struct store_chosen_block *b)
{
    return NUM_MAX(b->block->meta.mint_ms, b->parts.at[0].mint_ms);
}

static int
by_use(const void *a, const void *b)
{
    const struct store_chosen_block *x = a, *y = b;
    int64_t m = used_from(x), n = used_from(y);
    int order = (m > n) - (m < n);
    return order != 0 ? order : tsdb_ulid_cmp(&x->block->id, &y->block->id);
}

/* Append a hole; one that touches the last one becomes a part of it. */
static void
add_hole(struct store_time_range *holes, size_t *count, int64_t mint_ms,
         int64_t maxt_ms)
{
    if (mint_ms > maxt_ms)
        return;
    if (*count > 0 && holes[*count - 1].maxt_ms == mint_ms - 1)
        holes[*count - 1].maxt_ms = maxt_ms;
    else
        holes[(*count)++] = (struct store_time_range){mint_ms, maxt_ms};
}

/* A sample of a downsampled block stands for all of its window and is dated at its end,
 * so it is of use in a hole that begins no later than the window. Yields whether the
 * hole has room for a window, and where the first one begins. */
static bool
find_window(const struct store_time_range *hole, int64_t window_ms, int64_t *from_ms)
{
    *from_ms = hole->mint_ms;
    if (window_ms == 0 || hole->mint_ms == INT64_MIN)
        return true;
    int64_t behind_ms = hole->mint_ms % window_ms, last_ms;
    if (behind_ms < 0)
        behind_ms += window_ms;
    return (behind_ms == 0 || num_add(hole->mint_ms, window_ms - behind_ms, from_ms)) &&
           num_add(*from_ms, window_ms - 1, &last_ms) && last_ms <= hole->maxt_ms;
}

/* What of the holes blocks of a resolution can fill. */
static struct store_time_ranges
find_fillable(struct filling *f, enum store_resolution resolution)
{
    struct store_owned_ranges *r =
        xcalloc(1, sizeof *r + f->hole_count * sizeof *r->at);
    size_t count = 0;
    int64_t from_ms;
    r->next = f->plan->owned;
    f->plan->owned = r;
    for (size_t i = 0; i < f->hole_count; i++)
        if (find_window(&f->holes[i], store_resolution_ms(resolution), &from_ms))
            add_hole(r->at, &count, from_ms, f->holes[i].maxt_ms);
    return (struct store_time_ranges){r->at, count};
}

/* The ranges that overlap another one. */
static struct store_time_ranges
slice(struct store_time_ranges ranges, int64_t mint_ms, int64_t maxt_ms)
{
    size_t first = store_time_ranges_find(ranges, mint_ms), end = first;
    while (end < ranges.count && ranges.at[end].mint_ms <= maxt_ms)
        end++;
    return (struct store_time_ranges){ranges.at + first, end - first};
}

/* Blocks of the group that are used for what they can fill, by mint_ms. */
static size_t
use_blocks(struct filling *f, const struct group *g, enum store_resolution resolution,
           struct store_time_ranges fillable)
{
    size_t before = f->choice->count;
    for (size_t i = 0; i < g->counts[resolution]; i++) {
        struct store_block *b = g->blocks[resolution][i];
        if (b->meta.mint_ms == b->meta.maxt_ms)
            continue;
        struct store_time_ranges parts =
            slice(fillable, b->meta.mint_ms, b->meta.maxt_ms - 1);
        if (parts.count > 0)
            f->choice->at[f->choice->count++] = (struct store_chosen_block){b, parts};
    }
    return f->choice->count - before;
}

/* A walk over used blocks, by mint_ms. */
struct covering {
    const struct store_chosen_block *next;
    const struct store_chosen_block *end;
    int64_t until_ms; /* all before is answered, or is no hole */
};

/* What the blocks leave of a range, which is behind all before it. */
static void
add_left(struct store_time_range *left, size_t *count, struct covering *c,
         const struct store_time_range *range)
{
    c->until_ms = NUM_MAX(c->until_ms, range->mint_ms);
    for (; c->next < c->end; c->next++) {
        const struct store_block_meta *m = &c->next->block->meta;
        if (m->mint_ms > range->maxt_ms)
            break;
        if (m->mint_ms > c->until_ms)
            add_hole(left, count, c->until_ms, m->mint_ms - 1);
        c->until_ms = NUM_MAX(c->until_ms, m->maxt_ms);
    }
    add_hole(left, count, c->until_ms, range->maxt_ms);
}

/* Each range that was fillable is the end of a hole. */
static void
shrink_holes(struct filling *f, struct store_time_ranges fillable, struct covering c)
{
    size_t used = (size_t)(c.end - c.next), count = 0, k = 0;
    struct store_time_range *left = xcalloc(2 * f->hole_count + used, sizeof *left);
    for (size_t i = 0; i < f->hole_count; i++) {
        const struct store_time_range *hole = &f->holes[i];
        if (k == fillable.count || fillable.at[k].mint_ms > hole->maxt_ms) {
            add_hole(left, &count, hole->mint_ms, hole->maxt_ms);
            continue;
        }
        if (fillable.at[k].mint_ms > hole->mint_ms)
            add_hole(left, &count, hole->mint_ms, fillable.at[k].mint_ms - 1);
        add_left(left, &count, &c, &fillable.at[k++]);
    }
    free(f->holes);
    f->holes = left;
    f->hole_count = count;
}

static void
fill_from(struct filling *f, const struct group *g, enum store_resolution resolution)
{
    if (g->counts[resolution] == 0 || f->hole_count == 0)
        return;
    struct store_time_ranges fillable = find_fillable(f, resolution);
    size_t used = use_blocks(f, g, resolution, fillable);
    const struct store_chosen_block *end = f->choice->at + f->choice->count;
    if (used > 0)
        shrink_holes(f, fillable, (struct covering){end - used, end, INT64_MIN});
}

/* From the coarsest resolution that a query can use to the finest, then the coarser
 * ones. */
static void
plan_group(struct store_block_plan *p, const struct group *g, unsigned coarsest)
{
    struct filling f = {.plan = p, .choice = &p->by_coarsest[coarsest]};
    f.holes = xcalloc(1, sizeof *f.holes);
    f.holes[f.hole_count++] = STORE_ALL_TIME;
    for (unsigned r = coarsest + 1; r-- > STORE_RESOLUTION_RAW;)
        fill_from(&f, g, (enum store_resolution)r);
    for (unsigned r = coarsest + 1; r < STORE_RESOLUTION_COUNT; r++)
        fill_from(&f, g, (enum store_resolution)r);
    free(f.holes);
}

/* The blocks from the first on that have its external labels; returns how many. */
static size_t
take_group(struct group *g, struct store_block *const *blocks, size_t count)
{
    size_t n = 0;
    *g = (struct group){0};
    while (n < count &&
           tsdb_labels_cmp(blocks[0]->meta.external, blocks[n]->meta.external) == 0) {
        enum store_resolution r =
            store_resolution_within(blocks[n]->meta.resolution_ms);
        if (g->counts[r]++ == 0)
            g->blocks[r] = &blocks[n];
        n++;
    }
    return n;
}

/* Choose all, whole. */
static void
choose_all(struct store_block_choice *c, struct store_block *const *blocks,
           size_t count)
{
    for (size_t i = 0; i < count; i++)
        c->at[c->count++] =
            (struct store_chosen_block){blocks[i], {all_time, ARRAY_LEN(all_time)}};
}

static void
plan_groups(struct store_block_plan *p, struct store_block *const *sorted, size_t count)
{
    struct group g;
    for (size_t i = 0, n; i < count; i += n) {
        n = take_group(&g, sorted + i, count - i);
        bool is_mixed =
            sorted[i]->meta.resolution_ms != sorted[i + n - 1]->meta.resolution_ms;
        for (unsigned r = 0; r < STORE_RESOLUTION_COUNT; r++) {
            if (is_mixed)
                plan_group(p, &g, r);
            else
                choose_all(&p->by_coarsest[r], sorted + i, n);
        }
    }
}

static bool
are_raw(struct store_block *const *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (blocks[i]->meta.resolution_ms != 0)
            return false;
    return true;
}

void
store_block_plan_init(struct store_block_plan *p, struct store_block *const *blocks,
                      size_t count)
{
    *p = (struct store_block_plan){0};
    struct store_block_choice *by = p->by_coarsest;
    by[0].at = xcalloc(count + 1, sizeof *by[0].at);
    if (are_raw(blocks, count)) {
        choose_all(&by[0], blocks, count);
        for (size_t r = 1; r < STORE_RESOLUTION_COUNT; r++)
            by[r] = by[0];
        return;
    }
    for (size_t r = 1; r < STORE_RESOLUTION_COUNT; r++)
        by[r].at = xcalloc(count + 1, sizeof *by[r].at);
    CLEANUP(xfree)
    struct store_block **sorted = xcalloc(count, sizeof(struct store_block *));
    memcpy(sorted, blocks, count * sizeof(struct store_block *));
    qsort(sorted, count, sizeof(struct store_block *), by_group);
    plan_groups(p, sorted, count);
    for (size_t r = 0; r < STORE_RESOLUTION_COUNT; r++)
        qsort(by[r].at, by[r].count, sizeof *by[r].at, by_use);
}

void
store_block_plan_fini(struct store_block_plan *p)
{
    for (size_t r = 1; r < STORE_RESOLUTION_COUNT; r++)
        if (p->by_coarsest[r].at != p->by_coarsest[0].at)
            free(p->by_coarsest[r].at);
    free(p->by_coarsest[0].at);
    while (p->owned != NULL) {
        struct store_owned_ranges *next = p->owned->next;
        free(p->owned);
        p->owned = next;
    }
}

struct store_time_range
store_chosen_block_reach(const struct store_chosen_block *b,
                         struct store_time_range range)
{
    return (struct store_time_range){
        NUM_MAX(range.mint_ms, b->parts.at[0].mint_ms),
        NUM_MIN(range.maxt_ms, b->parts.at[b->parts.count - 1].maxt_ms)};
}

/* The part of a planned block that answers the range; false: none does. */
static bool
ask(const struct store_chosen_block *planned, struct store_time_range range,
    struct store_chosen_block *chosen)
{
    const struct store_block_meta *m = &planned->block->meta;
    if (!store_block_overlaps(planned->block, range.mint_ms, range.maxt_ms))
        return false;
    *chosen = (struct store_chosen_block){
        planned->block, slice(planned->parts, NUM_MAX(range.mint_ms, m->mint_ms),
                              NUM_MIN(range.maxt_ms, m->maxt_ms - 1))};
    return chosen->parts.count > 0;
}

static size_t
count_overlapping(const struct store_block_choice *planned,
                  struct store_time_range range)
{
    size_t count = 0;
    for (size_t i = 0; i < planned->count; i++)
        count +=
            store_block_overlaps(planned->at[i].block, range.mint_ms, range.maxt_ms);
    return count;
}

bool
store_block_choose(struct store_block_choice *c, const struct store_block_plan *plan,
                   const struct store_block_question *question, struct arena *arena,
                   struct err *err)
{
    const struct store_block_choice *planned = &plan->by_coarsest[question->coarsest];
    size_t most = count_overlapping(planned, question->range);
    *c = (struct store_block_choice){arena_alloc(arena, most * sizeof *c->at), 0};
    if (c->at == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < planned->count; i++)
        if (ask(&planned->at[i], question->range, &c->at[c->count]))
            c->count++;
    return true;
}
