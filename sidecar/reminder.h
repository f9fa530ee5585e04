/* SPDX-License-Identifier: Apache-2.0 */
/* When to log a trouble that lasts: at once when it is new or another one, and then
 * once a minute. The zero value is no trouble. One thread. */
#ifndef SIDECAR_REMINDER_H
#define SIDECAR_REMINDER_H

#include "common/base/clock.h"

struct sidecar_reminder {
    /* private */
    int trouble; /* 0: none */
    int64_t due_ns;
};

/* Whether to log this trouble, a number above 0, now. After it is over *r is set to the
 * zero value. */
static inline bool
sidecar_reminder_is_due(struct sidecar_reminder *r, int trouble)
{
    if (trouble == r->trouble && clock_left_ns(r->due_ns) > 0)
        return false;
    r->trouble = trouble;
    r->due_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    return true;
}

#endif
