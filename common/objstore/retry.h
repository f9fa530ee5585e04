/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that tries again: three tries for transient errors, with a growing,
 * jittered wait between them, inside the caller's deadline. */
#ifndef COMMON_OBJSTORE_RETRY_H
#define COMMON_OBJSTORE_RETRY_H

#include "common/objstore/bucket.h"

/* One try. Called again after a transient error (err_is_transient). */
typedef bool objstore_try_fn(void *arg, struct err *err);

/* Returns what the last try did. A wait that would pass the deadline is not begun.
 * Errors also ERR_CANCELLED. */
NODISCARD bool objstore_retry(const struct objstore_call *call, objstore_try_fn *try,
                              void *arg, struct err *err);

/* Wrap *b so that head, reads, puts and deletes are retried, all of which may be done
 * twice. A read goes on where its last try stopped, so its sink sees each byte once.
 * Listings pass: a driver retries their pages. */
void objstore_retry_wrap(struct objstore_bucket **b);

#endif
