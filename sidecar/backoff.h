/* SPDX-License-Identifier: Apache-2.0 */
/* When to try a failed block again: each has its own clock, so that one that always
 * fails costs the others nothing. Only failed blocks take memory. One thread. */
#ifndef SIDECAR_BACKOFF_H
#define SIDECAR_BACKOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/tsdb/ulid.h"

struct sidecar_backoff_entry {
    struct tsdb_ulid id;
    unsigned failures;
    int64_t retry_at_ns;
};

/* The zero value is empty. Times are of clock_mono_ns. */
struct sidecar_backoff {
    size_t count;
    struct sidecar_backoff_entry *entries;
};

/* Whether a block may be tried: it has not failed, or its pause is over. */
NODISCARD bool sidecar_backoff_is_due(const struct sidecar_backoff *b,
                                      const struct tsdb_ulid *id, int64_t now_ns);

/* A try failed. The pause doubles with each failure from 5 s to
 * 5 min, less up to a quarter that depends on the block, so that many
 * sidecars do not come back at once. Returns it. */
int64_t sidecar_backoff_failed(struct sidecar_backoff *b, const struct tsdb_ulid *id,
                               int64_t now_ns);

/* A try succeeded, or the block is gone: forget it. */
void sidecar_backoff_forget(struct sidecar_backoff *b, const struct tsdb_ulid *id);

/* Time of the next retry behind now_ns, CLOCK_NEVER if none is pending. What is due
 * already and was not tried is a block that is gone, or one that waits for something
 * else: it is no reason to hurry. */
int64_t sidecar_backoff_next_ns(const struct sidecar_backoff *b, int64_t now_ns);

/* Forget the blocks that nobody has tried although they have been due for longer than
 * the longest pause: they are gone. */
void sidecar_backoff_prune(struct sidecar_backoff *b, int64_t now_ns);

void sidecar_backoff_fini(struct sidecar_backoff *b);

#endif
