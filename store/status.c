/* SPDX-License-Identifier: Apache-2.0 */
#include "store/status.h"

#include "common/app/api_reply.h"
#include "common/app/bucket.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/codec/html.h"
#include "common/objstore/measured.h"
#include "store/api_blocks.h"
#include "store/status_json.h"
#include "store/status_page.h"

bool
store_status_configure(struct store_status *s, const struct store_options *o,
                       struct err *err)
{
    s->info = (struct app_info){.table = store_options_table(), .options = o};
    s->label = o->web_label;
    s->has_pages = !o->web_disable;
    return app_bucket_prices(&s->prices, o->request_prices, o->request_prices_file,
                             err);
}

static void
look_at_memory(const struct store_status *s, struct store_status_view *view)
{
    view->memory_limit = budget_limit(s->budget);
    view->memory_used = budget_used(s->budget);
    view->memory_peak = budget_peak(s->budget);
    view->memory_kept = memory_keep_held(s->keep);
    view->memory_waiting = budget_arbiter_waiting(s->arbiter);
    view->pages_held = store_page_cache_held(s->pages);
    view->pages_limit = store_page_cache_limit(s->pages);
    if (s->ranges == NULL)
        return;
    view->ranges_limit = store_range_cache_limit(s->ranges);
    view->ranges = store_range_cache_counts(s->ranges);
}

static void
look_at_disk(const struct store_status *s, struct store_status_view *view)
{
    view->disk_limit = s->disk_usage->limit;
    for (int kind = 0; kind < STORE_DISK_KINDS; kind++)
        view->disk_used[kind] =
            store_disk_usage_bytes(s->disk_usage, (enum store_disk_kind)kind);
    view->has_disk_cache = s->disk != NULL;
    if (s->disk == NULL)
        return;
    view->disk_cache_limit = store_disk_usage_cache_room(s->disk_usage);
    view->disk = store_disk_cache_counts(s->disk);
}

static void
look_at_requests(const struct store_status *s, struct store_status_view *view)
{
    struct objstore_requests *requests = objstore_measured_requests(s->bucket);
    view->prices = &s->prices;
    view->has_requests =
        requests != NULL && !objstore_can(s->bucket, OBJSTORE_IS_LOCAL);
    if (view->has_requests)
        objstore_requests_look(requests, &view->requests);
}

void
store_status_look(const struct store_status *s, struct store_status_view *view)
{
    view->is_ready = app_admin_is_ready(s->admin, &view->reason);
    view->bucket = objstore_name(s->bucket);
    view->now_ms = clock_wall_ns() / CLOCK_NS_PER_MS;
    store_sync_progress_look(store_block_sync_progress(s->sync), &view->sync);
    view->next_sync_ms =
        view->sync.next_ns == 0
            ? INT64_MIN
            : view->now_ms + clock_left_ns(view->sync.next_ns) / CLOCK_NS_PER_MS;
    view->rows.set = store_block_view_get(s->view);
    view->rows.report = TAKE(view->sync.report);
    store_status_rows_select(&view->rows, &view->query);
    view->load = store_api_read_load(s->read);
    look_at_memory(s, view);
    look_at_disk(s, view);
    look_at_requests(s, view);
}

void
store_status_view_fini(struct store_status_view *view)
{
    store_status_rows_fini(&view->rows);
    store_sync_moment_fini(&view->sync);
}

/* An argument that is a number of digits only; without it *out stays. */
static bool
read_number(const struct net_http_exchange *x, const char *name, uint64_t *out,
            struct err *err)
{
    const char *text = net_http_exchange_arg(x, name);
    uint64_t value = 0;
    if (text == NULL)
        return true;
    bool ok = *text != 0;
    for (const char *at = text; ok && *at != 0; at++)
        ok = *at >= '0' && *at <= '9' && num_mul(value, UINT64_C(10), &value) &&
             num_add(value, (uint64_t)(*at - '0'), &value);
    *out = value;
    return ok || err_set(err, ERR_INVALID, "%s: \"%s\" is no number", name, text);
}

static bool
read_query(const struct net_http_exchange *x, struct store_status_query *q,
           struct err *err)
{
    const char *words = net_http_exchange_arg(x, "q");
    *q = (struct store_status_query){.words = bytes_of_str(words != NULL ? words : ""),
                                     .limit = STORE_STATUS_LIMIT};
    if (!read_number(x, "offset", &q->offset, err) ||
        !read_number(x, "limit", &q->limit, err))
        return false;
    return q->limit <= STORE_STATUS_MOST ||
           err_set(err, ERR_INVALID,
                   "limit: %llu blocks at a time are more than %d: ask for the rest "
                   "with offset, or narrow q",
                   (unsigned long long)q->limit, STORE_STATUS_MOST);
}

typedef void print_fn(const struct store_status_view *view, struct buf *out);

static bool
print(const struct store_status *s, const struct net_http_exchange *x, print_fn *fn,
      struct buf *out, struct err *err)
{
    CLEANUP(store_status_view_fini) struct store_status_view view = {0};
    if (!read_query(x, &view.query, err))
        return false;
    store_status_look(s, &view);
    fn(&view, out);
    return buf_ok(out, err);
}

static void
on_json(void *arg, struct net_http_exchange *x)
{
    const struct store_status *s = arg;
    struct err err = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    buf_init(&text, s->budget);
    if (print(s, x, store_status_json, &text, &err))
        net_http_reply(x, 200, "application/json", buf_bytes(&text));
    else
        app_api_reply_err(x, &err);
}

static void
on_page(void *arg, struct net_http_exchange *x)
{
    const struct store_status *s = arg;
    struct err err = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    buf_init(&text, s->budget);
    if (!print(s, x, store_status_page, &text, &err)) {
        net_http_reply_err(x, &err);
        return;
    }
    net_http_exchange_add_header(x, HTML_CSP_NAME, HTML_CSP);
    net_http_reply(x, 200, "text/html; charset=utf-8", buf_bytes(&text));
}

static void
on_blocks(void *arg, struct net_http_exchange *x)
{
    const struct store_status *s = arg;
    const struct store_api_blocks blocks = {
        .view = s->view, .sync = s->sync, .budget = s->budget, .label = s->label};
    store_api_blocks_reply(&blocks, x);
}

size_t
store_status_routes(struct store_status *s, struct net_http_route *at)
{
    /* The pages of Thanos have these paths. */
    static const char *const pages[] = {"/", "/blocks", "/loaded"};
    size_t count = app_info_routes(&s->info, at);
    at[count++] = (struct net_http_route){.method = "GET",
                                          .path = "/api/v1/status/store",
                                          .name = "status",
                                          .handler = on_json,
                                          .arg = s,
                                          .compress = true};
    at[count++] = (struct net_http_route){.method = "GET",
                                          .path = "/api/v1/blocks",
                                          .name = "blocks",
                                          .handler = on_blocks,
                                          .arg = s,
                                          .compress = true};
    for (size_t i = 0; s->has_pages && i < ARRAY_LEN(pages); i++)
        at[count++] = (struct net_http_route){.method = "GET",
                                              .path = pages[i],
                                              .name = "page",
                                              .handler = on_page,
                                              .arg = s,
                                              .compress = true};
    return count;
}
