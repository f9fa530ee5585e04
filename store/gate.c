/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gate.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* How often a waiting query looks whether its reader has left. */
#define POLL_NS (200 * CLOCK_NS_PER_MS)

void
store_gate_init(struct store_gate *g, unsigned slots, unsigned max_waiting)
{
    *g = (struct store_gate){.slots = slots, .max_waiting = max_waiting};
    mutex_init(&g->lock, LOCK_GATE);
    cond_init(&g->freed);
}

void
store_gate_fini(struct store_gate *g)
{
    cond_fini(&g->freed);
    mutex_fini(&g->lock);
}

enum outcome { ENTERED, FULL, WAITING };

static bool
has_slot(const struct store_gate *g)
{
    mutex_check_held(&g->lock);
    return g->slots == 0 || g->running < g->slots;
}

/* Enter at once, or join the queue. */
static enum outcome
enter_or_queue(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    if (has_slot(g) && g->waiting == 0) {
        g->running++;
        return ENTERED;
    }
    if (g->waiting == g->max_waiting)
        return FULL;
    g->waiting++;
    return WAITING;
}

/* One step of waiting in the queue. */
static enum outcome
wait_a_while(struct store_gate *g, int64_t deadline_ns)
{
    MUTEX_SCOPE(&g->lock);
    if (!has_slot(g)) {
        int64_t until = NUM_MIN(deadline_ns, clock_deadline(POLL_NS));
        cond_wait_until(&g->freed, &g->lock, until);
    }
    if (!has_slot(g))
        return WAITING;
    g->waiting--;
    g->running++;
    return ENTERED;
}

static void
leave_queue(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    g->waiting--;
}

bool
store_gate_enter(struct store_gate *g, int64_t deadline_ns, bool (*is_gone)(void *arg),
                 void *arg, struct err *err)
{
    enum outcome outcome = enter_or_queue(g);
    if (outcome == FULL)
        return err_set(
            err, ERR_UNAVAILABLE,
            "%u queries are running (--store.grpc.series-max-concurrency) and "
            "%u more are waiting: try again later",
            g->slots, g->max_waiting);
    while (outcome == WAITING) {
        outcome = wait_a_while(g, deadline_ns);
        if (outcome == ENTERED)
            break;
        bool gone = is_gone != NULL && is_gone(arg);
        if (!gone && clock_left_ns(deadline_ns) > 0)
            continue;
        leave_queue(g);
        if (gone)
            return err_set(err, ERR_CANCELLED, "the reader left while it waited");
        return err_set(err, ERR_UNAVAILABLE,
                       "no slot became free in time: %u queries are running "
                       "(--store.grpc.series-max-concurrency), try again later",
                       g->slots);
    }
    return true;
}

void
store_gate_leave(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    g->running--;
    cond_signal(&g->freed);
}

unsigned
store_gate_running(struct store_gate *g)
{
    MUTEX_SCOPE(&g->lock);
    return g->running;
}
