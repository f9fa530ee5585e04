/* SPDX-License-Identifier: Apache-2.0 */
#include "store/status_page.h"

#include <inttypes.h>

#include "common/codec/html.h"

static void
put_str(struct buf *out, const char *text)
{
    html_put_text(out, bytes_of_str(text));
}

static void
put_running(struct buf *out, const struct store_status_view *view)
{
    const struct store_sync_moment *m = &view->sync;
    if (!m->is_running) {
        buf_put_str(out, "not under way; the next one ");
        if (view->next_sync_ms == INT64_MIN) {
            buf_put_str(out, "is about to be planned");
            return;
        }
        buf_put_str(out, "in ");
        html_put_duration(out, view->next_sync_ms - view->now_ms);
        return;
    }
    buf_put_str(out, "under way since ");
    html_put_time(out, m->begun_ms);
    if (m->metas > 0)
        buf_printf(out, ": %zu of %zu metas read", m->metas - m->unread, m->metas);
}

static void
put_last(struct buf *out, const struct store_status_view *view)
{
    const struct store_sync_moment *m = &view->sync;
    if (m->ended_ms == INT64_MIN) {
        buf_put_str(out, "none has ended yet");
        return;
    }
    html_put_time(out, m->ended_ms);
    buf_printf(out, " after %" PRId64 ".%03" PRId64 " s: ", m->took_ms / 1000,
               m->took_ms % 1000);
    if (m->failure.code != ERR_NONE)
        put_str(out, m->failure.text);
    else
        buf_put_str(out, m->is_complete ? "complete"
                                        : "some blocks failed and are tried again");
}

static void
put_view(struct buf *out, const struct store_sync_moment *m)
{
    if (m->read_ms == INT64_MIN) {
        buf_put_str(out, "nothing is known of the bucket yet");
        return;
    }
    html_put_time(out, m->read_ms);
    if (m->is_of_snapshot)
        buf_put_str(out, ", by an earlier run: a snapshot is served until the bucket "
                         "was read again");
}

static void
put_summary(struct buf *out, const struct store_status_view *view)
{
    buf_put_str(out, "<table>\n<tr><th>Ready</th><td>");
    put_str(out, view->is_ready ? "yes" : view->reason);
    buf_put_str(out, "</td></tr>\n<tr><th>Bucket</th><td>");
    put_str(out, view->bucket);
    buf_put_str(out, "</td></tr>\n<tr><th>Look at the bucket</th><td>");
    put_running(out, view);
    buf_put_str(out, "</td></tr>\n<tr><th>Last look</th><td>");
    put_last(out, view);
    buf_put_str(out, "</td></tr>\n<tr><th>Blocks are as of</th><td>");
    put_view(out, &view->sync);
    buf_put_str(out, "</td></tr>\n<tr><th>Queries</th><td>");
    buf_printf(out, "%u running, %u waiting", view->load.running, view->load.waiting);
    if (view->load.slots > 0)
        buf_printf(out, ", %u slots", view->load.slots);
    buf_printf(out,
               "; %" PRIu64 " refused for want of a slot, %" PRIu64
               " beyond a limit</td></tr>\n</table>\n",
               view->load.refused, view->load.beyond_limit);
}

/* One line of what is held and what may be. */
static void
put_bytes(struct buf *out, const char *what, uint64_t used, uint64_t limit)
{
    buf_printf(out, "<tr><td>%s</td><td class=\"n\">", what);
    html_put_size(out, used);
    buf_put_str(out, "</td><td class=\"n\">");
    if (limit > 0)
        html_put_size(out, limit);
    buf_put_str(out, "</td></tr>\n");
}

