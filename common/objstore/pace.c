/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that ticks once for each request that the server will probably accept. Its
 * ticks are given away in order: a thread that holds tick n sends when the clock shows
 * n. So threads are served in the order they came, a change of the rate concerns those
 * that wait already, and ticks that nobody wanted are lost, not saved for a burst.
 *
 * How fast it ticks is learned from refusals. One of them means:
 *  - the server had enough. Nothing is sent for a pause, which doubles while the
 *    requests after it are refused, too: servers that count by the second refuse all
 *    until the next second begins. Retry-After is such a pause.
 *  - the rate was too high. It is cut below the peak: what the server has accepted in
 *    the last second. Only once a second: the refusals of one second have one cause.
 * From there the rate rises as a cubic does: fast at first, flat near the peak, where
 * the limit was; and then faster and faster beyond it, for limits change. After a while
 * without refusals there is no rate any more. */
#include "common/objstore/pace.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* Of the peak. Low enough to empty the queue of a server that has one; each hundredth
 * costs as much throughput in the seconds after a cut. */
#define CUT_TO 0.85
/* Seconds from a cut to the peak: several of a server that counts by the second. */
#define RISE_S 2.0
/* Seconds behind those until the rate is three times the peak. */
#define EXPLORE_S 4.0
/* So much faster after the first refusal, when the peak may just be want of demand. */
#define HURRY 4
#define CUT_EVERY_NS CLOCK_NS_PER_S
/* A peak is cut at most to this part at once: a second in which little passed, because
 * of a pause, says little. */
#define MIN_CUT 0.25
/* No store that is worth the name allows less; and with less, nothing would be learned
 * within a caller's deadline. */
#define MIN_RATE 1.0
#define MIN_FIRST_PEAK 10.0
#define MIN_PAUSE_NS (50 * CLOCK_NS_PER_MS)
#define MAX_PAUSE_NS CLOCK_NS_PER_S
/* No odd answer stops a bucket for longer. */
#define MAX_RETRY_AFTER_NS (60 * CLOCK_NS_PER_S)
#define QUIET_NS (30 * CLOCK_NS_PER_S)

void
objstore_pace_init(struct objstore_pace *p, int64_t now_ns)
{
    *p = (struct objstore_pace){.counted_ns = now_ns};
    mutex_init(&p->lock, LOCK_PACE);
}

void
objstore_pace_fini(struct objstore_pace *p)
{
    mutex_fini(&p->lock);
}

bool
objstore_pace_is_on(const struct objstore_pace *p)
{
    return atomic_load_explicit(&p->is_on, memory_order_relaxed);
}

static uint32_t
second_of(int64_t now_ns)
{
    return (uint32_t)(now_ns / CLOCK_NS_PER_S);
}

static void
count_accepted(struct objstore_pace *p, int64_t now_ns)
{
    uint32_t second = second_of(now_ns);
    _Atomic uint64_t *slot = &p->accepted[second % OBJSTORE_PACE_SECONDS];
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t new;
    do
        new = (old >> 32 == second ? old : (uint64_t)second << 32) + 1;
    while (!atomic_compare_exchange_weak_explicit(slot, &old, new, memory_order_relaxed,
                                                  memory_order_relaxed));
}

static double
accepted_in(const struct objstore_pace *p, uint32_t second)
{
    uint64_t slot = atomic_load_explicit(&p->accepted[second % OBJSTORE_PACE_SECONDS],
                                         memory_order_relaxed);
    return slot >> 32 == second ? (double)(uint32_t)slot : 0;
}

/* What the server accepts in a second: in the last one of the calendar, or in those of
 * it and of the current one that make up the last 10^9 nanoseconds. */
static double
recently_accepted(const struct objstore_pace *p, int64_t now_ns)
{
    uint32_t second = second_of(now_ns);
    double before = accepted_in(p, second - 1);
    double part = (double)(now_ns % CLOCK_NS_PER_S) / (double)CLOCK_NS_PER_S;
    return NUM_MAX(before, accepted_in(p, second) + before * (1 - part));
}

static double
rate_at(const struct objstore_pace *p, int64_t now_ns)
{
    double t = (double)(now_ns - p->cut_ns) / (double)CLOCK_NS_PER_S;
    t *= p->is_guess ? HURRY : 1;
    double rise = (t - RISE_S) / (t < RISE_S ? RISE_S : EXPLORE_S);
    double square = rise * rise;
    double part =
        t < RISE_S ? 1 + (1 - CUT_TO) * square * rise : 1 + square + square * square;
    return NUM_MAX(p->peak * part, MIN_RATE);
}

/* Let the clock tick up to now. It stands still between two episodes: the rate would
 * have risen beyond what a double counts one by one. */
