/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_choice.h"

#include <stdlib.h>

#include "common/base/num.h"

static const struct store_time_range all_time[] = {{INT64_MIN, INT64_MAX}};

/* A choice inside one group: what its blocks have not answered yet. The ranges of
 * chosen blocks are slices of the holes of their time, which are never changed. */
struct filling {
    const struct store_block_question *question;
    struct store_block_choice *choice;
    struct store_time_ranges holes;
    struct arena *arena;
};

static bool
is_asked(const struct store_block *b, const struct store_block_question *q)
{
    return store_block_overlaps(b, q->range.mint_ms, q->range.maxt_ms);
}

struct store_time_range
store_chosen_block_reach(const struct store_chosen_block *b,
                         struct store_time_range query)
{
    return (struct store_time_range){
        NUM_MAX(query.mint_ms, b->parts.at[0].mint_ms),
        NUM_MIN(query.maxt_ms, b->parts.at[b->parts.count - 1].maxt_ms)};
}

/* Use a block for the holes that it overlaps. */
static void
use(struct filling *f, const struct store_block *b)
{
    int64_t mint_ms = NUM_MAX(b->meta.mint_ms, f->question->range.mint_ms);
    int64_t maxt_ms = NUM_MIN(b->meta.maxt_ms - 1, f->question->range.maxt_ms);
    size_t first = store_time_ranges_find(f->holes, mint_ms), end = first;
    while (end < f->holes.count && f->holes.at[end].mint_ms <= maxt_ms)
        end++;
    if (first < end && mint_ms <= maxt_ms)
        f->choice->at[f->choice->count++] =
            (struct store_chosen_block){b, {f->holes.at + first, end - first}};
}

static void
add_hole(struct store_time_range *holes, size_t *count, int64_t mint_ms,
         int64_t maxt_ms)
{
    if (mint_ms <= maxt_ms)
        holes[(*count)++] = (struct store_time_range){mint_ms, maxt_ms};
}

/* The holes that are left behind blocks which were chosen for them, by mint_ms. */
static bool
shrink_holes(struct filling *f, const struct store_chosen_block *chosen, size_t count,
             struct err *err)
{
    struct store_time_range *left =
        arena_alloc(f->arena, (f->holes.count + count) * sizeof *left);
    int64_t from_ms = INT64_MIN; /* until here all is covered or no hole */
    size_t n = 0, k = 0;
    if (left == NULL)
        return arena_ok(f->arena, err);
    for (size_t i = 0; i < f->holes.count; i++) {
        const struct store_time_range *hole = &f->holes.at[i];
        from_ms = NUM_MAX(from_ms, hole->mint_ms);
        for (; k < count && chosen[k].block->meta.mint_ms <= hole->maxt_ms; k++) {
            const struct store_block_meta *m = &chosen[k].block->meta;
            if (m->mint_ms > from_ms)
                add_hole(left, &n, from_ms, m->mint_ms - 1);
            from_ms = NUM_MAX(from_ms, m->maxt_ms);
        }
        add_hole(left, &n, from_ms, hole->maxt_ms);
    }
    f->holes = (struct store_time_ranges){left, n};
    return true;
}

static bool
fill_from(struct filling *f, const struct store_block_group *g,
          enum store_resolution resolution, struct err *err)
{
    size_t before = f->choice->count;
    for (size_t i = 0; i < g->counts[resolution]; i++)
        if (is_asked(g->blocks[resolution][i], f->question))
            use(f, g->blocks[resolution][i]);
    size_t chosen = f->choice->count - before;
    return chosen == 0 || shrink_holes(f, f->choice->at + before, chosen, err);
}

/* From the coarsest that the query can use to the finest, then the coarser ones. */
static bool
choose_in(struct filling *f, const struct store_block_group *g, struct err *err)
{
    unsigned coarsest = f->question->coarsest;
    f->holes = (struct store_time_ranges){all_time, ARRAY_LEN(all_time)};
    for (unsigned r = coarsest + 1; r-- > STORE_RESOLUTION_RAW;)
        if (!fill_from(f, g, (enum store_resolution)r, err))
            return false;
    for (unsigned r = coarsest + 1; r < STORE_RESOLUTION_COUNT; r++)
        if (!fill_from(f, g, (enum store_resolution)r, err))
            return false;
    return true;
}

/* At most so many blocks are chosen. */
static size_t
count_asked(const struct store_block_set *set, const struct store_block_question *q)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += is_asked(set->blocks[i], q);
    return count;
}

static int
by_time(const void *a, const void *b)
{
    const struct store_chosen_block *x = a, *y = b;
    int64_t m = NUM_MAX(x->block->meta.mint_ms, x->parts.at[0].mint_ms);
    int64_t n = NUM_MAX(y->block->meta.mint_ms, y->parts.at[0].mint_ms);
    int order = (m > n) - (m < n);
    return order != 0 ? order : tsdb_ulid_cmp(&x->block->id, &y->block->id);
}

bool
store_block_choose(struct store_block_choice *c, const struct store_block_set *set,
                   const struct store_block_question *question, struct arena *arena,
                   struct err *err)
{
    const struct store_block_groups *g = &set->groups;
    struct filling f = {.question = question, .choice = c, .arena = arena};
    *c = (struct store_block_choice){
        arena_alloc(arena, count_asked(set, question) * sizeof *c->at), 0};
    if (c->at == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < g->plain_count; i++)
        if (is_asked(g->plain[i], question))
            c->at[c->count++] = (struct store_chosen_block){
                g->plain[i], {all_time, ARRAY_LEN(all_time)}};
    size_t plain = c->count;
    for (size_t i = 0; i < g->count; i++)
        if (!choose_in(&f, &g->at[i], err))
            return false;
    if (c->count > plain)
        qsort(c->at, c->count, sizeof *c->at, by_time);
    return true;
}
