/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of a bucket, under the names of Thanos. */
#ifndef COMMON_OBJSTORE_MEASURED_H
#define COMMON_OBJSTORE_MEASURED_H

#include "common/metrics/registry.h"
#include "common/objstore/bucket.h"

/* Wrap *b so that its calls are counted in registry (which must outlive it), all
 * combinations of labels from 0. Once per registry. A head of an object that is not
 * there, and a call that was cancelled, are operations and no failures; retries inside
 * *b are one operation. */
void objstore_measured_wrap(struct objstore_bucket **b,
                            struct metrics_registry *registry);

#endif
