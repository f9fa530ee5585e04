/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_remote.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"

/* A segment has 512 MiB: 8 TiB. More is not a block, and must not take our memory. */
enum { MAX_OBJECTS = 16384 };

/* One listing under way. */
struct listing {
    struct sidecar_block_remote block; /* the one that is being read */
    sidecar_block_remote_fn *fn;       /* NULL: there is only one */
    void *arg;
};

static void
listing_fini(struct listing *l)
{
    sidecar_block_remote_fini(&l->block);
}

static bool
add(struct sidecar_block_remote *block, struct bytes rel_path,
    const struct objstore_attrs *attrs, struct err *err)
{
    if (block->count == MAX_OBJECTS)
        return err_set(err, ERR_INVALID, "block %s has more than %d objects",
                       tsdb_ulid_print(&block->id).text, MAX_OBJECTS);
    block->at = xrealloc(block->at, (block->count + 1) * sizeof *block->at);
    block->at[block->count++] = (struct sidecar_remote_object){
        .rel_path = xasprintf("%.*s", BYTES_FMT(rel_path)), .attrs = *attrs};
    return true;
}

static void
hand_over(struct listing *l)
{
    if (l->fn != NULL && l->block.count > 0)
        l->fn(l->arg, &l->block);
    sidecar_block_remote_fini(&l->block);
}

static bool
visit(void *arg, const struct objstore_object *object, struct err *err)
{
    struct listing *l = arg;
    struct tsdb_ulid id;
    struct bytes rel_path;
    if (!tsdb_block_path_split(object->key, &id, &rel_path))
        return true;
    if (tsdb_ulid_cmp(&id, &l->block.id) != 0) {
        hand_over(l);
        l->block.id = id;
    }
    return add(&l->block, rel_path, &object->attrs, err);
}

bool
sidecar_block_remote_list(struct sidecar_block_remote *out,
                          struct objstore_bucket *bucket,
                          const struct objstore_call *call, const struct tsdb_ulid *id,
                          struct err *err)
{
    CLEANUP(listing_fini) struct listing l = {.block.id = *id};
    CLEANUP(xfree) char *prefix = xasprintf("%s/", tsdb_ulid_print(id).text);
    if (!objstore_list(bucket, call, bytes_of_str(prefix), visit, &l, err))
        return false;
    *out = l.block;
    l.block = (struct sidecar_block_remote){0};
    return true;
}

bool
sidecar_block_remote_each(struct objstore_bucket *bucket,
                          const struct objstore_call *call, sidecar_block_remote_fn *fn,
                          void *arg, struct err *err)
{
    CLEANUP(listing_fini) struct listing l = {.fn = fn, .arg = arg};
    if (!objstore_list(bucket, call, BYTES(""), visit, &l, err))
        return false;
    hand_over(&l);
    return true;
}

static int
by_path(const void *key, const void *element)
{
    const struct sidecar_remote_object *object = element;
    return strcmp(key, object->rel_path);
}

const struct sidecar_remote_object *
sidecar_block_remote_find(const struct sidecar_block_remote *block,
                          const char *rel_path)
{
    return block->count == 0
               ? NULL
               : bsearch(rel_path, block->at, block->count, sizeof *block->at, by_path);
}

bool
sidecar_block_remote_holds(const struct sidecar_block_remote *block,
                           const struct sidecar_block_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct sidecar_remote_object *object =
            sidecar_block_remote_find(block, files->at[i].rel_path);
        if (object == NULL || object->attrs.size != files->at[i].size)
            return false;
    }
    return sidecar_block_remote_find(block, TSDB_BLOCK_PATH_META) != NULL;
}

void
sidecar_block_remote_fini(struct sidecar_block_remote *block)
{
    for (size_t i = 0; i < block->count; i++)
        free(block->at[i].rel_path);
    free(block->at);
    *block = (struct sidecar_block_remote){0};
}
