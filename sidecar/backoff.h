/* SPDX-License-Identifier: Apache-2.0 */
/* When to try a failed block again: each has its own clock, so that one that always
 * fails costs the others nothing. */
#ifndef SIDECAR_BACKOFF_H
#define SIDECAR_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/tsdb/ulid.h"

/* The zero value has not failed: a success sets it. Times are of clock_mono_ns. */
struct sidecar_backoff {
    unsigned failures; /* in a row */
    int64_t retry_at_ns;
};

/* Whether a block may be tried: it has not failed, or its pause is over. */
NODISCARD bool sidecar_backoff_is_due(const struct sidecar_backoff *b, int64_t now_ns);

/* A try failed. The pause doubles with each failure from 5 s to
 * 5 min, less up to a quarter that depends on the block, so that many
 * sidecars do not come back at once. Returns it. */
int64_t sidecar_backoff_failed(struct sidecar_backoff *b, const struct tsdb_ulid *id,
                               int64_t now_ns);

#endif
