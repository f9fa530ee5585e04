/* SPDX-License-Identifier: Apache-2.0 */
/* Of two blocks that overlap one is told so, whoever is faster: each is on its way
 * before it lists the bucket, and until its meta.json is there or never will be. So the
 * later one finds the earlier one on its way, or in a listing that began after its
 * commit. */
#include "sidecar/block_overlap.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/tsdb/block_path.h"
#include "sidecar/block_remote.h"
#include "sidecar/block_scan.h"

/* A guess well above what a healthy store needs. */
#define META_TIMEOUT_NS (2 * 60 * CLOCK_NS_PER_S)

/* What is kept of a meta: small, there may be 50 000. */
struct range {
    struct tsdb_ulid id;
    int64_t mint_ms;
    int64_t maxt_ms;
    int64_t resolution_ms;
    uint8_t labels[DIGEST_SHA256_SIZE];
};

struct ranges {
    size_t count;
    struct range *at; /* by id */
};

struct sidecar_overlap {
    struct mutex lock;
    /* guarded by lock */
    struct ranges known;
    struct ranges on_way; /* in no order; as many as there are workers */
};

struct sidecar_overlap *
sidecar_overlap_new(void)
{
    struct sidecar_overlap *o = xcalloc(1, sizeof *o);
    mutex_init(&o->lock, LOCK_OVERLAP);
    return o;
}

void
sidecar_overlap_free(struct sidecar_overlap **out)
{
    struct sidecar_overlap *o = TAKE(*out);
    if (o == NULL)
        return;
    mutex_fini(&o->lock);
    free(o->known.at);
    free(o->on_way.at);
    free(o);
}

static void
digest_labels(struct tsdb_labels labels, uint8_t out[DIGEST_SHA256_SIZE])
{
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; i < labels.len; i++) {
        buf_put_be64(&text, labels.at[i].name.len);
        buf_put(&text, labels.at[i].name);
        buf_put_be64(&text, labels.at[i].value.len);
        buf_put(&text, labels.at[i].value);
    }
    digest_sha256(buf_bytes(&text), out);
}

static struct range
range_of(const struct tsdb_meta *meta, struct tsdb_labels labels)
{
    struct range range = {.id = meta->ulid,
                          .mint_ms = meta->mint_ms,
                          .maxt_ms = meta->maxt_ms,
                          .resolution_ms = meta->resolution_ms};
    digest_labels(labels, range.labels);
    return range;
}

static void
ranges_fini(struct ranges *r)
{
    free(r->at);
}

static void
append(struct ranges *r, const struct range *range)
{
    r->at = xrealloc(r->at, (r->count + 1) * sizeof *r->at);
    r->at[r->count++] = *range;
}

static int
by_id(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return tsdb_ulid_cmp(&x->id, &y->id);
}

/* Fill the rest of *range, of which the id is set, from what is known. */
static bool
is_known(struct sidecar_overlap *o, struct range *range)
{
    MUTEX_SCOPE(&o->lock);
    const struct range *found =
        o->known.count == 0
            ? NULL
            : bsearch(range, o->known.at, o->known.count, sizeof *o->known.at, by_id);
    if (found != NULL)
        *range = *found;
    return found != NULL;
}

static void
list_block(void *arg, const struct sidecar_block_remote *block)
{
    struct ranges *listed = arg;
    const struct range range = {.id = block->id};
    if (sidecar_block_remote_find(block, TSDB_BLOCK_PATH_META) != NULL &&
        sidecar_block_remote_find(block, TSDB_BLOCK_PATH_DELETION_MARK) == NULL)
        append(listed, &range);
}

/* *usable: the meta is there, and sane. */
static bool
read_range(struct objstore_bucket *bucket, const struct cancel *cancel,
           struct range *range, bool *usable, struct err *err)
{
    const struct objstore_call call = {.deadline_ns = clock_deadline(META_TIMEOUT_NS),
                                       .cancel = cancel};
    struct tsdb_ulid_text name = tsdb_ulid_print(&range->id);
    CLEANUP(xfree) char *key = xasprintf("%s/" TSDB_BLOCK_PATH_META, name.text);
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    *usable = false;
    if (!objstore_get(bucket, &call, bytes_of_str(key), SIDECAR_META_MAX_BYTES, &text,
                      err))
        return err->code == ERR_NOT_FOUND;
    if (!tsdb_meta_parse(&meta, buf_bytes(&text), err)) {
        LOG_WARN("a meta.json of the bucket is broken, its block is not compared",
                 LOG_STR("block", name.text), LOG_ERR(err));
        return true;
    }
    const struct tsdb_ulid id = range->id;
    *range = range_of(&meta, meta.external);
    range->id = id;
    *usable = true;
    return true;
}

