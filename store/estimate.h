/* SPDX-License-Identifier: Apache-2.0 */
/* A guess of what a request will read, before it is admitted: from the labels that it
 * demands, the lengths of their postings, and how much of headers it will look at.
 * Nothing is fetched, and looking at series ends as soon as the request is not small.
 */
#ifndef STORE_ESTIMATE_H
#define STORE_ESTIMATE_H

#include "store/block_choice.h"

/* What a small request reads at most: a dashboard's panel over days. */
enum {
    STORE_ESTIMATE_SMALL_CHUNKS = 10000,
    STORE_ESTIMATE_SMALL_BLOCKS = 64,
    STORE_ESTIMATE_SMALL_LOOKUPS = 16 * 1024
};

/* The zero value is a request of no query. */
struct store_estimate {
    uint64_t chunks;  /* of a small request, series counted as some */
    uint64_t blocks;  /* that may have some of the series */
    uint64_t lookups; /* of label pairs in headers */
    bool is_unknown;  /* a header is not there yet, or cannot be read */
};

/* One query of a request, as far as it is told without a regular expression. */
struct store_estimate_query {
    struct tsdb_labels demanded; /* the series have all of them */
    uint64_t alternatives;       /* pairs that are looked up besides, in each block */
    const struct bytes *scanned; /* labels of which every value is looked at */
    size_t scanned_count;
    struct store_time_range range;
};

/* Add a query that these blocks will answer. Reads pages of headers that are there, and
 * has the others built. */
void store_estimate_add(struct store_estimate *e,
                        const struct store_block_choice *blocks,
                        const struct store_estimate_query *q);

NODISCARD bool store_estimate_is_small(const struct store_estimate *e);

/* Pairs that a matcher with this regular expression may look up. */
uint64_t store_estimate_alternatives(struct bytes regex);

#endif
