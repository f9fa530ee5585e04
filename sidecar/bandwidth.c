/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/bandwidth.h"

#include "common/base/clock.h"
#include "common/base/num.h"

/* Covers the gap between two reads of a sender. A guess. */
#define SAVED_NS (100 * CLOCK_NS_PER_MS)

void
sidecar_bandwidth_init(struct sidecar_bandwidth *b, uint64_t bytes_per_s)
{
    *b = (struct sidecar_bandwidth){.bytes_per_s = bytes_per_s};
    mutex_init(&b->lock, LOCK_BANDWIDTH);
}

void
sidecar_bandwidth_fini(struct sidecar_bandwidth *b)
{
    mutex_fini(&b->lock);
}

int64_t
sidecar_bandwidth_book(struct sidecar_bandwidth *b, size_t bytes, int64_t now_ns)
{
    if (b->bytes_per_s == 0)
        return now_ns;
    double spent_ns = (double)bytes / (double)b->bytes_per_s * (double)CLOCK_NS_PER_S;
    MUTEX_SCOPE(&b->lock);
    int64_t start_ns = NUM_MAX(b->free_at_ns, now_ns - SAVED_NS);
    b->free_at_ns = start_ns + (int64_t)NUM_MIN(spent_ns, (double)CLOCK_NEVER / 4);
    return start_ns;
}

bool
sidecar_bandwidth_wait(struct sidecar_bandwidth *b, size_t bytes,
                       const struct cancel *cancel, struct err *err)
{
    int64_t now_ns = clock_mono_ns();
    int64_t start_ns = sidecar_bandwidth_book(b, bytes, now_ns);
    if (start_ns > now_ns && cancel_wait(cancel, start_ns - now_ns))
        return err_set(err, ERR_CANCELLED, "cancelled");
    return true;
}
