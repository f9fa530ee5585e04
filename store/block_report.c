/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_report.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "store/block_catalog.h"
#include "store/block_headers.h"

static const struct err *
failure_of(const struct store_entry *e)
{
    struct err err;
    if (e->block == NULL)
        return e->failure != NULL ? err_keep(e->failure) : NULL;
    return e->is_wanted && store_block_headers_failure(e->block, &err) ? err_keep(&err)
                                                                       : NULL;
}

struct store_block_report *
store_block_report_new(const struct store_catalog *c)
{
    struct store_block_report *r = xcalloc(1, sizeof *r);
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        count += !c->entries[i].is_served;
    r->blocks = xcalloc(count + 1, sizeof *r->blocks);
    for (size_t i = 0; i < c->count; i++) {
        const struct store_entry *e = &c->entries[i];
        if (e->is_served)
            continue;
        r->blocks[r->count++] = (struct store_unserved){
            .id = e->id,
            .state = e->state,
            .block = e->block != NULL ? store_block_ref(e->block) : NULL,
            .marked_ms = e->marked_ms,
            .failure = failure_of(e),
        };
    }
    atomic_init(&r->references, 1);
    return r;
}

struct store_block_report *
store_block_report_ref(struct store_block_report *r)
{
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

void
store_block_report_unref(struct store_block_report **out)
{
    struct store_block_report *r = TAKE(*out);
    if (r == NULL ||
        atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < r->count; i++) {
        store_block_unref(&r->blocks[i].block);
        err_forget(&r->blocks[i].failure);
    }
    free(r->blocks);
    free(r);
}