/* All that the bucket holds now, which is then what is known. */
static bool
refresh(struct sidecar_overlap *o, struct objstore_bucket *bucket,
        const struct cancel *cancel, struct ranges *now, struct err *err)
{
    const struct objstore_call call = {
        .deadline_ns = clock_deadline(SIDECAR_BUCKET_LISTING_TIMEOUT_NS),
        .cancel = cancel};
    CLEANUP(ranges_fini) struct ranges listed = {0};
    if (!sidecar_block_remote_each(bucket, &call, list_block, &listed, err))
        return false;
    for (size_t i = 0; i < listed.count; i++) {
        struct range range = listed.at[i];
        bool usable = is_known(o, &range);
        if (!usable && !read_range(bucket, cancel, &range, &usable, err))
            return false;
        if (usable)
            append(now, &range);
    }
    struct ranges known = {.at = xcalloc(now->count + 1, sizeof *known.at)};
    for (; known.count < now->count; known.count++)
        known.at[known.count] = now->at[known.count];
    MUTEX_SCOPE(&o->lock);
    ranges_fini(&o->known);
    o->known = known;
    return true;
}

static const struct range *
find_overlap(const struct ranges *among, const struct range *ours)
{
    for (size_t i = 0; i < among->count; i++) {
        const struct range *r = &among->at[i];
        if (r->mint_ms < ours->maxt_ms && ours->mint_ms < r->maxt_ms &&
            r->resolution_ms == 0 &&
            memcmp(r->labels, ours->labels, sizeof ours->labels) == 0 &&
            tsdb_ulid_cmp(&r->id, &ours->id) != 0)
            return r;
    }
    return NULL;
}

static void
leave(struct sidecar_overlap *o, const struct tsdb_ulid *id)
{
    mutex_check_held(&o->lock);
    struct ranges *r = &o->on_way;
    size_t i = 0;
    while (i < r->count && tsdb_ulid_cmp(&r->at[i].id, id) != 0)
        i++;
    if (i < r->count)
        r->at[i] = r->at[--r->count];
}

static void
enter(struct sidecar_overlap *o, const struct range *range)
{
    leave(o, &range->id);
    append(&o->on_way, range);
}

void
sidecar_overlap_begin(struct sidecar_overlap *o, const struct tsdb_meta *meta,
                      struct tsdb_labels labels)
{
    struct range ours = range_of(meta, labels);
    MUTEX_SCOPE(&o->lock);
    enter(o, &ours);
}

void
sidecar_overlap_end(struct sidecar_overlap *o, const struct tsdb_ulid *id)
{
    MUTEX_SCOPE(&o->lock);
    leave(o, id);
}

static bool
begin_alone(struct sidecar_overlap *o, const struct range *ours, struct err *err)
{
    MUTEX_SCOPE(&o->lock);
    const struct range *other = find_overlap(&o->on_way, ours);
    if (other != NULL)
        return err_set(
            err, ERR_CONFLICT,
            "block %s, with the same labels, overlaps it and is being shipped",
            tsdb_ulid_print(&other->id).text);
    enter(o, ours);
    return true;
}

static bool
is_alone(struct sidecar_overlap *o, struct objstore_bucket *bucket,
         const struct cancel *cancel, const struct range *ours, struct err *err)
{
    CLEANUP(ranges_fini) struct ranges now = {0};
    if (!refresh(o, bucket, cancel, &now, err))
        return err_wrap(err, "look for blocks that overlap");
    const struct range *other = find_overlap(&now, ours);
    return other == NULL ||
           err_set(err, ERR_CONFLICT,
                   "block %s of the bucket, with the same labels, overlaps it",
                   tsdb_ulid_print(&other->id).text);
}

bool
sidecar_overlap_check(struct sidecar_overlap *o, struct objstore_bucket *bucket,
                      const struct cancel *cancel, const struct tsdb_meta *meta,
                      struct tsdb_labels labels, struct err *err)
{
    struct range ours = range_of(meta, labels);
    if (!begin_alone(o, &ours, err))
        return false;
    if (is_alone(o, bucket, cancel, &ours, err))
        return true;
    sidecar_overlap_end(o, &ours.id);
    return false;
}