static void
put_memory(struct buf *out, const struct store_status_view *view)
{
    size_t cached = view->memory_kept + view->pages_held + (size_t)view->ranges.bytes;
    size_t rest = view->memory_used > cached ? view->memory_used - cached : 0;
    buf_put_str(out, "<h2>Memory</h2>\n<table><tr><th></th><th>used</th><th>limit"
                     "</th></tr>\n");
    put_bytes(out, "all (--store.memory-limit)", view->memory_used, view->memory_limit);
    put_bytes(out, "the most that was ever used", view->memory_peak, 0);
    put_bytes(out, "queries, builds of index headers, requests", rest, 0);
    put_bytes(out, "pages of index headers", view->pages_held, view->pages_limit);
    put_bytes(out, "ranges of objects", view->ranges.bytes, view->ranges_limit);
    put_bytes(out, "freed, for the next who needs it", view->memory_kept, 0);
    buf_printf(out,
               "</table>\n<p>Ranges: %" PRIu64 " kept, %" PRIu64 " hits, %" PRIu64
               " misses, of which a cache of twice the size might have had %" PRIu64
               ", %" PRIu64 " evictions; %" PRIu64 " reads were left to queries that "
               "were making them. %zu queries wait for memory.</p>\n",
               view->ranges.ranges, view->ranges.hits, view->ranges.misses,
               view->ranges.ghost_hits, view->ranges.evictions, view->load.shared_reads,
               view->memory_waiting);
}

static void
put_disk_cache(struct buf *out, const struct store_disk_cache_counts *disk)
{
    buf_printf(out,
               "<p>Ranges on disk: %" PRIu64 " kept, %" PRIu64 " hits, %" PRIu64
               " misses, %" PRIu64 " damages, %" PRIu64 " failed writes.%s</p>\n",
               disk->ranges, disk->hits, disk->misses, disk->damaged, disk->failures,
               disk->is_off ? " Nothing is written for a while." : "");
}

static void
put_disk(struct buf *out, const struct store_status_view *view)
{
    uint64_t all = 0;
    for (int kind = 0; kind < STORE_DISK_KINDS; kind++)
        all += view->disk_used[kind];
    buf_put_str(out, "<h2>Disk</h2>\n<table><tr><th></th><th>used</th><th>limit"
                     "</th></tr>\n");
    put_bytes(out, "all (--store.disk-limit)", all, view->disk_limit);
    put_bytes(out, "index headers", view->disk_used[STORE_DISK_HEADERS], 0);
    put_bytes(out, "what is known of blocks", view->disk_used[STORE_DISK_SNAPSHOT], 0);
    put_bytes(out, "cache of ranges (--store.disk-cache)",
              view->disk_used[STORE_DISK_CACHE], view->disk_cache_limit);
    buf_put_str(out, "</table>\n");
    if (view->has_disk_cache)
        put_disk_cache(out, &view->disk);
}

static void
put_states(struct buf *out, const struct store_sync_moment *m)
{
    buf_put_str(out, "<h2>Blocks</h2>\n<table><tr><th>state</th><th>blocks</th>"
                     "<th></th></tr>\n");
    for (int i = 0; i < STORE_BLOCK_STATE_COUNT; i++) {
        enum store_block_state state = (enum store_block_state)i;
        if (m->counts[i] == 0 && state != STORE_BLOCK_SERVED)
            continue;
        const char *name = store_status_state_name(state);
        buf_printf(out,
                   "<tr><td><a href=\"?q=%s\">%s</a></td><td class=\"n\">%zu</td>"
                   "<td>%s</td></tr>\n",
                   name, name, m->counts[i], store_status_state_reason(state));
    }
    buf_put_str(out, "</table>\n");
}

static void
put_link(struct buf *out, const struct store_status_view *view, uint64_t offset,
         const char *text)
{
    buf_put_str(out, "<a href=\"?q=");
    html_put_query_value(out, view->query.words);
    buf_printf(out, "&amp;offset=%" PRIu64 "&amp;limit=%" PRIu64 "\">%s</a> ", offset,
               view->query.limit, text);
}

static void
put_paging(struct buf *out, const struct store_status_view *view)
{
    const struct store_status_query *q = &view->query;
    const struct store_status_rows *rows = &view->rows;
    buf_put_str(out, "<form><label>Blocks with all the words <input name=\"q\" "
                     "size=\"50\" value=\"");
    html_put_text(out, q->words);
    buf_printf(out,
               "\"></label> <input type=\"hidden\" name=\"limit\" value=\"%" PRIu64
               "\"><button>find</button> in ULID, state, level=1, resolution=5m, "
               "cluster=eu</form>\n<p>",
               q->limit);
    if (rows->count > 0)
        buf_printf(out, "%" PRIu64 " to %" PRIu64 " of ", q->offset + 1,
                   q->offset + rows->count);
    buf_printf(out, "%" PRIu64 " blocks", rows->matched);
    if (rows->matched != rows->total)
        buf_printf(out, ", of %" PRIu64 " in the bucket", rows->total);
    buf_put_str(out, ". ");
    if (q->offset > 0)
        put_link(out, view, q->offset > q->limit ? q->offset - q->limit : 0,
                 "previous");
    if (rows->count > 0 && q->offset + rows->count < rows->matched)
        put_link(out, view, q->offset + rows->count, "next");
    buf_put_str(out, "</p>\n");
}

