/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/blocks.h"

#include <stdlib.h>

#include "common/base/mutex.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta.h"

enum { META_THREADS = 32 };

struct listing {
    struct tools_blocks *blocks;
    struct arena *arena;
    size_t block_cap;
    size_t object_cap; /* of the last block */
};

static bool
add_object(struct listing *l, struct bytes rel_path, uint64_t size, struct err *err)
{
    struct tools_block *b = &l->blocks->at[l->blocks->count - 1];
    struct tools_object *objects = arena_grow(l->arena, b->objects, b->object_count,
                                              &l->object_cap, sizeof *b->objects);
    if (objects == NULL)
        return arena_ok(l->arena, err);
    b->objects = objects;
    b->objects[b->object_count++] =
        (struct tools_object){arena_copy(l->arena, rel_path), size};
    b->size += size;
    b->has_meta |= bytes_eq(rel_path, BYTES(TSDB_BLOCK_PATH_META));
    b->is_marked_for_deletion |=
        bytes_eq(rel_path, BYTES(TSDB_BLOCK_PATH_DELETION_MARK));
    return arena_ok(l->arena, err);
}

static bool
add_block(struct listing *l, const struct tsdb_ulid *id, struct err *err)
{
    struct tools_blocks *blocks = l->blocks;
    struct tools_block *at = arena_grow(l->arena, blocks->at, blocks->count,
                                        &l->block_cap, sizeof *blocks->at);
    if (at == NULL)
        return arena_ok(l->arena, err);
    blocks->at = at;
    blocks->at[blocks->count++] =
        (struct tools_block){.id = *id, .name = tsdb_ulid_print(id)};
    l->object_cap = 0;
    return true;
}

/* Keys come in byte order, so all objects of a block come together. */
static bool
take_object(void *arg, const struct objstore_object *object, struct err *err)
{
    struct listing *l = arg;
    struct tsdb_ulid id;
    struct bytes rest;
    if (!tsdb_block_path_split(object->key, &id, &rest))
        return true;
    const struct tools_blocks *blocks = l->blocks;
    int order =
        blocks->count == 0 ? 1 : tsdb_ulid_cmp(&id, &blocks->at[blocks->count - 1].id);
    if (order < 0)
        return err_set(err, ERR_UNSUPPORTED, "the bucket lists %.*s out of order",
                       BYTES_FMT(object->key));
    return (order == 0 || add_block(l, &id, err)) &&
           add_object(l, rest, object->attrs.size, err);
}

bool
tools_blocks_list(struct tools_blocks *blocks, struct objstore_bucket *bucket,
                  const struct objstore_call *call, struct bytes prefix,
                  struct arena *arena, struct err *err)
{
    /* Of blocks that are there already no more than these have room. */
    struct listing l = {.blocks = blocks, .arena = arena, .block_cap = blocks->count};
    if (objstore_list(bucket, call, prefix, take_object, &l, err))
        return true;
    if (err->code == ERR_INVALID)
        err->code = ERR_IO;
    return err_wrap(err, "list blocks");
}

const struct tools_object *
tools_block_object(const struct tools_block *block, struct bytes rel_path)
{
    for (size_t i = 0; i < block->object_count; i++)
        if (bytes_eq(block->objects[i].rel_path, rel_path))
            return &block->objects[i];
    return NULL;
}

struct bytes
tools_block_state(const struct tools_block *block)
{
    if (block->problem.len > 0)
        return block->problem;
    if (block->is_marked_for_deletion)
        return BYTES("marked for deletion");
    return block->has_meta ? BYTES("complete") : BYTES("partial");
}

struct reading {
    struct objstore_bucket *bucket;
    const struct objstore_call *call;
    struct mutex lock;   /* LOCK_TOOLS */
    struct arena *arena; /* guarded by lock */
};

struct meta_job {
    struct pool_job job;
    struct reading *reading;
    struct tools_block *block;
};

/* Copy what is kept; the lock is held. */
static const struct tools_meta *
keep(const struct tsdb_meta *m, struct arena *arena)
{
    struct tools_meta *kept = arena_calloc(arena, 1, sizeof *kept);
    struct tsdb_label *labels = arena_calloc(arena, m->external.len, sizeof *labels);
    if (kept == NULL || labels == NULL)
        return NULL;
    for (size_t i = 0; i < m->external.len; i++) {
        labels[i].name = arena_copy(arena, m->external.at[i].name);
        labels[i].value = arena_copy(arena, m->external.at[i].value);
    }
    *kept = (struct tools_meta){
        .mint_ms = m->mint_ms,
        .maxt_ms = m->maxt_ms,
        .num_series = m->num_series,
        .num_samples = m->num_samples,
        .num_chunks = m->num_chunks,
        .level = m->level,
        .resolution_ms = m->resolution_ms,
        .source = arena_copy(arena, bytes_of_str(m->source != NULL ? m->source : "")),
        .external = {labels, m->external.len},
    };
    return kept;
}

static bool
get_meta(const struct reading *r, const struct tools_block *block,
         struct tsdb_meta *meta, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree)
    char *key = xasprintf("%s/%s", block->name.text, TSDB_BLOCK_PATH_META);
    return objstore_get(r->bucket, r->call, bytes_of_str(key), TOOLS_META_MAX_BYTES,
                        &text, err) &&
           (tsdb_meta_parse(meta, buf_bytes(&text), err) || err_wrap(err, "%s", key));
}

static void
run_meta_job(struct pool_job *job)
{
    struct meta_job *j = (struct meta_job *)job;
    struct reading *r = j->reading;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    struct err err;
    bool ok = get_meta(r, j->block, &meta, &err);
    MUTEX_SCOPE(&r->lock);
    if (ok)
        j->block->meta = keep(&meta, r->arena);
    else
        j->block->problem = arena_copy(r->arena, bytes_of_str(err.text));
}

bool
tools_blocks_read_metas(struct tools_blocks *blocks, struct objstore_bucket *bucket,
                        const struct objstore_call *call, struct arena *arena,
                        struct err *err)
{
    struct reading r = {.bucket = bucket, .call = call, .arena = arena};
    CLEANUP(pool_free) struct pool *pool = NULL;
    struct meta_job *jobs = arena_calloc(arena, blocks->count, sizeof *jobs);
    if (jobs == NULL)
        return arena_ok(arena, err);
    if (!pool_new(&pool, "meta", META_THREADS, err))
        return false;
    mutex_init(&r.lock, LOCK_TOOLS);
    for (size_t i = 0; i < blocks->count; i++) {
        if (!blocks->at[i].has_meta)
            continue;
        jobs[i] = (struct meta_job){{.run = run_meta_job}, &r, &blocks->at[i]};
        pool_submit(pool, &jobs[i].job);
    }
    pool_free(&pool); /* once all jobs are done */
    mutex_fini(&r.lock);
    return arena_ok(arena, err);
}
