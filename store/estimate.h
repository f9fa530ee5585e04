/* SPDX-License-Identifier: Apache-2.0 */
/* A guess of what a request will read, before it is admitted: from the labels that it
 * demands and the lengths of their postings. No regular expression is made, nothing is
 * fetched, and looking at series ends as soon as the request is not small. */
#ifndef STORE_ESTIMATE_H
#define STORE_ESTIMATE_H

#include "store/block_set.h"

/* What a small request reads at most: a dashboard's panel over days. */
enum {
    STORE_ESTIMATE_SMALL_CHUNKS = 10000,
    STORE_ESTIMATE_SMALL_BLOCKS = 64,
    STORE_ESTIMATE_SMALL_LOOKUPS = 256
};

/* The zero value is a request of no query. */
struct store_estimate {
    uint64_t chunks;  /* of a small request */
    uint64_t blocks;  /* that may have some of the series */
    uint64_t lookups; /* of label pairs in headers */
    bool is_unknown;  /* a header could not be read: the query will say why */
};

/* Add a query for series that have all of the demanded labels, in a range of both ends
 * inclusive. Reads pages of headers. */
void store_estimate_add(struct store_estimate *e, const struct store_block_set *blocks,
                        struct tsdb_labels demanded, int64_t mint_ms, int64_t maxt_ms);

NODISCARD bool store_estimate_is_small(const struct store_estimate *e);

#endif
