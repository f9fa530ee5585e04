/* SPDX-License-Identifier: Apache-2.0 */
/* How a request of any front door gets its place among the others: a slot of its lane,
 * its turn when memory is short, and its part of what is read ahead. */
#include <inttypes.h>
#include <malloc.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "store/api_read_priv.h"

/* Big queries leave one part of the memory to small ones. All together read ahead as
 * much as one part of it, so that each has its postings besides. */
enum { SHARE_OF_SMALL = 8, SHARE_OF_LOOKAHEAD = 8, MAX_LOOKAHEADS = 64 * 1024 * 1024 };

/* Below this a query makes more requests than it saves memory; above one part of its
 * own limit there is no room for what it reads. */
enum { MIN_LOOKAHEAD = 256 * 1024, LOOKAHEADS_OF_QUERY = 3 };

/* What a query takes beside its look-ahead, for itself and for each block, and how
 * often that: what is fetched is held together with what was decoded of it. Measured
 * over 10 000 series of four blocks, and over one of 4 380. */
enum {
    EXPECTED_BYTES = 2 * 1024 * 1024,
    EXPECTED_BYTES_PER_BLOCK = 7 * 1024,
    EXPECTED_LOOKAHEADS = 2
};

/* Above this a query may have left holes in the heap that are worth looking for. */
enum { WORTH_TRIMMING = 4 * 1024 * 1024 };

bool
store_read_take_blocks(struct store_read_request *r, struct err *err)
{
    r->blocks = store_block_view_get(r->api->options.view);
    return r->blocks != NULL ||
           err_set(err, ERR_UNAVAILABLE,
                   "the store is starting and does not know its blocks yet: try again "
                   "later");
}

static bool
enter_gate(struct store_read_request *r, struct err *err)
{
    struct store_api_read *api = r->api;
    int64_t before = clock_mono_ns();
    r->is_admitted =
        store_gate_enter(&api->gate, r->lane, r->queue_until_ns, r->source.is_abandoned,
                         r->source.abandoned_arg, err);
    r->totals.gate_ns = clock_mono_ns() - before;
    if (r->is_admitted)
        store_read_metrics_waited(&api->metrics,
                                  (double)r->totals.gate_ns / CLOCK_NS_PER_S);
    else
        store_read_metrics_dropped(&api->metrics, STORE_READ_DROPPED_GATE);
    return r->is_admitted;
}

static bool
goes_on(void *arg, struct err *err)
{
    const struct store_read_request *r = arg;
    bool is_late = !r->is_begun && clock_left_ns(r->queue_until_ns) == 0;
    return store_fetch_check(&r->source, err) &&
           (!is_late ||
            err_set(err, ERR_UNAVAILABLE,
                    "no memory became free in time (--store.queue-timeout) for a query "
                    "of %" PRIu64
                    " blocks: try again later, or raise --store.memory-limit",
                    r->estimate.blocks));
}

/* All together read ahead as much as one part of the limit. */
static size_t
lookahead_now(const struct store_read_request *r)
{
    const struct store_api_read_options *o = &r->api->options;
    size_t all =
        NUM_MIN(budget_limit(o->budget) / SHARE_OF_LOOKAHEAD, (size_t)MAX_LOOKAHEADS);
    size_t share = all / NUM_MAX(store_gate_running(&r->api->gate), 1U);
    size_t most =
        NUM_MIN(o->lookahead_bytes, o->query_memory_limit / LOOKAHEADS_OF_QUERY);
    return NUM_MIN(most, NUM_MAX(share, (size_t)MIN_LOOKAHEAD));
}

/* A big query waits, before it begins, until it may expect to get what it needs. */
static bool
reserve_memory(struct store_read_request *r, struct err *err)
{
    size_t all = budget_limit(r->api->options.budget);
    r->member =
        (struct budget_member){.budget = &r->budget, .go_on = goes_on, .arg = r};
    budget_arbiter_join(r->api->options.arbiter, &r->member);
    if (r->lane == STORE_LANE_SMALL)
        return true;
    budget_set_headroom(&r->budget, all / SHARE_OF_SMALL);
    uint64_t expected = EXPECTED_LOOKAHEADS * lookahead_now(r) + EXPECTED_BYTES +
                        EXPECTED_BYTES_PER_BLOCK * r->estimate.blocks;
    return budget_reserve(&r->budget, NUM_MIN(all / 2, expected), err);
}

bool
store_read_admit(struct store_read_request *r, struct err *err)
{
    bool is_small = store_estimate_is_small(&r->estimate);
    r->lane = is_small ? STORE_LANE_SMALL : STORE_LANE_BIG;
    r->queue_until_ns = NUM_MIN(r->source.deadline_ns,
                                clock_deadline(r->api->options.queue_timeout_ns));
    r->is_begun = enter_gate(r, err) && reserve_memory(r, err);
    if (r->is_begun)
        r->source.deadline_ns = clock_deadline(r->api->options.query_timeout_ns);
    return r->is_begun;
}

void
store_read_part(struct store_read_request *r)
{
    struct store_api_read *api = r->api;
    if (budget_peak(&r->budget) > WORTH_TRIMMING)
        atomic_store(&api->is_worth_trimming, true);
    budget_fini(&r->budget);
    budget_arbiter_part(&r->member);
    if (!r->is_admitted)
        return;
    store_gate_leave(&api->gate, r->lane);
    if (store_gate_running(&api->gate) > 0)
        return;
    memory_keep_reclaim(api->options.keep, SIZE_MAX);
    if (atomic_exchange(&api->is_worth_trimming, false))
        malloc_trim(0);
}

size_t
store_read_lookahead(struct store_read_request *r)
{
    r->lookahead_bytes = lookahead_now(r);
    return r->lookahead_bytes;
}

double
store_read_share(void *arg)
{
    const struct store_read_request *r = arg;
    size_t now = lookahead_now(r);
    return now < r->lookahead_bytes ? (double)now / (double)r->lookahead_bytes : 1;
}
