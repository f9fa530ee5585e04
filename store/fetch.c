/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fetch.h"

#include "common/base/clock.h"
#include "common/base/num.h"

enum { MAX_READ = 2 * 1024 * 1024 };

/* Once a query has read this part of the cache, it is a broad one: nothing more makes
 * room for what nobody asked for before. */
enum { BROAD_SHARE = 8 };

/* How often a waiting query looks whether its reader has left. */
#define POLL_NS (200 * CLOCK_NS_PER_MS)

static const char out_of_time[] = "the query ran out of time (--store.query-timeout)";

static bool
is_abandoned(const struct store_fetch_source *source)
{
    return source->is_abandoned != NULL && source->is_abandoned(source->abandoned_arg);
}

void
store_fetch_source_fini(struct store_fetch_source *source)
{
    pool_lane_fini(&source->lane);
    store_damage_forget(&source->damage, source->cache, source->disk);
    cancel_fini(&source->cancel);
}

bool
store_fetch_check(const struct store_fetch_source *source, struct err *err)
{
    if (clock_left_ns(source->deadline_ns) == 0)
        return err_set(err, ERR_TIMEOUT, "%s", out_of_time);
    if (cancel_is_raised(&source->cancel) || is_abandoned(source))
        return err_set(err, ERR_CANCELLED, "the reader left");
    return true;
}

size_t
store_fetch_share(const struct store_fetch_source *source, size_t bytes)
{
    return source->share == NULL
               ? bytes
               : (size_t)((double)bytes * source->share(source->share_arg));
}

bool
store_fetch_is_broad(const struct store_fetch_source *source)
{
    return source->cache != NULL &&
           store_data_totals_sum(source->data).fetched_bytes >
               store_range_cache_limit(source->cache) / BROAD_SHARE;
}

static bool
is_before(const struct store_piece *a, const struct store_piece *b)
{
    return a->object != b->object ? a->object < b->object : a->offset < b->offset;
}

/* Let the piece at root sink to where none below it in the heap is greater. */
static void
sink(struct store_piece *heap, size_t root, size_t count)
{
    struct store_piece moved = heap[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && is_before(&heap[child], &heap[child + 1]))
            child++;
        if (!is_before(&moved, &heap[child]))
            break;
        heap[root] = heap[child];
    }
    heap[root] = moved;
}

/* Not qsort, which takes memory that no budget knows of. */
void
store_fetch_sort(struct store_piece *pieces, size_t count)
{
    size_t sorted = 1;
    while (sorted < count && !is_before(&pieces[sorted], &pieces[sorted - 1]))
        sorted++;
    if (sorted >= count)
        return;
    for (size_t root = count / 2; root-- > 0;)
        sink(pieces, root, count);
    for (size_t end = count; --end > 0;) {
        struct store_piece last = pieces[end];
        pieces[end] = pieces[0];
        pieces[0] = last;
        sink(pieces, 0, end);
    }
}

/* Let a read cover a piece that follows its own. False: that needs another read. */
static bool
extend(struct store_read *read, const struct store_piece *p, uint64_t max_gap,
       uint64_t max_read)
{
    uint64_t end = read->offset + read->len;
    if (read->object != p->object || p->offset > end + max_gap)
        return false;
    uint64_t len = NUM_MAX(p->offset + p->len, end) - read->offset;
    if (len > max_read)
        return false;
    read->len = len;
    read->piece_count++;
    return true;
}

size_t
store_fetch_plan(struct store_piece *pieces, size_t count, uint64_t max_gap,
                 uint64_t max_read, struct store_read *reads)
{
    struct store_read counted, *read = NULL;
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        struct store_piece *p = &pieces[i];
        if (read == NULL || !extend(read, p, max_gap, max_read)) {
            read = reads != NULL ? &reads[made] : &counted;
            *read = (struct store_read){.object = p->object,
                                        .offset = p->offset,
                                        .len = p->len,
                                        .pieces = p,
                                        .piece_count = 1};
            made++;
        }
        p->read = (uint32_t)(made - 1);
    }
    return made;
}

