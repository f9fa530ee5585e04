/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_filter.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "store/resolution.h"

/* How duplicates are found. After a compaction the bucket holds a block and those that
 * it was made of. Inside a stream (same resolution, same external labels) blocks are
 * looked at from the one with most sources down, so that a block can only be contained
 * in one that came before. Which those are tells a table of all (source, block) pairs:
 * a block that contains another is found under the other's first source, and the same
 * table answers whether it has the rest of the sources. */

/* Blocks of one stream, the largest first. */
struct stream {
    struct store_candidate **at;
    size_t len;
};

/* A source of the candidate that stands at position in its stream. */
struct pair {
    struct tsdb_ulid source;
    size_t position;
};

struct pairs {
    struct pair *at;
    size_t len;
};

/* One from a future that is further away says only that some clock is wrong: who hid it
 * would hide all blocks when the clock is set back. */
static bool
is_fresh(int64_t born_ms, int64_t delay_ms, int64_t now_ms)
{
    return born_ms > now_ms - delay_ms && born_ms < now_ms + delay_ms;
}

static enum store_block_state
judge(const struct store_candidate *c, const struct store_block_rules *r,
      int64_t now_ms)
{
    const struct store_block_meta *m = c->meta;
    enum store_resolution resolution;
    int64_t born_ms =
        m->upload_time_ms != INT64_MIN ? m->upload_time_ms : tsdb_ulid_time_ms(&c->id);
    if (!store_resolution_find(m->resolution_ms, &resolution) ||
        m->resolution_ms > r->max_resolution_ms)
        return STORE_BLOCK_DOWNSAMPLED;
    if (m->maxt_ms < r->mint_ms || m->mint_ms > r->maxt_ms)
        return STORE_BLOCK_OUTSIDE;
    if (!store_relabel_keeps(r->selector, m->external, &c->id))
        return STORE_BLOCK_UNSELECTED;
    if (!m->is_rewrite && is_fresh(born_ms, r->consistency_delay_ms, now_ms))
        return STORE_BLOCK_FRESH;
    if (c->marked_ms < now_ms - r->deletion_delay_ms)
        return STORE_BLOCK_MARKED;
    return STORE_BLOCK_SERVED;
}

static int
by_stream(const struct store_candidate *x, const struct store_candidate *y)
{
    int order = (x->meta->resolution_ms > y->meta->resolution_ms) -
                (x->meta->resolution_ms < y->meta->resolution_ms);
    return order != 0 ? order : tsdb_labels_cmp(x->meta->external, y->meta->external);
}

/* By stream, most sources first, then oldest name. */
static int
by_rank(const void *a, const void *b)
{
    const struct store_candidate *const *x = a, *const *y = b;
    size_t m = (*x)->meta->source_count, n = (*y)->meta->source_count;
    int order = by_stream(*x, *y);
    if (order == 0)
        order = (m < n) - (m > n);
    return order != 0 ? order : tsdb_ulid_cmp(&(*x)->id, &(*y)->id);
}

static int
by_source(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = tsdb_ulid_cmp(&x->source, &y->source);
    return order != 0 ? order
                      : (x->position > y->position) - (x->position < y->position);
}

static struct pairs
pairs_new(const struct stream *s)
{
    struct pairs p = {0};
    size_t len = 0;
    for (size_t i = 0; i < s->len; i++)
        len += s->at[i]->meta->source_count;
    p.at = xcalloc(len + 1, sizeof *p.at);
    for (size_t i = 0; i < s->len; i++)
        for (size_t k = 0; k < s->at[i]->meta->source_count; k++)
            p.at[p.len++] = (struct pair){s->at[i]->meta->sources[k], i};
    qsort(p.at, p.len, sizeof *p.at, by_source);
    return p;
}

/* Position of the first pair that is not below. */
static size_t
pairs_find(const struct pairs *p, const struct pair *wanted)
{
    size_t begin = 0, end = p->len;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (by_source(&p->at[middle], wanted) < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

static bool
has_source(const struct pairs *p, const struct tsdb_ulid *source, size_t position)
{
    struct pair wanted = {*source, position};
    size_t i = pairs_find(p, &wanted);
    return i < p->len && by_source(&p->at[i], &wanted) == 0;
}

static bool
has_all_sources(const struct pairs *p, const struct store_block_meta *m,
                size_t position)
{
    for (size_t i = 0; i < m->source_count; i++)
        if (!has_source(p, &m->sources[i], position))
            return false;
    return true;
}

/* Whether a block of the stream that stands before position, and is served, has all
 * sources of the one there. */
static bool
is_contained(const struct stream *s, const struct pairs *p, size_t position)
{
    const struct store_block_meta *m = s->at[position]->meta;
    if (m->source_count == 0)
        return position > 0;
    struct pair first = {m->sources[0], 0};
    for (size_t i = pairs_find(p, &first); i < p->len; i++) {
        size_t other = p->at[i].position;
        if (other >= position || tsdb_ulid_cmp(&p->at[i].source, &m->sources[0]) != 0)
            return false;
        if (s->at[other]->state == STORE_BLOCK_SERVED && has_all_sources(p, m, other))
            return true;
    }
    return false;
}

static void
drop_duplicates(const struct stream *s)
{
    struct pairs p = pairs_new(s);
    for (size_t i = 1; i < s->len; i++)
        if (is_contained(s, &p, i))
            s->at[i]->state = STORE_BLOCK_DUPLICATE;
    free(p.at);
}

void
store_block_filter(struct store_candidate *candidates, size_t count,
                   const struct store_block_rules *rules, int64_t now_ms)
{
    CLEANUP(xfree) struct store_candidate **left = xcalloc(count + 1, sizeof *left);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        candidates[i].state = judge(&candidates[i], rules, now_ms);
        if (candidates[i].state == STORE_BLOCK_SERVED)
            left[len++] = &candidates[i];
    }
    qsort(left, len, sizeof *left, by_rank);
    struct stream s = {.at = left};
    for (; s.at < left + len; s.at += s.len) {
        for (s.len = 1; s.at + s.len < left + len; s.len++)
            if (by_stream(s.at[0], s.at[s.len]) != 0)
                break;
        drop_duplicates(&s);
    }
}
