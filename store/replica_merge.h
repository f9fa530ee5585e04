/* SPDX-License-Identifier: Apache-2.0 */
/* Makes one series of those of several replicas, which scraped the same target at other
 * times: the penalty algorithm, as queriers of Thanos know it.
 *
 * Samples of one replica are taken as long as it has them; the other one is taken
 * instead when it has a sample and the first has none for twice the time between the
 * last two samples that were taken. So a gap is filled, and the rate of samples is that
 * of one replica. More than two are folded: the result of the first two with the third,
 * and so on. Where an expression counts (rate and the like), a replica that is switched
 * to and is behind the last value is lifted to it, and so are its later values, because
 * else the client would see a reset.
 *
 * What Thanos does otherwise: it lifts also the replica that it begins with, to a value
 * that it did not take, and lifting takes the bits of NaNs. */
#ifndef STORE_REPLICA_MERGE_H
#define STORE_REPLICA_MERGE_H

#include "common/base/arena.h"
#include "store/series.h"

/* A sequence of chunks that do not overlap, in time order. */
struct store_replica {
    const struct tsdb_timed_chunk *chunks; /* borrowed */
    size_t count;
};

struct store_replica_rule {
    int64_t mint_ms; /* samples outside decide nothing; both ends inclusive */
    int64_t maxt_ms;
    bool is_counter; /* lift values */
};

/* Whether values of what an expression calls are to be lifted, by its function. */
NODISCARD bool store_replica_is_counter(struct bytes func);

/* De-duplicate count (1 or more) replicas. A chunk all of whose samples in the range
 * are taken is passed on as it is, so that the first and the last one may reach beyond
 * the range; others are made anew, in arena, and start timestamps are lost.
 * Chunks of a replica that is not needed are not decoded. *out borrows from the
 * replicas and from arena. Errors ERR_CORRUPT; ERR_UNSUPPORTED: aggregated chunks;
 * ERR_BUDGET. */
NODISCARD bool store_replica_merge(const struct store_replica *replicas, size_t count,
                                   const struct store_replica_rule *rule,
                                   struct arena *arena, struct store_replica *out,
                                   struct err *err);

#endif
