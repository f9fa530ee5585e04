/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of a bucket, under the names of Thanos. */
#ifndef COMMON_OBJSTORE_MEASURED_H
#define COMMON_OBJSTORE_MEASURED_H

#include "common/metrics/registry.h"
#include "common/objstore/bucket.h"
#include "common/objstore/requests.h"

/* Wrap *b so that its calls are counted in registry (which must outlive it), all
 * combinations of labels from 0. Once per registry. Operations and no failures are a
 * head of an object that is not there, a create of one that is, a read of an empty one
 * from its start, a read that its sink ends, and a call that was cancelled; retries
 * inside *b are one operation. requests is what the driver of *b counts them in, and
 * owned by the wrapper from now on; NULL: it does not. */
void objstore_measured_wrap(struct objstore_bucket **b,
                            struct metrics_registry *registry,
                            struct objstore_requests *requests);

/* What was sent to a bucket that is measured; NULL: nothing is counted, as in a
 * directory. Lives as long as b. */
struct objstore_requests *objstore_measured_requests(const struct objstore_bucket *b);

#endif
