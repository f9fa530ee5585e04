/* SPDX-License-Identifier: Apache-2.0 */
/* Shards, each with a lock of its own. Memory is taken, copied and released outside of
 * the locks; only what is found is copied inside. */
#include "store/range_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/range_shard.h"

enum { SHARDS = 8 };

struct locked_shard {
    struct mutex lock;
    struct store_range_shard shard; /* guarded by lock */
};

struct store_range_cache {
    struct budget *budget;
    size_t tables;
    size_t shard_limit;
    struct locked_shard shards[SHARDS];
};

/* Take the tables of shards off limit; what is left is for ranges. */
static void
take_tables(struct store_range_cache *c, size_t limit)
{
    size_t tables = SHARDS * store_range_shard_tables(limit / SHARDS);
    if (tables >= limit || !budget_try(c->budget, tables))
        return;
    c->tables = tables;
    c->shard_limit = (limit - tables) / SHARDS;
}

struct store_range_cache *
store_range_cache_new(size_t limit, struct budget *budget)
{
    struct store_range_cache *c = xcalloc(1, sizeof *c);
    c->budget = budget;
    take_tables(c, limit);
    for (size_t i = 0; i < SHARDS; i++) {
        mutex_init(&c->shards[i].lock, LOCK_RANGE_CACHE);
        store_range_shard_init(&c->shards[i].shard, c->shard_limit);
    }
    return c;
}

/* FNV-1a over the key, then the place mixed in. */
static uint64_t
hash_of(const struct store_range *r)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < r->key.len; i++)
        hash = (hash ^ r->key.at[i]) * UINT64_C(0x100000001b3);
    hash ^= r->offset * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= r->len * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ (hash >> 32)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 32);
}

/* The lowest bits choose the chain, the highest ones the shard. */
static struct locked_shard *
shard_of(struct store_range_cache *c, uint64_t hash)
{
    return &c->shards[hash >> 61];
}

_Static_assert(SHARDS == 8, "three bits choose the shard");

/* Release what was taken out; returns its bytes. */
static size_t
release(struct store_range_cache *c, struct store_range_entry *list)
{
    size_t released = 0;
    while (list != NULL) {
        struct store_range_entry *e = list;
        list = e->next;
        released += store_range_entry_cost(e->key_len, e->data_len);
        free(e);
    }
    budget_give(c->budget, released);
    return released;
}

bool
store_range_cache_find(struct store_range_cache *c, const struct store_range *r,
                       size_t *len)
{
    uint64_t hash = hash_of(r);
    struct locked_shard *l = shard_of(c, hash);
    struct store_range uncounted = *r;
    uncounted.is_repeat = true;
    MUTEX_SCOPE(&l->lock);
    const struct store_range_entry *e =
        store_range_shard_ask(&l->shard, hash, &uncounted);
    if (e == NULL)
        return false;
    *len = e->data_len;
    return true;
}

bool
store_range_cache_get(struct store_range_cache *c, const struct store_range *r,
                      uint8_t *into, size_t room, size_t *got)
{
    uint64_t hash = hash_of(r);
    struct locked_shard *l = shard_of(c, hash);
    MUTEX_SCOPE(&l->lock);
    const struct store_range_entry *e = store_range_shard_ask(&l->shard, hash, r);
    if (e == NULL || e->data_len > room)
        return false;
    struct bytes data = store_range_entry_data(e);
    *got = data.len;
    if (data.len > 0)
        memcpy(into, data.at, data.len);
    return true;
}

static struct store_range_entry *
entry_new(struct store_range_cache *c, uint64_t hash, const struct store_range *r,
          struct bytes data)
{
    size_t cost = store_range_entry_cost(r->key.len, data.len);
    if (!budget_try(c->budget, cost))
        return NULL;
    struct store_range_entry *e = malloc(store_range_entry_size(r->key.len, data.len));
    if (e == NULL)
        budget_give(c->budget, cost);
    else
        store_range_entry_init(e, hash, r, data);
    return e;
}

static bool
wants(struct locked_shard *l, uint64_t hash, const struct store_range *r,
      size_t data_len)
{
    MUTEX_SCOPE(&l->lock);
    return store_range_shard_wants(&l->shard, hash, r,
                                   store_range_entry_cost(r->key.len, data_len));
}

void
store_range_cache_put(struct store_range_cache *c, const struct store_range *r,
                      struct bytes data)
{
    uint64_t hash = hash_of(r);
    struct locked_shard *l = shard_of(c, hash);
    struct store_range_entry *e, *unwanted = NULL;
    if (!wants(l, hash, r, data.len) || (e = entry_new(c, hash, r, data)) == NULL)
        return;
    {
        MUTEX_SCOPE(&l->lock);
        store_range_shard_insert(&l->shard, e, r, &unwanted);
    }
    release(c, unwanted);
}

size_t
store_range_cache_reclaim(struct store_range_cache *c, size_t want)
{
    size_t released = 0;
    /* A like part of each shard, then whatever there is. */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < SHARDS && released < want; i++) {
            struct locked_shard *l = &c->shards[i];
            struct store_range_entry *list = NULL;
            size_t part = round == 0 ? want / SHARDS + 1 : want - released;
            {
                MUTEX_SCOPE(&l->lock);
                size_t used = store_range_shard_used(&l->shard);
                store_range_shard_evict(&l->shard, used - NUM_MIN(used, part), &list);
            }
            released += release(c, list);
        }
    return released;
}

void
store_range_cache_forget(struct store_range_cache *c, struct bytes prefix)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct locked_shard *l = &c->shards[i];
        struct store_range_entry *list = NULL;
        {
            MUTEX_SCOPE(&l->lock);
            store_range_shard_forget(&l->shard, prefix, &list);
        }
        release(c, list);
    }
}

size_t
store_range_cache_limit(const struct store_range_cache *c)
{
    return c->shard_limit * SHARDS;
}

struct store_range_cache_counts
store_range_cache_counts(struct store_range_cache *c)
{
    struct store_range_cache_counts sum = {0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct locked_shard *l = &c->shards[i];
        MUTEX_SCOPE(&l->lock);
        const struct store_range_cache_counts *counts = &l->shard.counts;
        sum.hits += counts->hits;
        sum.misses += counts->misses;
        sum.ghost_hits += counts->ghost_hits;
        sum.evictions += counts->evictions;
        sum.ranges += counts->ranges;
        sum.bytes += counts->bytes;
    }
    return sum;
}

void
store_range_cache_free(struct store_range_cache **out)
{
    struct store_range_cache *c = TAKE(*out);
    if (c == NULL)
        return;
    store_range_cache_forget(c, (struct bytes){0});
    for (size_t i = 0; i < SHARDS; i++) {
        store_range_shard_fini(&c->shards[i].shard);
        mutex_fini(&c->shards[i].lock);
    }
    budget_give(c->budget, c->tables);
    free(c);
}
