/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that tries again: after transient errors, with a growing, jittered
 * wait between the tries, inside the caller's deadline. */
#ifndef COMMON_OBJSTORE_RETRY_H
#define COMMON_OBJSTORE_RETRY_H

#include "common/objstore/bucket.h"

/* What all threads that use one bucket share: its quota of further tries, so that a
 * dead server is not asked ten times as often as a living one, and the rate of requests
 * that a server which throttles accepts (pace.h). Before it throttles there is no
 * limit, and the cost is a few atomic operations. */
struct objstore_retrier;

struct objstore_retrier_options {
    unsigned max_tries; /* of one call; 0: 10, as in minio-go */
};

struct objstore_retrier *
objstore_retrier_new(const struct objstore_retrier_options *options);

/* Accepts NULL inside; *r becomes NULL. */
void objstore_retrier_free(struct objstore_retrier **r);

/* Whether requests are limited because the server refused some a short while ago. */
bool objstore_retrier_is_throttled(const struct objstore_retrier *r);

/* One try. Called again after a transient error (err_is_transient). */
typedef bool objstore_try_fn(void *arg, struct err *err);

/* Returns what the last try did; errors after several say how many. A wait that would
 * pass the deadline is not begun. What the server asked to wait is waited, for up to a
 * minute.
 * Errors also ERR_CANCELLED, ERR_THROTTLED (the first try would come too late). r may
 * be NULL: then there is one try. */
NODISCARD bool objstore_retry(struct objstore_retrier *r,
                              const struct objstore_call *call, objstore_try_fn *try,
                              void *arg, struct err *err);

/* Wrap *b so that head, reads and deletes are retried, all of which may be done twice.
 * A read goes on where its last try stopped, so its sink sees each byte once. Listings
 * and puts pass: a driver that makes them of several requests retries each of these,
 * with the same r. The wrapper owns r from now on. */
void objstore_retry_wrap(struct objstore_bucket **b, struct objstore_retrier *r);

/* The retrier in the outermost wrapper of b, NULL if that is no retry wrapper. Lives as
 * long as b. */
const struct objstore_retrier *objstore_retrier_of(const struct objstore_bucket *b);

#endif
