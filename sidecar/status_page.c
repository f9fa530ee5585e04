/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/status_page.h"

#include <inttypes.h>

#include "common/codec/html.h"

static const char BLOCKS_HEAD[] =
    "<h2>Blocks</h2>\n<table><tr><th>block</th><th>state</th><th>from</th><th>to</th>"
    "<th>level</th><th>size</th><th>sent</th><th>age</th><th>next try</th>"
    "<th>reason</th></tr>\n";

static void
put_str(struct buf *out, const char *text)
{
    html_put_text(out, bytes_of_str(text));
}

static void
put_newest(struct buf *out, const struct sidecar_status_view *view)
{
    if (view->newest_shipped_ms == INT64_MIN) {
        buf_put_str(out, "none is known");
        return;
    }
    buf_put_str(out, "up to ");
    html_put_time(out, view->newest_shipped_ms);
    if (view->older_unshipped > 0)
        buf_printf(out, "; %zu older not shipped yet", view->older_unshipped);
}

static void
put_next(struct buf *out, const struct sidecar_status_view *view)
{
    if (view->next_at_ms == INT64_MIN) {
        buf_put_str(out, "not known before there is a first one");
        return;
    }
    buf_put_str(out, "up to ");
    html_put_time(out, view->next_end_ms);
    buf_put_str(out, ", expected at ");
    html_put_time(out, view->next_at_ms);
    if (view->overdue_ms == 0)
        return;
    buf_put_str(out, ", overdue by ");
    html_put_duration(out, view->overdue_ms);
    buf_put_str(out, view->is_ready
                         ? ": Prometheus writes it when it has samples of half "
                           "a block beyond its end"
                         : ": Prometheus is not ready");
}

static void
put_summary(struct buf *out, const struct sidecar_status_view *view)
{
    buf_put_str(out, "<table>\n<tr><th>Prometheus</th><td>");
    put_str(out, view->is_ready ? "answers and has external labels" : view->reason);
    buf_put_str(out, "</td></tr>\n<tr><th>Its flags</th><td>");
    put_str(out, *view->flags.text != 0 ? view->flags.text : "not known");
    buf_put_str(out, "</td></tr>\n<tr><th>Bucket</th><td>");
    put_str(out, view->bucket != NULL ? view->bucket
                                      : "none is configured: nothing is shipped");
    buf_put_str(out, "</td></tr>\n<tr><th>Data directory</th><td>");
    put_str(out, view->rows.trouble != NULL ? view->rows.trouble : "in order");
    buf_put_str(out, "</td></tr>\n<tr><th>Newest block shipped</th><td>");
    put_newest(out, view);
    buf_put_str(out, "</td></tr>\n<tr><th>Next block</th><td>");
    put_next(out, view);
    buf_put_str(out, "</td></tr>\n<tr><th>Oldest block that waits</th><td>");
    if (view->oldest_age_ms > 0)
        html_put_duration(out, view->oldest_age_ms);
    else
        buf_put_str(out, "none");
    buf_put_str(out, "</td></tr>\n</table>\n");
}

/* And the level, which stands in the same meta.json. */
static void
put_range(struct buf *out, const struct sidecar_block_row *row)
{
    if (!sidecar_block_row_has_range(row)) {
        buf_put_str(out, "unknown</td><td>unknown</td><td class=\"n\"></td>"
                         "<td class=\"n\">");
        return;
    }
    html_put_time(out, row->block.mint_ms);
    buf_put_str(out, "</td><td>");
    html_put_time(out, row->block.maxt_ms);
    buf_printf(out, "</td><td class=\"n\">%" PRId64 "</td><td class=\"n\">",
               row->block.level);
}

static void
put_row(struct buf *out, const struct sidecar_status_view *view,
        const struct sidecar_block_row *row)
{
    const char *state = sidecar_status_state(row);
    buf_printf(out, "<tr class=\"%s\"><td class=\"id\">%s</td><td>%s</td><td>",
               row->code != ERR_NONE ? "failed" : "",
               tsdb_ulid_print(&row->block.id).text, state);
    put_range(out, row);
    html_put_size(out, row->size);
    buf_put_str(out, "</td><td class=\"n\">");
    html_put_size(out, row->sent);
    buf_put_str(out, "</td><td class=\"n\">");
    html_put_duration(out, sidecar_status_age_ms(view, row));
    buf_put_str(out, "</td><td class=\"n\">");
    if (row->backoff.failures > 0) {
        buf_put_str(out, "in ");
        html_put_duration(out, sidecar_status_retry_ms(view, row));
    }
    buf_put_str(out, "</td><td>");
    put_str(out, row->reason != NULL ? row->reason : "");
    buf_put_str(out, "</td></tr>\n");
}

void
sidecar_status_page(const struct sidecar_status_view *view, struct buf *out)
{
    html_put_head(out, "blockhouse-sidecar", 10);
    put_summary(out, view);
    buf_put_str(out, BLOCKS_HEAD);
    for (size_t i = 0; i < view->rows.count; i++)
        put_row(out, view, &view->rows.at[i]);
    buf_put_str(out, "</table>\n");
    if (view->has_requests)
        objstore_prices_html(view->prices, &view->requests, out);
    buf_put_str(out, "<p>As JSON: <a href=\"api/v1/sidecar/status\">"
                     "/api/v1/sidecar/status</a>; <a href=\"metrics\">metrics</a>"
                     "</p></body></html>\n");
}
