/* SPDX-License-Identifier: Apache-2.0 */
/* A ring in order of age, and chains through it. What is taken out leaves a hole, which
 * goes when it becomes the oldest. */
#include "store/range_ghosts.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"

struct store_range_ghost {
    uint64_t hash;
    uint32_t next; /* in its chain: slot + 1, 0 is none */
    uint32_t size; /* in units of UNIT bytes, at least 1; 0: a hole */
};

enum { UNIT = 64 };

size_t
store_range_ghosts_size(uint32_t count)
{
    return count * (sizeof(struct store_range_ghost) + sizeof(uint32_t));
}

void
store_range_ghosts_init(struct store_range_ghosts *g, uint32_t count, uint64_t most)
{
    *g = (struct store_range_ghosts){.count = count, .most = most};
    if (count == 0)
        return;
    g->ring = xcalloc(count, sizeof *g->ring);
    g->chains = xcalloc(count, sizeof *g->chains);
}

void
store_range_ghosts_fini(struct store_range_ghosts *g)
{
    free(g->ring);
    free(g->chains);
    *g = (struct store_range_ghosts){0};
}

static uint32_t *
chain_of(const struct store_range_ghosts *g, uint64_t hash)
{
    return &g->chains[hash & (g->count - 1)];
}

/* What points to the ghost, in its chain; to 0 if there is none. */
static uint32_t *
link_of(const struct store_range_ghosts *g, uint64_t hash)
{
    uint32_t *link = chain_of(g, hash);
    while (*link != 0 && g->ring[*link - 1].hash != hash)
        link = &g->ring[*link - 1].next;
    return link;
}

static void
unlink_at(struct store_range_ghosts *g, uint32_t *link)
{
    struct store_range_ghost *ghost = &g->ring[*link - 1];
    *link = ghost->next;
    g->bytes -= (uint64_t)ghost->size * UNIT;
    ghost->size = 0;
}

/* By its slot: two ghosts may have one hash. */
static void
drop_oldest(struct store_range_ghosts *g)
{
    const struct store_range_ghost *ghost = &g->ring[g->oldest];
    if (ghost->size > 0) {
        uint32_t *link = chain_of(g, ghost->hash);
        while (*link != g->oldest + 1)
            link = &g->ring[*link - 1].next;
        unlink_at(g, link);
    }
    g->oldest = (g->oldest + 1) & (g->count - 1);
    g->used--;
}

void
store_range_ghosts_add(struct store_range_ghosts *g, uint64_t hash, size_t size)
{
    uint64_t units = size / UNIT + 1;
    if (g->count == 0 || units * UNIT > g->most || units > UINT32_MAX)
        return;
    while (g->used == g->count || g->bytes + units * UNIT > g->most)
        drop_oldest(g);
    uint32_t slot = (g->oldest + g->used++) & (g->count - 1);
    uint32_t *chain = chain_of(g, hash);
    g->ring[slot] = (struct store_range_ghost){hash, *chain, (uint32_t)units};
    *chain = slot + 1;
    g->bytes += units * UNIT;
}

bool
store_range_ghosts_has(const struct store_range_ghosts *g, uint64_t hash)
{
    return g->count > 0 && *link_of(g, hash) != 0;
}

bool
store_range_ghosts_take(struct store_range_ghosts *g, uint64_t hash)
{
    if (g->count == 0)
        return false;
    uint32_t *link = link_of(g, hash);
    if (*link == 0)
        return false;
    unlink_at(g, link);
    return true;
}
