/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/status.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/codec/html.h"
#include "common/codec/json_writer.h"
#include "sidecar/status_page.h"

/* A block may hold any two times. */
static int64_t
length_ms_of(const struct sidecar_block *b)
{
    int64_t length_ms;
    return num_sub(b->maxt_ms, b->mint_ms, &length_ms) ? length_ms : INT64_MAX;
}

/* Prometheus writes a block when its head reaches half a block beyond it. The length of
 * blocks is that of the longest it has written so far. */
static void
expect_next(struct sidecar_status_view *view)
{
    int64_t end_ms = INT64_MIN, length_ms = 0;
    for (size_t i = 0; i < view->rows.count; i++) {
        const struct sidecar_block *b = &view->rows.at[i].block;
        if (b->level != 1)
            continue;
        end_ms = NUM_MAX(end_ms, b->maxt_ms);
        length_ms = NUM_MAX(length_ms, length_ms_of(b));
    }
    if (length_ms > 0 && num_add(end_ms, length_ms, &view->next_end_ms) &&
        num_add(view->next_end_ms, length_ms / 2, &view->next_at_ms))
        return;
    view->next_end_ms = INT64_MIN;
    view->next_at_ms = INT64_MIN;
}

static void
add_waiting(struct sidecar_status_view *view, const struct sidecar_block_row *row)
{
    view->oldest_age_ms =
        NUM_MAX(view->oldest_age_ms, sidecar_status_age_ms(view, row));
    view->older_unshipped += sidecar_block_row_has_range(row) &&
                             row->block.mint_ms < view->newest_shipped_ms;
}

void
sidecar_status_look(const struct sidecar_status *s, struct sidecar_status_view *view)
{
    view->bucket = s->bucket;
    view->prices = &s->prices;
    view->has_requests = s->requests != NULL;
    if (view->has_requests)
        objstore_requests_look(s->requests, &view->requests);
    struct sidecar_heartbeat *heartbeat = atomic_load(&s->heartbeat);
    if (heartbeat != NULL)
        view->flags = sidecar_heartbeat_flags(heartbeat);
    view->is_ready = app_admin_is_ready(s->admin, &view->reason);
    view->now_ms = clock_wall_ns() / CLOCK_NS_PER_MS;
    view->now_mono_ns = clock_mono_ns();
    sidecar_block_table_copy(s->table, &view->rows);
    view->newest_shipped_ms = view->rows.newest_shipped_ms;
    for (size_t i = 0; i < view->rows.count; i++)
        if (!sidecar_block_row_is_settled(&view->rows.at[i]))
            add_waiting(view, &view->rows.at[i]);
    expect_next(view);
    int64_t overdue_ms;
    if (view->next_at_ms != INT64_MIN &&
        num_sub(view->now_ms, view->next_at_ms, &overdue_ms))
        view->overdue_ms = NUM_MAX(overdue_ms, INT64_C(0));
}

void
sidecar_status_view_fini(struct sidecar_status_view *view)
{
    sidecar_block_rows_fini(&view->rows);
}

const char *
sidecar_status_state(const struct sidecar_block_row *row)
{
    bool is_running =
        row->state == SIDECAR_BLOCK_CHECKING || row->state == SIDECAR_BLOCK_UPLOADING;
    return row->code != ERR_NONE && !is_running ? "failed"
                                                : sidecar_block_state_name(row->state);
}

int64_t
sidecar_status_age_ms(const struct sidecar_status_view *view,
                      const struct sidecar_block_row *row)
{
    return NUM_MAX(view->now_ms - tsdb_ulid_time_ms(&row->block.id), INT64_C(0));
}

int64_t
sidecar_status_retry_ms(const struct sidecar_status_view *view,
                        const struct sidecar_block_row *row)
{
    if (row->backoff.failures == 0)
        return 0;
    return NUM_MAX(row->backoff.retry_at_ns - view->now_mono_ns, INT64_C(0)) /
           CLOCK_NS_PER_MS;
}

