/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/ship_work.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_labels.h"
#include "sidecar/block_overlap.h"
#include "sidecar/block_pin.h"
#include "sidecar/block_upload.h"

/* A transfer slower than this has stalled. A guess: 512 MiB may take two hours. */
enum { SLOWEST_BYTES_PER_S = 64 * 1024 };

struct sidecar_ship_work {
    struct sidecar_ship_work_options options;
    uint64_t slowest_bytes_per_s;
    struct sidecar_bandwidth bandwidth;
    struct sidecar_overlap *overlap;
};

/* Under a limit, a transfer that shares it with all others is slow, and not stalled. */
static uint64_t
slowest(const struct sidecar_ship_work_options *o)
{
    uint64_t share = o->bandwidth_bytes_per_s / 2 / o->block_concurrency /
                     NUM_MAX(o->file_concurrency, 1u);
    if (o->bandwidth_bytes_per_s == 0)
        return SLOWEST_BYTES_PER_S;
    return NUM_MAX(NUM_MIN(share, (uint64_t)SLOWEST_BYTES_PER_S), (uint64_t)1);
}

struct sidecar_ship_work *
sidecar_ship_work_new(const struct sidecar_ship_work_options *options)
{
    struct sidecar_ship_work *w = xcalloc(1, sizeof *w);
    w->options = *options;
    w->slowest_bytes_per_s = slowest(options);
    w->overlap = sidecar_overlap_new();
    sidecar_bandwidth_init(&w->bandwidth, options->bandwidth_bytes_per_s);
    return w;
}

void
sidecar_ship_work_free(struct sidecar_ship_work **out)
{
    struct sidecar_ship_work *w = TAKE(*out);
    if (w == NULL)
        return;
    sidecar_bandwidth_fini(&w->bandwidth);
    sidecar_overlap_free(&w->overlap);
    free(w);
}

/* One block on its way. */
struct voyage {
    struct sidecar_ship_work *work;
    const struct sidecar_block *block;
    struct tsdb_ulid_text name;
    struct tsdb_labels labels;
};

/* Called by the threads that send. */
static void
note_sent(void *arg, uint64_t bytes)
{
    const struct voyage *v = arg;
    struct sidecar_block_row row;
    int64_t now_ns = clock_mono_ns();
    if (sidecar_block_table_sent(v->work->options.table, &v->block->id, bytes, now_ns,
                                 &row))
        LOG_INFO("block is being uploaded", LOG_STR("block", v->name.text),
                 LOG_INT("bytes", row.sent), LOG_INT("of_bytes", row.size),
                 LOG_INT("dur_ms", (now_ns - row.started_ns) / CLOCK_NS_PER_MS));
}

static bool
note_checked(void *arg, const struct tsdb_meta *meta, struct err *err)
{
    const struct voyage *v = arg;
    const struct sidecar_ship_work_options *o = &v->work->options;
    if (meta->level <= 1 || o->allow_overlaps)
        sidecar_overlap_begin(v->work->overlap, meta, v->labels);
    else if (!sidecar_overlap_check(v->work->overlap, o->bucket, o->cancel, meta,
                                    v->labels, err))
        return false;
    sidecar_block_table_move(o->table, &v->block->id, SIDECAR_BLOCK_UPLOADING);
    return true;
}

/* A block that could not be pinned is shipped from where Prometheus keeps it. */
static char *
directory_of(const struct voyage *v)
{
    const struct sidecar_ship_work_options *o = &v->work->options;
    bool is_pinned = sidecar_block_is_pinned(o->pins, &v->block->id);
    return xasprintf("%s/%s", is_pinned ? o->pins : o->tsdb_path, v->name.text);
}

static bool
upload(struct voyage *v, bool *broken, struct err *err)
{
    const struct sidecar_ship_work_options *o = &v->work->options;
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids replaced = {0};
    CLEANUP(xfree) char *directory = directory_of(v);
    const struct sidecar_label_keeper keeper = {o->table, o->tsdb_path, o->pins};
    bool held;
    *broken = false;
    if (!sidecar_block_labels_recall(&keeper, v->block, &labels, &replaced, &held, err))
        return false;
    v->labels = labels.set;
    const struct sidecar_block_upload how = {
        .sender = {.bucket = o->bucket,
                   .bandwidth = &v->work->bandwidth,
                   .slowest_bytes_per_s = v->work->slowest_bytes_per_s,
                   .concurrency = NUM_MAX(o->file_concurrency, 1u),
                   .cancel = o->cancel,
                   .sent = note_sent,
                   .sent_arg = v},
        .labels = labels.set,
        .labels_are_held = held,
        .replaced = replaced,
        .hash_sha256 = o->hash_sha256,
        .verify = o->verify,
        .checked = note_checked,
        .checked_arg = v,
    };
    return sidecar_block_upload(&how, directory, &v->block->id, broken, err);
}

