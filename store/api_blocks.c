/* SPDX-License-Identifier: Apache-2.0 */
#include "store/api_blocks.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/json_writer.h"

/* The body is handed to the socket in pieces of about this size. */
enum { PIECE_BYTES = 64 * 1024 };

enum part { HEAD, BLOCKS, ENDED };

struct answer {
    const char *label;
    struct store_block_set *set; /* NULL: nothing is known of the bucket yet */
    struct store_sync_moment sync;
    enum part part;
    size_t next; /* block */
    struct buf piece;
    struct json_writer w;
};

static void
answer_free(void *arg)
{
    struct answer *a = arg;
    store_block_set_unref(&a->set);
    store_sync_moment_fini(&a->sync);
    buf_fini(&a->piece);
    free(a);
}

/* What Go's zero time looks like. */
#define NO_TIME "0001-01-01T00:00:00Z"

static void
put_head(struct answer *a)
{
    char text[CLOCK_RFC3339_SIZE] = NO_TIME;
    int64_t time_ns;
    if (a->sync.read_ms != INT64_MIN &&
        num_mul(a->sync.read_ms, CLOCK_NS_PER_MS, &time_ns))
        clock_rfc3339(time_ns, text);
    json_writer_open(&a->w, NULL, '{');
    json_writer_put_str(&a->w, "status", "success");
    json_writer_open(&a->w, "data", '{');
    json_writer_put_str(&a->w, "label", a->label);
    json_writer_put_str(&a->w, "refreshedAt", text);
    if (a->sync.failure.code != ERR_NONE)
        json_writer_put_str(&a->w, "err", a->sync.failure.text);
    else
        json_writer_put_null(&a->w, "err");
    json_writer_open(&a->w, "blocks", '[');
}

static void
put_compaction(struct json_writer *w, const struct store_block_meta *m)
{
    json_writer_open(w, "compaction", '{');
    json_writer_put_i64(w, "level", m->level);
    json_writer_open(w, "sources", '[');
    for (size_t i = 0; i < m->source_count; i++)
        json_writer_put_str(w, NULL, tsdb_ulid_print(&m->sources[i]).text);
    json_writer_close(w, '[');
    json_writer_close(w, '{');
}

/* Names of labels may be any UTF-8. */
static void
put_labels(struct json_writer *w, struct tsdb_labels labels)
{
    json_writer_open(w, "labels", '{');
    for (size_t i = 0; i < labels.len; i++)
        json_writer_put_member(w, labels.at[i].name, labels.at[i].value);
    json_writer_close(w, '{');
}

static void
put_block(struct json_writer *w, const struct store_block *b)
{
    const struct store_block_meta *m = &b->meta;
    json_writer_open(w, NULL, '{');
    json_writer_put_i64(w, "version", 1);
    json_writer_put_str(w, "ulid", b->name.text);
    json_writer_put_i64(w, "minTime", m->mint_ms);
    json_writer_put_i64(w, "maxTime", m->maxt_ms);
    json_writer_open(w, "stats", '{');
    json_writer_put_u64(w, "numSamples", m->sample_count);
    json_writer_put_u64(w, "numSeries", m->series_count);
    json_writer_put_u64(w, "numChunks", m->chunk_count);
    json_writer_close(w, '{');
    put_compaction(w, m);
    json_writer_open(w, "thanos", '{');
    put_labels(w, m->external);
    json_writer_open(w, "downsample", '{');
    json_writer_put_i64(w, "resolution", m->resolution_ms);
    json_writer_close(w, '{');
    json_writer_put_str(w, "source", store_block_meta_source(m));
    json_writer_close(w, '{');
    json_writer_close(w, '{');
}

static bool
next_piece(void *arg, struct bytes *piece, struct err *err)
{
    struct answer *a = arg;
    buf_clear(&a->piece);
    if (a->part == HEAD) {
        put_head(a);
        a->part = BLOCKS;
    }
    size_t count = a->set != NULL ? a->set->count : 0;
    while (a->part == BLOCKS && a->next < count && a->piece.len < PIECE_BYTES)
        put_block(&a->w, a->set->blocks[a->next++]);
    if (a->part == BLOCKS && a->next == count) {
        json_writer_close(&a->w, '[');
        json_writer_close(&a->w, '{');
        json_writer_close(&a->w, '{');
        a->part = ENDED;
    }
    if (!buf_ok(&a->piece, err))
        return false;
    *piece = buf_bytes(&a->piece);
    return true;
}

void
store_api_blocks_reply(const struct store_api_blocks *api, struct net_http_exchange *x)
{
    struct answer *a = xcalloc(1, sizeof *a);
    a->label = api->label;
    a->set = store_block_view_get(api->view);
    store_sync_progress_look(store_block_sync_progress(api->sync), &a->sync);
    buf_init(&a->piece, api->budget);
    a->w.out = &a->piece;
    net_http_reply_stream(
        x, 200, "application/json", NET_HTTP_LENGTH_UNKNOWN,
        (struct net_http_stream){.next = next_piece, .done = answer_free, .arg = a});
}
