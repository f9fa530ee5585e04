/* SPDX-License-Identifier: Apache-2.0 */
/* The policy is S3-FIFO (Yang et al., SOSP 2023), with sizes in bytes. A new range goes
 * on trial, and if nobody asks for it before its turn comes, it goes and leaves a
 * ghost: one pass over many ranges flows through a tenth of the cache. A range that was
 * asked for, or comes back while its ghost is there, moves to the main queue, where it
 * gets another turn for each time that it was asked for.
 *
 * The trial may be larger while there is room. Only ranges of queries that are not yet
 * broad make others go: what more one of those reads is kept where there is room; else
 * it leaves a ghost, and is taken when it is read once more. */
#include "store/range_shard.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum {
    TRIAL_SHARE = 10, /* the part of a shard that the trial has at least */
    MOST_TURNS = 3,
    /* A range may take this part of its shard, so that a few cannot fill it. */
    RANGE_SHARE = 4,
    /* Chains of a table: as many as there are ranges when they are of this size. */
    TYPICAL_RANGE = 8192,
    MIN_CHAINS = 64,
    /* As many ghosts as there are ranges of this size. For larger ones they stand for
     * as many bytes as the shard has. */
    GHOST_RANGE = 4096,
    MIN_GHOSTS = 64,
    MALLOC_BYTES = 16 /* what an allocation costs beside its size */
};

static size_t
power_for(size_t least, size_t wanted)
{
    size_t count = least;
    while (count < wanted && count < (size_t)1 << 31)
        count *= 2;
    return count;
}

static size_t
chains_for(size_t limit)
{
    return power_for(MIN_CHAINS, limit / TYPICAL_RANGE);
}

static uint32_t
ghosts_for(size_t limit)
{
    return (uint32_t)power_for(MIN_GHOSTS, limit / GHOST_RANGE);
}

size_t
store_range_shard_tables(size_t limit)
{
    return chains_for(limit) * sizeof(struct store_range_entry *) +
           store_range_ghosts_size(ghosts_for(limit));
}

void
store_range_shard_init(struct store_range_shard *s, size_t limit)
{
    *s = (struct store_range_shard){.limit = limit, .chain_count = chains_for(limit)};
    s->chains = xcalloc(s->chain_count, sizeof(struct store_range_entry *));
    store_range_ghosts_init(&s->ghosts, ghosts_for(limit), limit);
}

void
store_range_shard_fini(struct store_range_shard *s)
{
    store_range_ghosts_fini(&s->ghosts);
    free(s->chains);
    *s = (struct store_range_shard){0};
}

size_t
store_range_entry_size(size_t key_len, size_t data_len)
{
    return sizeof(struct store_range_entry) + key_len + data_len;
}

size_t
store_range_entry_cost(size_t key_len, size_t data_len)
{
    return store_range_entry_size(key_len, data_len) + MALLOC_BYTES;
}

static size_t
cost_of(const struct store_range_entry *e)
{
    return store_range_entry_cost(e->key_len, e->data_len);
}

void
store_range_entry_init(struct store_range_entry *e, uint64_t hash,
                       const struct store_range *r, struct bytes data)
{
    *e = (struct store_range_entry){.hash = hash,
                                    .offset = r->offset,
                                    .len = r->len,
                                    .key_len = r->key.len,
                                    .data_len = data.len};
    memcpy(e->bytes, r->key.at, r->key.len);
    if (data.len > 0)
        memcpy(e->bytes + r->key.len, data.at, data.len);
}

static struct bytes
key_of(const struct store_range_entry *e)
{
    return bytes_of(e->bytes, e->key_len);
}

struct bytes
store_range_entry_data(const struct store_range_entry *e)
{
    return bytes_of(e->bytes + e->key_len, e->data_len);
}

size_t
store_range_shard_used(const struct store_range_shard *s)
{
    return s->trial.used + s->main.used;
}

static struct store_range_entry **
chain_of(const struct store_range_shard *s, uint64_t hash)
{
    return &s->chains[hash & (s->chain_count - 1)];
}

static struct store_range_entry *
find(const struct store_range_shard *s, uint64_t hash, const struct store_range *r)
{
    struct store_range_entry *e = *chain_of(s, hash);
    while (e != NULL && !(e->hash == hash && e->offset == r->offset &&
                          e->len == r->len && bytes_eq(key_of(e), r->key)))
        e = e->next;
    return e;
}