static void
ship_block(struct sidecar_ship_work *w, const struct sidecar_block *block)
{
    const struct sidecar_ship_work_options *o = &w->options;
    struct voyage v = {.work = w, .block = block, .name = tsdb_ulid_print(&block->id)};
    int64_t start_ns = clock_mono_ns();
    struct err err;
    bool broken;
    LOG_INFO("upload new block", LOG_STR("block", v.name.text));
    bool ok = upload(&v, &broken, &err);
    sidecar_overlap_end(w->overlap, &block->id);
    if (ok) {
        metrics_add(o->metrics->uploads, 1);
        LOG_INFO("uploaded block", LOG_STR("block", v.name.text),
                 LOG_INT("dur_ms", (clock_mono_ns() - start_ns) / CLOCK_NS_PER_MS));
        sidecar_block_table_move(o->table, &block->id, SIDECAR_BLOCK_COMMITTED);
        return;
    }
    if (err.code == ERR_CANCELLED) {
        sidecar_block_table_move(o->table, &block->id, SIDECAR_BLOCK_READY);
        return;
    }
    metrics_add(o->metrics->failed_uploads, 1);
    if (broken)
        metrics_add(o->metrics->corrupted, 1);
    int64_t pause_ns =
        sidecar_block_table_fail(o->table, &block->id, &err, clock_mono_ns());
    LOG_ERROR("block cannot be shipped", LOG_STR("block", v.name.text), LOG_ERR(&err),
              LOG_STR("code", err_code_name(err.code)),
              LOG_INT("retry_ms", pause_ns / CLOCK_NS_PER_MS));
}

/* A listing under way. */
struct search {
    const struct sidecar_ship_work_options *options;
    size_t found;
};

/* The bucket has a meta.json, and every file of the local block with its size: that is
 * as much as is known of any block without reading it. */
static void
find_shipped(void *arg, const struct sidecar_block_remote *there)
{
    struct search *s = arg;
    const struct sidecar_ship_work_options *o = s->options;
    struct tsdb_ulid_text name = tsdb_ulid_print(&there->id);
    CLEANUP(xfree) char *directory = xasprintf("%s/%s", o->tsdb_path, name.text);
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    struct err ignored;
    if (sidecar_block_table_state(o->table, &there->id) != SIDECAR_BLOCK_PINNED ||
        !sidecar_block_files_read(&files, directory, &ignored) ||
        !sidecar_block_remote_holds(there, &files))
        return;
    sidecar_block_table_move(o->table, &there->id, SIDECAR_BLOCK_COMMITTED);
    s->found++;
}

/* One try: if it fails, each block is asked about by its own shipment. */
static void
list_bucket(struct sidecar_ship_work *w)
{
    const struct sidecar_ship_work_options *o = &w->options;
    const struct objstore_call call = {
        .deadline_ns = clock_deadline(SIDECAR_BUCKET_LISTING_TIMEOUT_NS),
        .cancel = o->cancel};
    struct search s = {.options = o};
    struct err err;
    if (sidecar_block_remote_each(o->bucket, &call, find_shipped, &s, &err))
        LOG_INFO("found local blocks in the bucket", LOG_INT("count", s.found));
    else if (err.code != ERR_CANCELLED)
        LOG_WARN("bucket cannot be listed, will ask about each block", LOG_ERR(&err));
    sidecar_block_table_listing_done(o->table);
}

bool
sidecar_ship_work_one(struct sidecar_ship_work *w, int64_t deadline_ns)
{
    struct sidecar_job job;
    if (!sidecar_block_table_take(w->options.table, deadline_ns, &job))
        return false;
    if (job.kind == SIDECAR_JOB_LISTING)
        list_bucket(w);
    else
        ship_block(w, &job.block);
    return true;
}
