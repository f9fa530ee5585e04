/* SPDX-License-Identifier: Apache-2.0 */
#include "store/status_json.h"

#include "common/codec/json_writer.h"

static void
put_sync(struct json_writer *w, const struct store_status_view *view)
{
    const struct store_sync_moment *m = &view->sync;
    json_writer_open(w, "sync", '{');
    json_writer_put_bool(w, "running", m->is_running);
    if (m->is_running) {
        json_writer_put_u64(w, "metasToRead", m->metas);
        json_writer_put_u64(w, "metasLeft", m->unread);
    }
    json_writer_put_time(w, "begunAt", m->begun_ms);
    json_writer_put_time(w, "endedAt", m->ended_ms);
    if (m->ended_ms != INT64_MIN) {
        json_writer_put_i64(w, "tookMilliseconds", m->took_ms);
        json_writer_put_bool(w, "complete", m->is_complete);
    }
    if (m->failure.code != ERR_NONE) {
        json_writer_put_str(w, "code", err_code_name(m->failure.code));
        json_writer_put_str(w, "reason", m->failure.text);
    }
    json_writer_put_time(w, "nextAt", view->next_sync_ms);
    json_writer_put_time(w, "bucketReadAt", m->read_ms);
    json_writer_put_bool(w, "ofSnapshot", m->is_of_snapshot);
    json_writer_open(w, "states", '{');
    for (int i = 0; i < STORE_BLOCK_STATE_COUNT; i++)
        json_writer_put_u64(w, store_status_state_name((enum store_block_state)i),
                            m->counts[i]);
    json_writer_close(w, '{');
    json_writer_close(w, '{');
}

static void
put_meta(struct json_writer *w, const struct store_block *b)
{
    const struct store_block_meta *m = &b->meta;
    json_writer_put_i64(w, "minTime", m->mint_ms);
    json_writer_put_i64(w, "maxTime", m->maxt_ms);
    json_writer_put_i64(w, "level", m->level);
    json_writer_put_i64(w, "resolution", m->resolution_ms);
    json_writer_put_str(w, "source", store_block_meta_source(m));
    json_writer_put_u64(w, "sizeBytes", store_status_size(b));
    json_writer_put_u64(w, "numSeries", m->series_count);
    json_writer_put_u64(w, "numSamples", m->sample_count);
    json_writer_put_u64(w, "numChunks", m->chunk_count);
    json_writer_open(w, "labels", '{');
    for (size_t i = 0; i < m->external.len; i++)
        json_writer_put_member(w, m->external.at[i].name, m->external.at[i].value);
    json_writer_close(w, '{');
}

static void
put_header(struct json_writer *w, const struct store_status_row *row)
{
    struct err err;
    enum store_header_state state = store_block_headers_state(row->block);
    json_writer_put_str(w, "header", store_status_header_name(state));
    if (state == STORE_HEADER_FAILED && store_block_headers_failure(row->block, &err))
        json_writer_put_str(w, "headerReason", err.text);
}

static void
put_row(struct json_writer *w, const struct store_status_row *row)
{
    json_writer_open(w, NULL, '{');
    json_writer_put_str(w, "ulid", tsdb_ulid_print(&row->id).text);
    json_writer_put_str(w, "state", store_status_state_name(row->state));
    json_writer_put_bool(w, "served", row->is_served);
    if (row->block != NULL)
        put_meta(w, row->block);
    if (row->is_served)
        put_header(w, row);
    if (row->marked_ms != INT64_MAX)
        json_writer_put_i64(w, "markedForDeletionAt", row->marked_ms);
    if (row->failure != NULL)
        json_writer_put_str(w, "code", err_code_name(row->failure->code));
    if (!row->is_served)
        json_writer_put_str(w, "reason",
                            row->failure != NULL
                                ? row->failure->text
                                : store_status_state_reason(row->state));
    json_writer_close(w, '{');
}

static void
put_rows(struct json_writer *w, const struct store_status_view *view)
{
    const struct store_status_rows *rows = &view->rows;
    json_writer_put_u64(w, "blocksTotal", rows->total);
    json_writer_put_u64(w, "blocksMatched", rows->matched);
    json_writer_put_u64(w, "offset", view->query.offset);
    json_writer_put_u64(w, "limit", view->query.limit);
    json_writer_open(w, "blocks", '[');
    for (size_t i = 0; i < rows->count; i++)
        put_row(w, &rows->at[i]);
    json_writer_close(w, '[');
}

