/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the blocks, for people and programs: a page and JSON of the same
 * data.
 */
#ifndef SIDECAR_STATUS_H
#define SIDECAR_STATUS_H

#include "common/app/admin.h"
#include "common/objstore/prices.h"
#include "sidecar/block_table.h"
#include "sidecar/heartbeat.h"

/* All is borrowed and must outlive the routes. */
struct sidecar_status {
    struct sidecar_block_table *table;
    struct app_admin *admin;
    const char *bucket;                 /* NULL: nothing is shipped */
    struct objstore_requests *requests; /* NULL: nobody counts any */
    struct objstore_prices prices;
    struct sidecar_heartbeat *_Atomic heartbeat; /* NULL: not started yet */
};

/* One moment. Times are of the wall clock; INT64_MIN: not known. */
struct sidecar_status_view {
    const char *bucket;
    bool is_ready;
    const char *reason; /* of not being ready */
    struct sidecar_prom_flags_verdict flags;
    int64_t now_ms;
    int64_t now_mono_ns;
    int64_t newest_shipped_ms; /* end of its time range */
    int64_t next_end_ms;       /* of the time range of the next block */
    int64_t next_at_ms;        /* when Prometheus is expected to write it */
    int64_t overdue_ms;        /* since then; 0: it is not */
    size_t older_unshipped;    /* blocks that wait behind newest_shipped_ms */
    int64_t oldest_age_ms;     /* of the blocks that wait; 0: none does */
    struct sidecar_block_rows rows;
    bool has_requests;
    struct objstore_request_figures requests;
    const struct objstore_prices *prices;
};

/* *view must be the zero value; release it with fini. */
void sidecar_status_look(const struct sidecar_status *s,
                         struct sidecar_status_view *view);
void sidecar_status_view_fini(struct sidecar_status_view *view);

/* The state in one word; "failed" while a block waits for another try. */
const char *sidecar_status_state(const struct sidecar_block_row *row);

/* Time since Prometheus made the block, and until it is tried again, 0 if it is not due
 * to a failure that it waits. */
int64_t sidecar_status_age_ms(const struct sidecar_status_view *view,
                              const struct sidecar_block_row *row);
int64_t sidecar_status_retry_ms(const struct sidecar_status_view *view,
                                const struct sidecar_block_row *row);

/* Append the answer of /api/v1/sidecar/status. */
void sidecar_status_json(const struct sidecar_status_view *view, struct buf *out);

/* Write the routes / and /api/v1/sidecar/status to at; returns their number, which is
 * SIDECAR_STATUS_ROUTES. */
enum { SIDECAR_STATUS_ROUTES = 2 };
size_t sidecar_status_routes(struct sidecar_status *s, struct net_http_route *at);

#endif