static void
advance(struct objstore_pace *p, int64_t now_ns)
{
    int64_t since_ns = NUM_MAX(p->counted_ns, p->resume_ns);
    if (objstore_pace_is_on(p) && now_ns > since_ns)
        p->ticks +=
            rate_at(p, now_ns) * (double)(now_ns - since_ns) / (double)CLOCK_NS_PER_S;
    p->counted_ns = NUM_MAX(now_ns, p->counted_ns);
}

/* The clock is up to date. */
static int64_t
left_until(const struct objstore_pace *p, int64_t now_ns, double turn)
{
    if (!objstore_pace_is_on(p))
        return 0;
    int64_t paused_ns = NUM_MAX(p->resume_ns - now_ns, INT64_C(0));
    if (turn <= p->ticks)
        return paused_ns;
    double seconds = (turn - p->ticks) / rate_at(p, now_ns);
    return paused_ns + 1 + (int64_t)(seconds * (double)CLOCK_NS_PER_S);
}

bool
objstore_pace_take(struct objstore_pace *p, int64_t now_ns, int64_t deadline_ns,
                   double *turn, int64_t *left_ns)
{
    MUTEX_SCOPE(&p->lock);
    advance(p, now_ns);
    *turn = NUM_MAX(p->next, p->ticks);
    *left_ns = left_until(p, now_ns, *turn);
    if (*left_ns > 0 && *left_ns >= deadline_ns - now_ns)
        return false;
    p->next = *turn + 1;
    return true;
}

int64_t
objstore_pace_left_ns(struct objstore_pace *p, int64_t now_ns, double turn)
{
    MUTEX_SCOPE(&p->lock);
    advance(p, now_ns);
    return left_until(p, now_ns, turn);
}

void
objstore_pace_return(struct objstore_pace *p)
{
    /* The turn of another one, perhaps; but all in all there are as many as before. */
    MUTEX_SCOPE(&p->lock);
    p->next -= 1;
}

void
objstore_pace_accepted(struct objstore_pace *p, int64_t now_ns, int64_t sent_ns)
{
    count_accepted(p, now_ns);
    if (!objstore_pace_is_on(p))
        return;
    MUTEX_SCOPE(&p->lock);
    if (sent_ns >= p->resume_ns)
        p->pause_ns = 0;
}

static void
cut(struct objstore_pace *p, int64_t now_ns, bool is_first)
{
    double accepted = recently_accepted(p, now_ns);
    double rate = rate_at(p, now_ns);
    /* While the rate rises that fast, the mean of a second is too low. */
    if (p->is_guess)
        accepted *= 2;
    p->peak = is_first ? NUM_MAX(accepted, MIN_FIRST_PEAK)
                       : NUM_MIN(rate, NUM_MAX(accepted, p->peak * MIN_CUT));
    p->is_guess = is_first;
    p->cut_ns = now_ns;
}

static void
pause_until(struct objstore_pace *p, int64_t now_ns, int64_t sent_ns,
            int64_t retry_after_ns)
{
    /* What was on its way when the pause began does not make it longer. */
    if (p->pause_ns == 0 || sent_ns >= p->paused_ns) {
        p->pause_ns = NUM_MIN(NUM_MAX(2 * p->pause_ns, MIN_PAUSE_NS), MAX_PAUSE_NS);
        p->paused_ns = now_ns;
        p->resume_ns = NUM_MAX(p->resume_ns, now_ns + p->pause_ns);
    }
    p->resume_ns =
        NUM_MAX(p->resume_ns, now_ns + NUM_MIN(retry_after_ns, MAX_RETRY_AFTER_NS));
}

bool
objstore_pace_refused(struct objstore_pace *p, int64_t now_ns, int64_t sent_ns,
                      int64_t retry_after_ns)
{
    MUTEX_SCOPE(&p->lock);
    bool begins = !objstore_pace_is_on(p);
    advance(p, now_ns);
    if (begins || (sent_ns >= p->cut_ns && now_ns - p->cut_ns >= CUT_EVERY_NS))
        cut(p, now_ns, begins);
    pause_until(p, now_ns, sent_ns, retry_after_ns);
    p->refused_ns = now_ns;
    atomic_store(&p->is_on, true);
    return begins;
}

bool
objstore_pace_forget(struct objstore_pace *p, int64_t now_ns)
{
    MUTEX_SCOPE(&p->lock);
    if (!objstore_pace_is_on(p) || now_ns < p->resume_ns ||
        now_ns - p->refused_ns < QUIET_NS)
        return false;
    p->pause_ns = 0;
    p->is_guess = false;
    atomic_store(&p->is_on, false);
    return true;
}

double
objstore_pace_rate(struct objstore_pace *p, int64_t now_ns)
{
    MUTEX_SCOPE(&p->lock);
    return rate_at(p, now_ns);
}
