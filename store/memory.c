/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memory.h"

#include <malloc.h>

#include "common/base/num.h"

enum {
    PAGE_CACHE_SHARE = 8, /* of the memory limit */
    RANGE_CACHE_SHARE = 4,
    DISK_INDEX_SHARE = 32,
    /* For freed memory that is used again; with a third of the most that is, twenty
     * broad queries took a third more time of the CPU. */
    KEEP_SHARE = 8,
    KEEP_MAX = 48 * 1024 * 1024,
    HEAP_LARGE = 128 * 1024,
    HEAP_TRIM = 1024 * 1024,
    PAGE_CACHE_MAX = 64 * 1024 * 1024
};

static size_t
reclaim_pages(void *pages, size_t want)
{
    return store_page_cache_reclaim(pages, want);
}

static size_t
reclaim_ranges(void *ranges, size_t want)
{
    return store_range_cache_reclaim(ranges, want);
}

/* The heap holds what is small, and what is freed at its end goes back to the system. A
 * threshold that is set stays as it is; else it would grow with the first large piece
 * that is freed. */
static void
set_malloc_up(void)
{
    mallopt(M_MMAP_THRESHOLD, HEAP_LARGE);
    mallopt(M_TRIM_THRESHOLD, HEAP_TRIM);
}

void
store_memory_init(struct store_memory *m, size_t limit,
                  struct metrics_registry *metrics)
{
    set_malloc_up();
    budget_init(&m->budget, "process (--store.memory-limit)", limit, NULL);
    budget_arbiter_init(&m->arbiter, &m->budget);
    memory_keep_init(&m->keep, &m->budget,
                     NUM_MIN(limit / KEEP_SHARE, (size_t)KEEP_MAX));
    budget_arbiter_add_cache(&m->arbiter, memory_keep_reclaim, &m->keep);
    store_memory_metrics_init(&m->metrics, &m->budget, &m->arbiter, metrics);
    m->pages = store_page_cache_new(
        NUM_MIN(limit / PAGE_CACHE_SHARE, (size_t)PAGE_CACHE_MAX), &m->budget);
    budget_arbiter_add_cache(&m->arbiter, reclaim_pages, m->pages);
    m->ranges_limit = limit / RANGE_CACHE_SHARE;
    m->disk_index_limit = limit / DISK_INDEX_SHARE;
}

void
store_memory_add_ranges(struct store_memory *m, struct store_range_cache *ranges)
{
    budget_arbiter_add_cache(&m->arbiter, reclaim_ranges, ranges);
}

void
store_memory_fini(struct store_memory *m)
{
    store_page_cache_free(&m->pages);
    memory_keep_fini(&m->keep);
    budget_arbiter_fini(&m->arbiter);
    budget_fini(&m->budget);
}