static void
put_labels(struct buf *out, struct tsdb_labels labels)
{
    for (size_t i = 0; i < labels.len; i++) {
        buf_put_str(out, i > 0 ? "<br>" : "");
        html_put_text(out, labels.at[i].name);
        buf_put_u8(out, '=');
        html_put_text(out, labels.at[i].value);
    }
}

static void
put_count(struct buf *out, uint64_t count)
{
    buf_put_str(out, "</td><td class=\"n\">");
    if (count > 0)
        buf_printf(out, "%" PRIu64, count);
}

static void
put_meta(struct buf *out, const struct store_block *b)
{
    enum { CELLS = 8 };
    char resolution[STORE_STATUS_RESOLUTION_SIZE];
    if (b == NULL) {
        for (int i = 0; i < CELLS; i++)
            buf_put_str(out, "</td><td>");
        return;
    }
    const struct store_block_meta *m = &b->meta;
    buf_put_str(out, "</td><td>");
    put_labels(out, m->external);
    buf_put_str(out, "</td><td>");
    html_put_time(out, m->mint_ms);
    buf_put_str(out, "</td><td>");
    html_put_time(out, m->maxt_ms);
    buf_printf(out, "</td><td class=\"n\">%" PRIu32 "</td><td>%s</td><td class=\"n\">",
               m->level, store_status_resolution(m->resolution_ms, resolution));
    html_put_size(out, store_status_size(b));
    put_count(out, m->series_count);
    put_count(out, m->sample_count);
}

static void
put_row_end(struct buf *out, const struct store_status_row *row)
{
    struct err err;
    buf_put_str(out, "</td><td>");
    if (!row->is_served) {
        buf_put_str(out, "</td><td>");
        put_str(out, row->failure != NULL ? row->failure->text
                                          : store_status_state_reason(row->state));
    } else {
        enum store_header_state state = store_block_headers_state(row->block);
        buf_printf(out, "%s</td><td>", store_status_header_name(state));
        if (state == STORE_HEADER_FAILED &&
            store_block_headers_failure(row->block, &err))
            put_str(out, err.text);
    }
    buf_put_str(out, "</td></tr>\n");
}

static void
put_rows(struct buf *out, const struct store_status_rows *rows)
{
    buf_put_str(out, "<table><tr><th>block</th><th>state</th><th>external labels</th>"
                     "<th>from</th><th>to</th><th>level</th><th>resolution</th>"
                     "<th>size</th><th>series</th><th>samples</th><th>index header"
                     "</th><th>reason</th></tr>\n");
    for (size_t i = 0; i < rows->count; i++) {
        const struct store_status_row *row = &rows->at[i];
        buf_printf(out, "<tr class=\"%s\"><td class=\"id\">%s</td><td>%s",
                   row->failure != NULL ? "failed" : "", tsdb_ulid_print(&row->id).text,
                   store_status_state_name(row->state));
        put_meta(out, row->block);
        put_row_end(out, row);
    }
    buf_put_str(out, "</table>\n");
}

void
store_status_page(const struct store_status_view *view, struct buf *out)
{
    html_put_head(out, "blockhouse-store", 0);
    put_summary(out, view);
    put_states(out, &view->sync);
    put_paging(out, view);
    put_rows(out, &view->rows);
    put_memory(out, view);
    put_disk(out, view);
    if (view->has_requests)
        objstore_prices_html(view->prices, &view->requests, out);
    buf_put_str(out, "<p>As JSON: <a href=\"api/v1/status/store\">/api/v1/status/store"
                     "</a>, <a href=\"api/v1/blocks\">/api/v1/blocks</a>; "
                     "<a href=\"metrics\">metrics</a></p></body></html>\n");
}
