/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the process: one budget, and who gives way when it is spent. */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "common/base/budget_arbiter.h"
#include "common/base/memory.h"
#include "store/memory_metrics.h"
#include "store/page_cache.h"
#include "store/range_cache.h"

struct store_memory {
    struct budget budget;
    struct budget_arbiter arbiter;
    struct memory_keep keep;
    struct store_page_cache *pages; /* of index headers */
    size_t ranges_limit;            /* bytes that a range cache may take at most */
    size_t disk_index_limit;        /* bytes of memory for what is in the disk cache */
    /* private */
    struct store_memory_metrics metrics;
};

/* Divide limit bytes, and have the heap give back what is freed. *m outlives the last
 * exposition of metrics. Once in a process. */
void store_memory_init(struct store_memory *m, size_t limit,
                       struct metrics_registry *metrics);

/* Have a cache give way, too, which lives until nobody takes memory any more. */
void store_memory_add_ranges(struct store_memory *m, struct store_range_cache *ranges);

/* All that was taken has been given back. Accepts the zero value. */
void store_memory_fini(struct store_memory *m);

#endif
