/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/patience.h"

#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/num.h"

static const int64_t MEMORY_NS = 30 * 60 * CLOCK_NS_PER_S;

static bool
is_remembered(int64_t at_ns, int64_t now_ns)
{
    return at_ns != 0 && now_ns - at_ns < MEMORY_NS;
}

int64_t
net_patience_limit(const struct net_patience *p, int64_t now_ns, int64_t most_ns)
{
    if (p == NULL)
        return most_ns;
    int64_t limit_ns = NUM_MAX(p->first_ns, atomic_load(&p->grown_ns));
    if (is_remembered(atomic_load(&p->slow_at_ns), now_ns))
        limit_ns = NUM_MAX(limit_ns, atomic_load(&p->slow_ns));
    return NUM_MIN(limit_ns, most_ns);
}

/* Requests that fall silent together double it once. */
void
net_patience_note_silence(struct net_patience *p, int64_t now_ns, int64_t limit_ns,
                          int64_t most_ns)
{
    if (p == NULL)
        return;
    if (is_remembered(atomic_load(&p->answered_ns), now_ns))
        most_ns = NUM_MIN(most_ns, 2 * p->first_ns);
    int64_t wanted_ns = limit_ns < most_ns / 2 ? 2 * limit_ns : most_ns;
    int64_t old_ns = atomic_load(&p->grown_ns);
    while (wanted_ns > old_ns &&
           !atomic_compare_exchange_weak(&p->grown_ns, &old_ns, wanted_ns))
        continue;
}

void
net_patience_note_answer(struct net_patience *p, int64_t now_ns, int64_t silence_ns)
{
    if (p == NULL)
        return;
    if (silence_ns > p->first_ns) {
        atomic_store(&p->slow_ns, 2 * silence_ns);
        atomic_store(&p->slow_at_ns, now_ns);
    }
    atomic_store(&p->grown_ns, 0);
    atomic_store(&p->answered_ns, now_ns);
}
