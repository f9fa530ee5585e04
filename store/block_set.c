/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_set.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"

struct store_block_set *
store_block_set_new(struct store_block **blocks, size_t count)
{
    struct store_block_set *s = xcalloc(1, sizeof *s);
    s->count = count;
    s->blocks = blocks;
    if (count > 0)
        qsort(blocks, count, sizeof *blocks, store_block_by_time);
    store_block_plan_init(&s->plan, blocks, count);
    atomic_init(&s->references, 1);
    return s;
}

struct store_block_set *
store_block_set_ref(struct store_block_set *s)
{
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void
store_block_set_unref(struct store_block_set **out)
{
    struct store_block_set *s = TAKE(*out);
    if (s == NULL || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    for (size_t i = 0; i < s->count; i++)
        store_block_unref(&s->blocks[i]);
    store_block_plan_fini(&s->plan);
    free(s->blocks);
    free(s);
}

static bool
replaces(const struct store_block *b, const struct store_block *gone)
{
    const struct store_block_meta *m = &b->meta, *g = &gone->meta;
    size_t found = 0;
    if (tsdb_ulid_cmp(&b->id, &gone->id) == 0 || m->resolution_ms != g->resolution_ms ||
        m->source_count < g->source_count || g->source_count == 0)
        return false;
    for (size_t i = 0; i < m->source_count && found < g->source_count; i++)
        found += tsdb_ulid_cmp(&m->sources[i], &g->sources[found]) == 0;
    return found == g->source_count;
}

bool
store_block_set_replaces(const struct store_block_set *s,
                         const struct store_block *gone)
{
    for (size_t i = 0; i < s->count; i++)
        if (replaces(s->blocks[i], gone))
            return true;
    return false;
}

void
store_block_view_init(struct store_block_view *v)
{
    mutex_init(&v->lock, LOCK_BLOCK_SET);
    v->current = NULL;
}

void
store_block_view_fini(struct store_block_view *v)
{
    store_block_set_unref(&v->current);
    mutex_fini(&v->lock);
}

struct store_block_set *
store_block_view_get(struct store_block_view *v)
{
    MUTEX_SCOPE(&v->lock);
    return v->current == NULL ? NULL : store_block_set_ref(v->current);
}

void
store_block_view_put(struct store_block_view *v, struct store_block_set *set)
{
    struct store_block_set *old;
    {
        MUTEX_SCOPE(&v->lock);
        old = v->current;
        v->current = set;
    }
    store_block_set_unref(&old);
}
