/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gate.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* How often a waiting query looks whether its reader has left. */
#define POLL_NS (200 * CLOCK_NS_PER_MS)

/* Slots for small queries alone: one for so many others, but a few. */
enum { SLOTS_PER_SMALL = 4, MIN_SMALL = 2 };

void
store_gate_init(struct store_gate *g, unsigned slots, unsigned max_waiting)
{
    *g = (struct store_gate){.slots = slots, .max_waiting = max_waiting};
    mutex_init(&g->lock, LOCK_GATE);
    for (int i = 0; i < STORE_LANES; i++)
        cond_init(&g->lanes[i].freed);
}

void
store_gate_fini(struct store_gate *g)
{
    for (int i = 0; i < STORE_LANES; i++)
        cond_fini(&g->lanes[i].freed);
    mutex_fini(&g->lock);
}

unsigned
store_gate_slots(const struct store_gate *g)
{
    return g->slots + NUM_MAX(g->slots / SLOTS_PER_SMALL, (unsigned)MIN_SMALL);
}

static unsigned
count_running(const struct store_gate *g)
{
    mutex_check_held(&g->lock);
    return g->lanes[STORE_LANE_BIG].running + g->lanes[STORE_LANE_SMALL].running;
}

/* A big query leaves the slots of small ones alone, and those that they use beyond. */
static bool
has_slot(const struct store_gate *g, enum store_lane lane)
{
    if (g->slots == 0)
        return true;
    if (lane == STORE_LANE_BIG && g->lanes[lane].running >= g->slots)
        return false;
    return count_running(g) < store_gate_slots(g);
}

enum outcome { ENTERED, FULL, WAITING };

/* Enter at once, or join the queue. */
static enum outcome
enter_or_queue(struct store_gate *g, enum store_lane lane)
{
    MUTEX_SCOPE(&g->lock);
    if (has_slot(g, lane) && g->lanes[lane].waiting == 0) {
        g->lanes[lane].running++;
        return ENTERED;
    }
    if (g->lanes[lane].waiting == g->max_waiting)
        return FULL;
    g->lanes[lane].waiting++;
    return WAITING;
}

/* One step of waiting in the queue. */
static enum outcome
wait_a_while(struct store_gate *g, enum store_lane lane, int64_t deadline_ns)
{
    MUTEX_SCOPE(&g->lock);
    if (!has_slot(g, lane)) {
        int64_t until = NUM_MIN(deadline_ns, clock_deadline(POLL_NS));
        cond_wait_until(&g->lanes[lane].freed, &g->lock, until);
    }
    if (!has_slot(g, lane))
        return WAITING;
    g->lanes[lane].waiting--;
    g->lanes[lane].running++;
    return ENTERED;
}

static void
leave_queue(struct store_gate *g, enum store_lane lane)
{
    MUTEX_SCOPE(&g->lock);
    g->lanes[lane].waiting--;
}

bool
store_gate_enter(struct store_gate *g, enum store_lane lane, int64_t deadline_ns,
                 bool (*is_gone)(void *arg), void *arg, struct err *err)
{
    enum outcome outcome = enter_or_queue(g, lane);
    if (outcome == FULL)
        return err_set(
            err, ERR_UNAVAILABLE,
            "%u queries are running (--store.grpc.series-max-concurrency) and "
            "%u more are waiting: try again later",
            g->slots, g->max_waiting);
    while (outcome == WAITING) {
        outcome = wait_a_while(g, lane, deadline_ns);
        if (outcome == ENTERED)
            break;
        bool gone = is_gone != NULL && is_gone(arg);
        if (!gone && clock_left_ns(deadline_ns) > 0)
            continue;
        leave_queue(g, lane);
        if (gone)
            return err_set(err, ERR_CANCELLED, "the reader left while it waited");
        return err_set(err, ERR_UNAVAILABLE,
                       "no slot became free in time (--store.queue-timeout): %u "
                       "queries are running (--store.grpc.series-max-concurrency), try "
                       "again later",
                       g->slots);
    }
    return true;
}

void
store_gate_leave(struct store_gate *g, enum store_lane lane)
{
    MUTEX_SCOPE(&g->lock);
    g->lanes[lane].running--;
    for (int i = 0; i < STORE_LANES; i++)
        cond_signal(&g->lanes[i].freed);
}

unsigned
store_gate_running(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    return count_running(g);
}

unsigned
store_gate_waiting(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    return g->lanes[STORE_LANE_BIG].waiting + g->lanes[STORE_LANE_SMALL].waiting;
}