static void
finish_read(struct store_fetch *g, const struct err *failure)
{
    MUTEX_SCOPE(&g->lock);
    if (failure != NULL && g->failure == NULL)
        g->failure = err_keep(failure);
    if (--g->pending == 0)
        cond_broadcast(&g->done);
}

static struct store_range
range_of(const struct store_read *r)
{
    return (struct store_range){.key = bytes_of_str(r->key),
                                .offset = r->offset,
                                .len = r->len,
                                .is_repeat = r->group->source->damage.is_repeat,
                                .is_broad = r->is_broad};
}

static void
keep_read(const struct store_read *r)
{
    const struct store_range range = range_of(r);
    store_range_cache_put(r->group->source->cache, &range, bytes_of(r->into, r->got));
}

static bool
read_disk(struct store_read *r)
{
    struct store_disk_cache *disk = r->group->source->disk;
    const struct store_range range = range_of(r);
    r->is_on_disk =
        disk != NULL && store_disk_cache_get(disk, &range, r->into, &r->got);
    return r->is_on_disk;
}

static void
take_pieces(const struct store_read *r)
{
    const struct store_fetch *g = r->group;
    for (size_t i = 0; g->on_piece != NULL && i < r->piece_count; i++) {
        struct store_piece *p = &r->pieces[i];
        p->is_taken = g->on_piece(g->on_piece_arg, p, store_fetch_piece(g, p));
    }
}

static bool
read_bucket(struct store_read *r, struct err *err)
{
    const struct store_fetch_source *source = r->group->source;
    const struct objstore_call call = {.deadline_ns = source->deadline_ns,
                                       .cancel = &source->cancel};
    const struct store_range range = range_of(r);
    if (!objstore_read_range(source->bucket, &call, range.key,
                             (struct objstore_range){r->offset, (size_t)r->len},
                             r->into, &r->got, err))
        return false;
    if (source->disk != NULL)
        store_disk_cache_put(source->disk, &range, bytes_of(r->into, r->got),
                             r->query_bytes);
    return true;
}

/* From where the memory's cache has not got it. */
static bool
read_below(struct store_read *r, struct err *err)
{
    if (cancel_is_raised(&r->group->source->cancel))
        return err_set(err, ERR_CANCELLED, "read %s: cancelled", r->key);
    return read_disk(r) || read_bucket(r, err);
}

static void
end_read(struct store_read *r, const struct err *failure)
{
    if (failure == NULL)
        take_pieces(r);
    finish_read(r->group, failure);
}

/* Whether the cache has the read by now, because another query wanted it, too. */
static bool
is_there_by_now(struct store_read *r)
{
    struct store_range range = range_of(r);
    range.is_repeat = true; /* it was counted when it was planned */
    struct store_range_cache *cache = r->group->source->cache;
    r->is_shared =
        cache != NULL && store_range_cache_get(cache, &range, r->into, r->len, &r->got);
    return r->is_shared;
}

/* Give followers what was read, or leave it to them to read; each goes on in its own
 * lane. */
static void
tell_followers(const struct store_read *leader, struct store_range_flight *followers,
               bool ok)
{
    while (followers != NULL) {
        struct store_read *r =
            (struct store_read *)(void *)((char *)followers -
                                          offsetof(struct store_read, flight));
        followers = followers->next;
        r->is_shared = ok;
        if (ok) {
            r->got = leader->got;
            memcpy(r->into, leader->into, leader->got);
        }
        pool_lane_submit(&r->group->source->lane, &r->job);
    }
}