static void
put_row(struct json_writer *w, const struct sidecar_status_view *view,
        const struct sidecar_block_row *row)
{
    json_writer_open(w, NULL, '{');
    json_writer_put_str(w, "ulid", tsdb_ulid_print(&row->block.id).text);
    json_writer_put_str(w, "state", sidecar_status_state(row));
    if (sidecar_block_row_has_range(row)) {
        json_writer_put_i64(w, "minTime", row->block.mint_ms);
        json_writer_put_i64(w, "maxTime", row->block.maxt_ms);
        json_writer_put_i64(w, "level", row->block.level);
    }
    json_writer_put_u64(w, "sizeBytes", row->size);
    json_writer_put_u64(w, "sentBytes", row->sent);
    json_writer_put_i64(w, "ageSeconds", sidecar_status_age_ms(view, row) / 1000);
    json_writer_put_i64(w, "failures", row->backoff.failures);
    if (row->reason != NULL) {
        json_writer_put_str(w, "code", err_code_name(row->code));
        json_writer_put_str(w, "reason", row->reason);
        json_writer_put_i64(w, "retrySeconds",
                            sidecar_status_retry_ms(view, row) / 1000);
    }
    json_writer_close(w, '{');
}

static void
put_prometheus(struct json_writer *w, const struct sidecar_status_view *view)
{
    json_writer_open(w, "prometheus", '{');
    json_writer_put_bool(w, "ready", view->is_ready);
    json_writer_put_str(w, "reason", view->reason);
    json_writer_put_str(w, "flags", view->flags.text);
    json_writer_close(w, '{');
}

void
sidecar_status_json(const struct sidecar_status_view *view, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_writer_open(&w, NULL, '{');
    json_writer_put_str(&w, "status", "success");
    json_writer_open(&w, "data", '{');
    put_prometheus(&w, view);
    if (view->bucket != NULL)
        json_writer_put_str(&w, "bucket", view->bucket);
    if (view->rows.trouble != NULL)
        json_writer_put_str(&w, "dataDirectoryTrouble", view->rows.trouble);
    json_writer_put_time(&w, "newestShippedMaxTime", view->newest_shipped_ms);
    json_writer_put_u64(&w, "olderUnshippedBlocks", view->older_unshipped);
    json_writer_put_time(&w, "nextBlockMaxTime", view->next_end_ms);
    json_writer_put_time(&w, "nextBlockExpectedAt", view->next_at_ms);
    json_writer_put_i64(&w, "nextBlockOverdueSeconds", view->overdue_ms / 1000);
    json_writer_put_i64(&w, "oldestUnshippedAgeSeconds", view->oldest_age_ms / 1000);
    if (view->has_requests)
        objstore_prices_json(view->prices, &view->requests, &w);
    json_writer_open(&w, "blocks", '[');
    for (size_t i = 0; i < view->rows.count; i++)
        put_row(&w, view, &view->rows.at[i]);
    json_writer_close(&w, '[');
    json_writer_close(&w, '{');
    json_writer_close(&w, '{');
}

static void
on_json(void *arg, struct net_http_exchange *x)
{
    CLEANUP(sidecar_status_view_fini) struct sidecar_status_view view = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    sidecar_status_look(arg, &view);
    sidecar_status_json(&view, &text);
    net_http_reply(x, 200, "application/json", buf_bytes(&text));
}

static void
on_page(void *arg, struct net_http_exchange *x)
{
    CLEANUP(sidecar_status_view_fini) struct sidecar_status_view view = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    sidecar_status_look(arg, &view);
    sidecar_status_page(&view, &text);
    net_http_exchange_add_header(x, HTML_CSP_NAME, HTML_CSP);
    net_http_reply(x, 200, "text/html; charset=utf-8", buf_bytes(&text));
}

size_t
sidecar_status_routes(struct sidecar_status *s, struct net_http_route *at)
{
    const struct net_http_route routes[SIDECAR_STATUS_ROUTES] = {
        {.method = "GET", .path = "/", .name = "page", .handler = on_page, .arg = s},
        {.method = "GET",
         .path = "/api/v1/sidecar/status",
         .name = "status",
         .handler = on_json,
         .arg = s},
    };
    memcpy(at, routes, sizeof routes);
    return SIDECAR_STATUS_ROUTES;
}
