/* SPDX-License-Identifier: Apache-2.0 */
#include "store/range_cache.h"

#include <stdlib.h>

#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* Shards, each with its own lock, table and queue. In the queue a range that was asked
 * for since it was put there gets a second turn when it would be evicted; so one pass
 * over many ranges pushes out what nobody asks for first. */

enum {
    SHARDS = 8,
    /* A range may take this part of its shard, so that a few cannot fill it. */
    RANGE_SHARE = 4,
    /* Chains of a table: as many as there are ranges when they are of this size. */
    TYPICAL_RANGE = 8192,
    MIN_CHAINS = 64,
    MALLOC_BYTES = 16 /* what an allocation costs beside its size */
};

struct entry {
    struct entry *next; /* in its chain, or in a list of evicted ones */
    struct entry *older;
    struct entry *newer;
    uint64_t hash;
    uint64_t offset;
    uint64_t len;
    size_t key_len;
    size_t data_len;
    bool is_recent;
    uint8_t bytes[]; /* key, data */
};

struct shard {
    struct mutex lock;
    /* guarded by lock */
    struct entry **chains;
    struct entry *oldest;
    struct entry *newest;
    size_t used;
    struct store_range_cache_counts counts;
};

struct store_range_cache {
    struct budget *budget;
    size_t shard_limit;
    size_t chain_count; /* of each shard; a power of two */
    struct shard shards[SHARDS];
};