/* A follower is told by its job being submitted once more. */
static void
run_read(struct pool_job *job)
{
    struct store_read *r =
        (struct store_read *)(void *)((char *)job - offsetof(struct store_read, job));
    struct store_fetch_source *source = r->group->source;
    struct store_range_flights *flights = source->flights;
    const struct store_range range = range_of(r);
    struct err err = {0};
    if (r->is_shared) {
        end_read(r, NULL);
        return;
    }
    if (flights != NULL && !store_range_flights_join(flights, &r->flight, &range))
        return;
    bool ok = (flights != NULL && is_there_by_now(r)) || read_below(r, &err);
    if (ok && source->cache != NULL && !r->is_shared)
        keep_read(r);
    if (flights != NULL)
        tell_followers(r, store_range_flights_land(flights, &r->flight), ok);
    end_read(r, ok ? NULL : &err);
}

/* Copy what the cache has, and tell whether the query has become broad by the rest. */
static void
look_up(struct store_fetch_source *source, struct store_read *r)
{
    const struct store_range range = range_of(r);
    struct store_data_totals *totals = &source->data[r->group->data];
    r->is_cached =
        source->cache != NULL &&
        store_range_cache_get(source->cache, &range, r->into, r->len, &r->got);
    if (r->is_cached) {
        totals->cached_reads++;
        totals->cached_bytes += r->got;
        return;
    }
    totals->requests++;
    totals->fetched_bytes += r->len;
    r->is_broad = store_fetch_is_broad(source);
    r->query_bytes = store_data_totals_sum(source->data).fetched_bytes;
}

static void
count_pieces(const struct store_fetch *g, const struct store_piece *pieces,
             size_t count)
{
    struct store_data_totals *totals = &g->source->data[g->data];
    for (size_t i = 0; i < count; i++) {
        totals->touched_bytes += pieces[i].len;
        totals->fetched += !g->is_again && !g->reads[pieces[i].read].is_cached;
    }
    if (g->is_again)
        totals->refetched += count;
    else
        totals->touched += count;
}

static bool
charge_limits(struct store_fetch *g, struct err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < g->count; i++)
        bytes += g->reads[i].len;
    return g->source->limits == NULL ||
           store_limits_add_bytes(g->source->limits, bytes, err);
}

static bool
take_buffers(struct store_fetch *g, const char *const *keys, struct arena *arena,
             struct err *err)
{
    for (size_t i = 0; i < g->count; i++) {
        struct store_read *r = &g->reads[i];
        r->into = arena_alloc(arena, r->len);
        r->key = keys[r->object];
        r->group = g;
        r->job.run = run_read;
    }
    return arena_ok(arena, err);
}

bool
store_fetch_start(struct store_fetch *g, struct store_fetch_source *source,
                  const char *const *keys, struct store_piece *pieces, size_t count,
                  struct arena *arena, struct err *err)
{
    g->source = source;
    if (count == 0)
        return true;
    size_t reads = store_fetch_plan(pieces, count, STORE_FETCH_MAX_GAP, MAX_READ, NULL);
    g->reads = arena_calloc(arena, reads, sizeof *g->reads);
    if (g->reads == NULL)
        return arena_ok(arena, err);
    g->count = store_fetch_plan(pieces, count, STORE_FETCH_MAX_GAP, MAX_READ, g->reads);
    if (!charge_limits(g, err) || !take_buffers(g, keys, arena, err)) {
        g->count = 0;
        return false;
    }
    mutex_init(&g->lock, LOCK_FETCH);
    cond_init(&g->done);
    g->started = true;
    if (source->lane.pool == NULL)
        pool_lane_init(&source->lane, source->pool, STORE_FETCH_IN_FLIGHT);
    for (size_t i = 0; i < g->count; i++) {
        look_up(source, &g->reads[i]);
        g->pending += !g->reads[i].is_cached;
    }
    count_pieces(g, pieces, count);
    for (size_t i = 0; i < g->count; i++)
        if (!g->reads[i].is_cached)
            pool_lane_submit(&source->lane, &g->reads[i].job);
    return true;
}