static struct store_range_queue *
queue_of(struct store_range_shard *s, const struct store_range_entry *e)
{
    return e->is_main ? &s->main : &s->trial;
}

static void
leave_queue(struct store_range_shard *s, struct store_range_entry *e)
{
    struct store_range_queue *q = queue_of(s, e);
    *(e->older != NULL ? &e->older->newer : &q->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &q->newest) = e->older;
    q->used -= cost_of(e);
}

static void
join_queue(struct store_range_shard *s, struct store_range_entry *e, bool is_main)
{
    e->is_main = is_main;
    struct store_range_queue *q = queue_of(s, e);
    e->older = q->newest;
    e->newer = NULL;
    *(q->newest != NULL ? &q->newest->newer : &q->oldest) = e;
    q->newest = e;
    q->used += cost_of(e);
}

static void
take_out(struct store_range_shard *s, struct store_range_entry *e,
         struct store_range_entry **out)
{
    struct store_range_entry **link = chain_of(s, e->hash);
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    leave_queue(s, e);
    s->counts.ranges--;
    s->counts.bytes -= e->data_len;
    e->next = *out;
    *out = e;
}

void
store_range_shard_evict(struct store_range_shard *s, size_t most,
                        struct store_range_entry **out)
{
    while (store_range_shard_used(s) > most) {
        bool is_trial =
            s->main.oldest == NULL || s->trial.used > s->limit / TRIAL_SHARE;
        struct store_range_entry *e = is_trial ? s->trial.oldest : s->main.oldest;
        if (e->asked > 0) {
            leave_queue(s, e);
            e->asked = is_trial ? 0 : e->asked - 1;
            join_queue(s, e, true);
            continue;
        }
        s->counts.evictions++;
        store_range_ghosts_add(&s->ghosts, e->hash, cost_of(e));
        take_out(s, e, out);
    }
}

struct store_range_entry *
store_range_shard_ask(struct store_range_shard *s, uint64_t hash,
                      const struct store_range *r)
{
    struct store_range_entry *e = find(s, hash, r);
    if (r->is_repeat)
        return e;
    if (e == NULL) {
        s->counts.misses++;
        s->counts.ghost_hits += store_range_ghosts_has(&s->ghosts, hash);
        return NULL;
    }
    s->counts.hits++;
    if (e->asked < MOST_TURNS)
        e->asked++;
    return e;
}

bool
store_range_shard_wants(struct store_range_shard *s, uint64_t hash,
                        const struct store_range *r, size_t cost)
{
    if (cost > s->limit / RANGE_SHARE || find(s, hash, r) != NULL)
        return false;
    bool was_there = store_range_ghosts_has(&s->ghosts, hash);
    bool has_room = cost <= s->limit - store_range_shard_used(s);
    if (!r->is_broad || has_room || (was_there && !r->is_repeat))
        return true;
    if (!was_there)
        store_range_ghosts_add(&s->ghosts, hash, cost);
    return false;
}

void
store_range_shard_insert(struct store_range_shard *s, struct store_range_entry *e,
                         const struct store_range *r, struct store_range_entry **out)
{
    if (find(s, e->hash, r) != NULL) {
        e->next = *out;
        *out = e;
        return;
    }
    bool was_there = store_range_ghosts_take(&s->ghosts, e->hash);
    store_range_shard_evict(s, s->limit - cost_of(e), out);
    struct store_range_entry **chain = chain_of(s, e->hash);
    e->next = *chain;
    *chain = e;
    join_queue(s, e, was_there && !r->is_repeat);
    s->counts.ranges++;
    s->counts.bytes += e->data_len;
}

void
store_range_shard_forget(struct store_range_shard *s, struct bytes prefix,
                         struct store_range_entry **out)
{
    const struct store_range_queue *queues[] = {&s->trial, &s->main};
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        for (struct store_range_entry *e = queues[i]->oldest, *newer; e != NULL;
             e = newer) {
            newer = e->newer;
            if (bytes_starts_with(key_of(e), prefix))
                take_out(s, e, out);
        }
}
