/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/backoff.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* Guesses: short enough for a bucket that hiccups, long enough not to fill the log. */
#define SIDECAR_BACKOFF_FIRST_NS (5 * CLOCK_NS_PER_S)
#define SIDECAR_BACKOFF_LAST_NS (5 * 60 * CLOCK_NS_PER_S)

bool
sidecar_backoff_is_due(const struct sidecar_backoff *b, int64_t now_ns)
{
    return b->failures == 0 || now_ns >= b->retry_at_ns;
}

static int64_t
pause_after(unsigned failures, const struct tsdb_ulid *id)
{
    int64_t pause_ns = SIDECAR_BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < failures && pause_ns < SIDECAR_BACKOFF_LAST_NS; i++)
        pause_ns *= 2;
    pause_ns = NUM_MIN(pause_ns, SIDECAR_BACKOFF_LAST_NS);
    /* The end of an id is random. */
    return pause_ns - pause_ns / 4 * id->raw[TSDB_ULID_SIZE - 1] / UINT8_MAX;
}

int64_t
sidecar_backoff_failed(struct sidecar_backoff *b, const struct tsdb_ulid *id,
                       int64_t now_ns)
{
    if (b->failures < UINT8_MAX) /* far behind the longest pause */
        b->failures++;
    int64_t pause_ns = pause_after(b->failures, id);
    b->retry_at_ns = now_ns + pause_ns;
    return pause_ns;
}
