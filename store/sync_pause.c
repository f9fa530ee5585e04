/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sync_pause.h"

#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/num.h"

/* Delay after a pass that has left something; it doubles up to another one, or, where
 * passes take long, to several times what they take. */
static const int64_t RETRY_NS = 10 * CLOCK_NS_PER_S;
static const int64_t MAX_RETRY_NS = 15 * CLOCK_NS_PER_S;
enum { RETRY_TIMES = 10 };

/* What a pass that has left something waits for at most; one that could not list the
 * bucket has cost it nothing. */
static int64_t
most_retry_ns(const struct store_sync_outcome *o)
{
    return o->has_listed ? NUM_MAX(MAX_RETRY_NS, RETRY_TIMES * o->took_ns)
                         : MAX_RETRY_NS;
}

static int64_t
middle_of_pause(struct store_sync_pause *p, const struct store_sync_outcome *o)
{
    if (o->has_listed && o->is_done) {
        p->retry_ns = 0;
        return p->interval_ns;
    }
    int64_t wait_ns = NUM_MIN(NUM_MAX(p->retry_ns, RETRY_NS), most_retry_ns(o));
    wait_ns = NUM_MIN(wait_ns, p->interval_ns);
    p->retry_ns = 2 * wait_ns;
    return NUM_MIN(NUM_MAX(wait_ns, o->refused_ns), p->interval_ns);
}

/* Give or take a tenth. */
static int64_t
jittered(int64_t wait_ns)
{
    uint64_t random = 0;
    uint64_t spread_ns = (uint64_t)wait_ns / 5;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    return wait_ns - (int64_t)(spread_ns / 2) + (int64_t)(random % (spread_ns + 1));
}

int64_t
store_sync_pause_after(struct store_sync_pause *p, const struct store_sync_outcome *o)
{
    return jittered(middle_of_pause(p, o));
}