bool
store_fetch_is_done(struct store_fetch *g)
{
    if (!g->started)
        return true;
    MUTEX_SCOPE(&g->lock);
    return g->pending == 0;
}

/* Have the reads end that wait for those of other queries. */
static void
leave_flights(struct store_fetch *g, enum err_code why)
{
    struct store_range_flights *flights = g->source->flights;
    struct err err;
    for (size_t i = 0; flights != NULL && i < g->count; i++)
        if (store_range_flights_leave(flights, &g->reads[i].flight)) {
            (void)err_set(&err, why, "read %s: another query is reading it",
                          g->reads[i].key);
            finish_read(g, &err);
        }
}

/* One step of waiting; returns whether reads are still running. Those that run see
 * themselves when they are not wanted any more. */
static bool
wait_a_while(struct store_fetch *g)
{
    struct store_fetch_source *source = g->source;
    int64_t left_ns = clock_left_ns(source->deadline_ns);
    if (cancel_is_raised(&source->cancel))
        leave_flights(g, ERR_CANCELLED);
    else if (left_ns == 0)
        leave_flights(g, ERR_TIMEOUT);
    int64_t poll_ns = left_ns > 0 ? NUM_MIN(left_ns, POLL_NS) : POLL_NS;
    MUTEX_SCOPE(&g->lock);
    if (g->pending > 0)
        cond_wait_until(&g->done, &g->lock, clock_deadline(poll_ns));
    return g->pending > 0;
}

/* No read runs any more: take back what was counted as requests and came from the disk
 * or from another query. */
static void
settle(struct store_fetch *g)
{
    struct store_data_totals *totals = &g->source->data[g->data];
    for (size_t i = 0; i < g->count && !g->is_settled; i++) {
        const struct store_read *r = &g->reads[i];
        if (!r->is_shared && !r->is_on_disk)
            continue;
        totals->requests--;
        totals->fetched_bytes -= r->len;
        *(r->is_shared ? &totals->shared_reads : &totals->cached_reads) += 1;
        *(r->is_shared ? &totals->shared_bytes : &totals->cached_bytes) += r->got;
        if (r->is_on_disk && !g->is_again)
            totals->fetched -= r->piece_count;
    }
    g->is_settled = true;
}

static void
wait_for_reads(struct store_fetch *g)
{
    struct store_fetch_source *source = g->source;
    if (store_fetch_is_done(g))
        return;
    int64_t began_ns = clock_mono_ns();
    while (wait_a_while(g))
        if (is_abandoned(source))
            cancel_raise(&source->cancel);
    source->data[g->data].wait_ns += clock_mono_ns() - began_ns;
}

bool
store_fetch_wait(struct store_fetch *g, struct err *err)
{
    if (!g->started)
        return true;
    wait_for_reads(g);
    settle(g);
    MUTEX_SCOPE(&g->lock);
    if (g->failure == NULL)
        return true;
    *err = *g->failure;
    bool is_late = clock_left_ns(g->source->deadline_ns) == 0;
    return err->code == ERR_TIMEOUT && is_late ? err_wrap(err, "%s", out_of_time)
                                               : false;
}

struct bytes
store_fetch_piece(const struct store_fetch *g, const struct store_piece *piece)
{
    const struct store_read *r = &g->reads[piece->read];
    uint64_t skip = piece->offset - r->offset;
    if (skip >= r->got)
        return (struct bytes){0};
    return bytes_of(r->into + skip, (size_t)NUM_MIN(piece->len, r->got - skip));
}

void
store_fetch_fini(struct store_fetch *g)
{
    if (!g->started)
        return;
    /* An abandoned group stops its query: groups end early only when the query does. */
    if (!store_fetch_is_done(g))
        cancel_raise(&g->source->cancel);
    while (wait_a_while(g))
        continue;
    settle(g);
    cond_fini(&g->done);
    mutex_fini(&g->lock);
    err_forget(&g->failure);
    *g = (struct store_fetch){0};
}
