/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sync_pace.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* Delay after a pass that has left something; it doubles up to another one, or, where
 * passes take long, to several times what they take. */
static const int64_t RETRY_NS = 10 * CLOCK_NS_PER_S;
static const int64_t MAX_RETRY_NS = 15 * CLOCK_NS_PER_S;
enum { RETRY_TIMES = 10 };

/* Between a pass and another one that was suggested; it doubles up to the interval
 * while these follow each other, because they cannot help. */
static const int64_t SUGGESTED_NS = 5 * CLOCK_NS_PER_S;

void
store_sync_pace_init(struct store_sync_pace *p, int64_t interval_ns)
{
    *p = (struct store_sync_pace){
        .interval_ns = interval_ns, .suggested_ns = SUGGESTED_NS, .retry_ns = RETRY_NS};
}

void
store_sync_pace_begin(struct store_sync_pace *p, bool is_suggested)
{
    p->suggested_ns =
        is_suggested ? NUM_MIN(2 * p->suggested_ns, p->interval_ns) : SUGGESTED_NS;
}

/* What a pass that has left something waits for at most; one that could not list the
 * bucket has cost it nothing. */
static int64_t
most_retry_ns(const struct store_sync_pace *p, const struct store_sync_pass *pass)
{
    int64_t most_ns = pass->has_listed
                          ? NUM_MAX(MAX_RETRY_NS, RETRY_TIMES * pass->took_ns)
                          : MAX_RETRY_NS;
    return NUM_MIN(most_ns, p->interval_ns);
}

int64_t
store_sync_pace_end(struct store_sync_pace *p, const struct store_sync_pass *pass)
{
    if (pass->is_complete) {
        p->retry_ns = RETRY_NS;
        return p->interval_ns;
    }
    int64_t wait_ns = NUM_MIN(p->retry_ns, most_retry_ns(p, pass));
    p->retry_ns = 2 * wait_ns;
    return NUM_MIN(NUM_MAX(wait_ns, pass->refused_ns), p->interval_ns);
}

int64_t
store_sync_pace_jittered(int64_t wait_ns, uint64_t random)
{
    uint64_t spread_ns = (uint64_t)wait_ns / 5;
    return wait_ns - (int64_t)(spread_ns / 2) + (int64_t)(random % (spread_ns + 1));
}