struct store_range_cache *
store_range_cache_new(size_t limit, struct budget *budget)
{
    struct store_range_cache *c = xcalloc(1, sizeof *c);
    c->budget = budget;
    c->shard_limit = limit / SHARDS;
    c->chain_count = MIN_CHAINS;
    while (c->chain_count < c->shard_limit / TYPICAL_RANGE)
        c->chain_count *= 2;
    for (size_t i = 0; i < SHARDS; i++) {
        mutex_init(&c->shards[i].lock, LOCK_RANGE_CACHE);
        c->shards[i].chains = xcalloc(c->chain_count, sizeof *c->shards[i].chains);
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
    return (hash ^ (hash >> 32)) * UINT64_C(0xc4ceb9fe1a85ec53);
}

/* The lowest bits choose the chain, the highest ones the shard. */
static struct shard *
shard_of(struct store_range_cache *c, uint64_t hash)
{
    return &c->shards[hash >> 61];
}

_Static_assert(SHARDS == 8, "three bits choose the shard");

static size_t
cost_of(size_t key_len, size_t data_len)
{
    return sizeof(struct entry) + key_len + data_len + MALLOC_BYTES;
}

static bool
is_same(const struct entry *e, uint64_t hash, const struct store_range *r)
{
    return e->hash == hash && e->offset == r->offset && e->len == r->len &&
           bytes_eq(bytes_of(e->bytes, e->key_len), r->key);
}

static struct entry **
link_of(const struct store_range_cache *c, struct shard *s, uint64_t hash)
{
    mutex_check_held(&s->lock);
    return &s->chains[hash & (c->chain_count - 1)];
}

static struct entry *
find(const struct store_range_cache *c, struct shard *s, uint64_t hash,
     const struct store_range *r)
{
    struct entry *e = *link_of(c, s, hash);
    while (e != NULL && !is_same(e, hash, r))
        e = e->next;
    return e;
}

static void
leave_queue(struct shard *s, struct entry *e)
{
    mutex_check_held(&s->lock);
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
}

static void
join_queue(struct shard *s, struct entry *e)
{
    mutex_check_held(&s->lock);
    e->older = s->newest;
    e->newer = NULL;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

/* Take an entry out of its shard, into the list at *out. */
static void
detach(const struct store_range_cache *c, struct shard *s, struct entry *e,
       struct entry **out)
{
    struct entry **link = link_of(c, s, e->hash);
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    leave_queue(s, e);
    s->used -= cost_of(e->key_len, e->data_len);
    s->counts.ranges--;
    s->counts.bytes -= e->data_len;
    e->next = *out;
    *out = e;
}

/* Evict until the shard uses at most the given bytes. */
static void
evict(const struct store_range_cache *c, struct shard *s, size_t most,
      struct entry **out)
{
    while (s->used > most) {
        struct entry *e = s->oldest;
        if (e->is_recent) {
            e->is_recent = false;
            leave_queue(s, e);
            join_queue(s, e);
            continue;
        }
        s->counts.evictions++;
        detach(c, s, e, out);
    }
}

/* Release what was detached; returns its bytes. */
static size_t
release(struct store_range_cache *c, struct entry *list)
{
    size_t released = 0;
    while (list != NULL) {
        struct entry *e = list;
        list = e->next;
        released += cost_of(e->key_len, e->data_len);
        free(e);
    }
    budget_give(c->budget, released);
    return released;
}

bool
store_range_cache_get(struct store_range_cache *c, const struct store_range *r,
                      uint8_t *into, size_t *got)
{
    uint64_t hash = hash_of(r);
    struct shard *s = shard_of(c, hash);
    MUTEX_SCOPE(&s->lock);
    struct entry *e = find(c, s, hash, r);
    if (e == NULL) {
        s->counts.misses++;
        return false;
    }
    s->counts.hits++;
    e->is_recent = true;
    *got = e->data_len;
    if (e->data_len > 0)
        memcpy(into, e->bytes + e->key_len, e->data_len);
    return true;
}

static struct entry *
entry_new(struct store_range_cache *c, const struct store_range *r, struct bytes data)
{
    size_t cost = cost_of(r->key.len, data.len);
    if (!budget_try(c->budget, cost))
        return NULL;
    struct entry *e = malloc(cost - MALLOC_BYTES);
    if (e == NULL) {
        budget_give(c->budget, cost);
        return NULL;
    }
    *e = (struct entry){.hash = hash_of(r),
                        .offset = r->offset,
                        .len = r->len,
                        .key_len = r->key.len,
                        .data_len = data.len};
    memcpy(e->bytes, r->key.at, r->key.len);
    if (data.len > 0)
        memcpy(e->bytes + r->key.len, data.at, data.len);
    return e;
}

void
store_range_cache_put(struct store_range_cache *c, const struct store_range *r,
                      struct bytes data)
{
    size_t cost = cost_of(r->key.len, data.len);
    struct entry *unwanted = NULL;
    if (cost > c->shard_limit / RANGE_SHARE)
        return;
    struct entry *e = entry_new(c, r, data);
    if (e == NULL)
        return;
    struct shard *s = shard_of(c, e->hash);
    {
        MUTEX_SCOPE(&s->lock);
        if (find(c, s, e->hash, r) == NULL) {
            struct entry **link = link_of(c, s, e->hash);
            evict(c, s, c->shard_limit - cost, &unwanted);
            e->next = *link;
            *link = e;
            join_queue(s, e);
            s->used += cost;
            s->counts.ranges++;
            s->counts.bytes += data.len;
        } else {
            e->next = NULL;
            unwanted = e;
        }
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
            struct shard *s = &c->shards[i];
            struct entry *list = NULL;
            size_t part = round == 0 ? want / SHARDS + 1 : want - released;
            {
                MUTEX_SCOPE(&s->lock);
                evict(c, s, s->used - NUM_MIN(s->used, part), &list);
            }
            released += release(c, list);
        }
    return released;
}

static bool
begins_with(const struct entry *e, struct bytes prefix)
{
    return bytes_starts_with(bytes_of(e->bytes, e->key_len), prefix);
}

void
store_range_cache_forget(struct store_range_cache *c, struct bytes prefix)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        struct entry *list = NULL;
        {
            MUTEX_SCOPE(&s->lock);
            for (struct entry *e = s->oldest, *newer; e != NULL; e = newer) {
                newer = e->newer;
                if (begins_with(e, prefix))
                    detach(c, s, e, &list);
            }
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
        struct shard *s = &c->shards[i];
        MUTEX_SCOPE(&s->lock);
        sum.hits += s->counts.hits;
        sum.misses += s->counts.misses;
        sum.evictions += s->counts.evictions;
        sum.ranges += s->counts.ranges;
        sum.bytes += s->counts.bytes;
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
        free(c->shards[i].chains);
        mutex_fini(&c->shards[i].lock);
    }
    free(c);
}
