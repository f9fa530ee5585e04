/* SPDX-License-Identifier: Apache-2.0 */
/* Hedged reads: a ranged read that takes longer than most is sent once more, and the
 * first that ends well wins. It cuts the tail of a store in which now and then a server
 * is slow. */
#ifndef COMMON_OBJSTORE_HEDGED_H
#define COMMON_OBJSTORE_HEDGED_H

#include "common/objstore/bucket.h"

/* Longer reads are sent once: further ones are collected in memory, four at a time. */
enum { OBJSTORE_HEDGED_MAX = 1 << 20 };

struct objstore_hedging {
    unsigned up_to;  /* requests in flight for one read, the first included; >= 2 */
    double quantile; /* of reads of this size; who takes longer is sent again; 0 to 1 */
};

/* Wrap *b, whose reads must end soon after they are cancelled: who lost is waited for.
 * At most 5 of 100 reads are sent again, whatever the quantile; none before 64 reads of
 * their size are known, and while a bucket that was wrapped with a retrier is
 * throttled, none at all. A hedged read fails when all its requests have failed.
 * Errors: a thread could not be started; *b is as it was. */
NODISCARD bool objstore_hedged_wrap(struct objstore_bucket **b,
                                    const struct objstore_hedging *how,
                                    struct err *err);

#endif
