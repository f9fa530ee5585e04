/* SPDX-License-Identifier: Apache-2.0 */
/* One limit of bytes per second over everything that is sent. */
#ifndef SIDECAR_BANDWIDTH_H
#define SIDECAR_BANDWIDTH_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/base/mutex.h"

struct sidecar_bandwidth {
    /* private */
    uint64_t bytes_per_s; /* 0: no limit */
    struct mutex lock;
    int64_t free_at_ns; /* guarded by lock: when all that was let through is gone */
};

void sidecar_bandwidth_init(struct sidecar_bandwidth *b, uint64_t bytes_per_s);
void sidecar_bandwidth_fini(struct sidecar_bandwidth *b);

/* Book bytes behind those that are booked already; returns when they may be sent. Time
 * that nobody used is not saved up, but for a tenth of a second. Any thread. */
int64_t sidecar_bandwidth_book(struct sidecar_bandwidth *b, size_t bytes,
                               int64_t now_ns);

/* Book bytes and wait until they may be sent. Any thread. Errors ERR_CANCELLED. */
NODISCARD bool sidecar_bandwidth_wait(struct sidecar_bandwidth *b, size_t bytes,
                                      const struct cancel *cancel, struct err *err);

#endif
