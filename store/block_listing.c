/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_listing.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"

/* Room for one more element in an array that doubles when its length is a power of two.
 */
static void *
grow(void *array, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? xrealloc(array, (count == 0 ? 1 : 2 * count) * size) : array;
}

static void
add_segment(struct store_listed *b, struct bytes name, struct store_stamp stamp)
{
    b->segments = grow(b->segments, b->segment_count, sizeof *b->segments);
    b->segments[b->segment_count++] = (struct store_listed_segment){
        .name = xasprintf("%.*s", BYTES_FMT(name)), .size = stamp.size};
    b->chunks.exists = true;
    b->chunks.size += stamp.size;
    b->chunks.mtime_ms = NUM_MAX(b->chunks.mtime_ms, stamp.mtime_ms);
}

static void
add_file(struct store_listed *b, struct bytes rest, const struct objstore_attrs *attrs)
{
    struct bytes chunks = BYTES(TSDB_BLOCK_PATH_CHUNKS "/");
    struct store_stamp stamp = {true, attrs->size, attrs->mtime_ms};
    if (bytes_eq(rest, BYTES(TSDB_BLOCK_PATH_META)))
        b->meta = stamp;
    else if (bytes_eq(rest, BYTES(TSDB_BLOCK_PATH_INDEX)))
        b->index = stamp;
    else if (bytes_eq(rest, BYTES(TSDB_BLOCK_PATH_DELETION_MARK)))
        b->mark = stamp;
    else if (bytes_starts_with(rest, chunks)) {
        bytes_skip(&rest, chunks.len);
        if (tsdb_block_path_is_segment(rest))
            add_segment(b, rest, stamp);
    }
}

/* Keys come in byte order, so all files of a block come together. */
static bool
add_object(void *arg, const struct objstore_object *object, struct err *err)
{
    struct store_listing *l = arg;
    struct tsdb_ulid id;
    struct bytes rest;
    if (!tsdb_block_path_split(object->key, &id, &rest))
        return true;
    int order = l->count == 0 ? 1 : tsdb_ulid_cmp(&id, &l->blocks[l->count - 1].id);
    if (order < 0)
        return err_set(err, ERR_UNSUPPORTED, "the bucket lists %.*s out of order",
                       BYTES_FMT(object->key));
    if (order > 0) {
        l->blocks = grow(l->blocks, l->count, sizeof *l->blocks);
        l->blocks[l->count++] = (struct store_listed){.id = id};
    }
    add_file(&l->blocks[l->count - 1], rest, &object->attrs);
    return true;
}

bool
store_listing_read(struct store_listing *l, struct objstore_bucket *bucket,
                   const struct objstore_call *call, struct err *err)
{
    if (!objstore_list(bucket, call, (struct bytes){0}, add_object, l, err))
        return err_wrap(err, "list blocks");
    return true;
}

void
store_listing_fini(struct store_listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        for (size_t k = 0; k < l->blocks[i].segment_count; k++)
            free(l->blocks[i].segments[k].name);
        free(l->blocks[i].segments);
    }
    free(l->blocks);
    *l = (struct store_listing){0};
}
