/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of the bucket that are not served, and why: what the sync publishes for
 * people, beside the set that it publishes for queries. Immutable and
 * reference-counted. */
#ifndef STORE_BLOCK_REPORT_H
#define STORE_BLOCK_REPORT_H

#include "store/block.h"
#include "store/block_filter.h"

struct store_catalog;

struct store_unserved {
    struct tsdb_ulid id;
    enum store_block_state state;
    struct store_block *block; /* referenced; NULL: its meta was never read */
    int64_t marked_ms;         /* time of its deletion mark, INT64_MAX for none */
    const struct err *failure; /* why it could not be read; NULL: it could */
};

struct store_block_report {
    size_t count;
    struct store_unserved *blocks; /* by ULID */
    /* private */
    atomic_uint references;
};

/* Of the entries that are not served, with one reference. */
struct store_block_report *store_block_report_new(const struct store_catalog *c);

struct store_block_report *store_block_report_ref(struct store_block_report *r);

/* Drop a reference. *r becomes NULL; accepts NULL. */
void store_block_report_unref(struct store_block_report **r);

#endif