static void
put_memory(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "memory", '{');
    json_writer_put_u64(w, "limitBytes", view->memory_limit);
    json_writer_put_u64(w, "usedBytes", view->memory_used);
    json_writer_put_u64(w, "peakBytes", view->memory_peak);
    json_writer_put_u64(w, "keptBytes", view->memory_kept);
    json_writer_put_u64(w, "queriesWaiting", view->memory_waiting);
    json_writer_close(w, '{');
}

static void
put_pages(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "pages", '{');
    json_writer_put_u64(w, "limitBytes", view->pages_limit);
    json_writer_put_u64(w, "bytes", view->pages_held);
    json_writer_close(w, '{');
}

static void
put_ranges(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "ranges", '{');
    json_writer_put_u64(w, "limitBytes", view->ranges_limit);
    json_writer_put_u64(w, "bytes", view->ranges.bytes);
    json_writer_put_u64(w, "count", view->ranges.ranges);
    json_writer_put_u64(w, "hits", view->ranges.hits);
    json_writer_put_u64(w, "misses", view->ranges.misses);
    json_writer_put_u64(w, "ghostHits", view->ranges.ghost_hits);
    json_writer_put_u64(w, "evictions", view->ranges.evictions);
    json_writer_put_u64(w, "sharedReads", view->load.shared_reads);
    json_writer_close(w, '{');
}

static void
put_disk_cache(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "disk", '{');
    json_writer_put_u64(w, "limitBytes", view->disk_cache_limit);
    json_writer_put_u64(w, "bytes", view->disk.bytes);
    json_writer_put_u64(w, "count", view->disk.ranges);
    json_writer_put_u64(w, "hits", view->disk.hits);
    json_writer_put_u64(w, "misses", view->disk.misses);
    json_writer_put_u64(w, "damages", view->disk.damaged);
    json_writer_put_u64(w, "failures", view->disk.failures);
    json_writer_put_bool(w, "off", view->disk.is_off);
    json_writer_close(w, '{');
}

static void
put_caches(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "caches", '{');
    put_pages(w, view);
    put_ranges(w, view);
    if (view->has_disk_cache)
        put_disk_cache(w, view);
    json_writer_close(w, '{');
}

static void
put_disk(struct json_writer *w, const struct store_status_view *view)
{
    json_writer_open(w, "disk", '{');
    json_writer_put_u64(w, "limitBytes", view->disk_limit);
    json_writer_open(w, "usedBytes", '{');
    for (int kind = 0; kind < STORE_DISK_KINDS; kind++)
        json_writer_put_u64(w, store_disk_kind_name((enum store_disk_kind)kind),
                            view->disk_used[kind]);
    json_writer_close(w, '{');
    json_writer_close(w, '{');
}

static void
put_load(struct json_writer *w, const struct store_api_load *load)
{
    json_writer_open(w, "queries", '{');
    json_writer_put_u64(w, "running", load->running);
    json_writer_put_u64(w, "waiting", load->waiting);
    json_writer_put_u64(w, "slots", load->slots);
    json_writer_put_u64(w, "refused", load->refused);
    json_writer_put_u64(w, "beyondLimit", load->beyond_limit);
    json_writer_close(w, '{');
}

void
store_status_json(const struct store_status_view *view, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_writer_open(&w, NULL, '{');
    json_writer_put_str(&w, "status", "success");
    json_writer_open(&w, "data", '{');
    json_writer_put_bool(&w, "ready", view->is_ready);
    json_writer_put_str(&w, "reason", view->reason);
    json_writer_put_str(&w, "bucket", view->bucket);
    put_sync(&w, view);
    put_load(&w, &view->load);
    put_memory(&w, view);
    put_caches(&w, view);
    put_disk(&w, view);
    if (view->has_requests)
        objstore_prices_json(view->prices, &view->requests, &w);
    put_rows(&w, view);
    json_writer_close(&w, '{');
    json_writer_close(&w, '{');
}
