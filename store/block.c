/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "store/block_headers.h"
#include "store/page_writer.h"

void
store_block_reserve_segments(struct store_block *b, size_t count)
{
    b->segments = xcalloc(count + 1, sizeof *b->segments);
}

void
store_block_add_segment(struct store_block *b, struct bytes name, uint64_t size)
{
    b->segments[b->segment_count++] =
        (struct store_segment){.key = xasprintf("%s/" TSDB_BLOCK_PATH_CHUNKS "/%.*s",
                                                b->name.text, BYTES_FMT(name)),
                               .size = size};
}

struct bytes
store_block_segment_name(const struct store_block *b, size_t segment)
{
    return bytes_of_str(strrchr(b->segments[segment].key, '/') + 1);
}

static bool
add_named_segment(struct store_block *b, const struct store_listed *listed,
                  const char *name, struct err *err)
{
    for (size_t i = 0; i < listed->segment_count; i++) {
        if (strcmp(listed->segments[i].name, name) == 0) {
            store_block_add_segment(b, bytes_of_str(name), listed->segments[i].size);
            return true;
        }
    }
    return err_set(err, ERR_CORRUPT, "segment %s is not in the bucket", name);
}

static bool
add_segments(struct store_block *b, const struct store_listed *listed,
             const struct tsdb_meta *meta, struct err *err)
{
    size_t count = meta->segment_count;
    if (count > listed->segment_count)
        return err_set(err, ERR_CORRUPT,
                       "meta.json names %zu segments, the bucket has %zu", count,
                       listed->segment_count);
    store_block_reserve_segments(b, listed->segment_count);
    for (size_t i = 0; i < count; i++)
        if (!add_named_segment(b, listed, meta->segments[i], err))
            return false;
    for (size_t i = 0; count == 0 && i < listed->segment_count; i++)
        store_block_add_segment(b, bytes_of_str(listed->segments[i].name),
                                listed->segments[i].size);
    return true;
}

struct store_block *
store_block_restore(const struct tsdb_ulid *id, uint64_t index_size,
                    const struct store_block_meta *meta)
{
    struct store_block *b = xcalloc(1, sizeof *b);
    atomic_init(&b->references, 1);
    b->id = *id;
    b->name = tsdb_ulid_print(id);
    b->index_key = xasprintf("%s/" TSDB_BLOCK_PATH_INDEX, b->name.text);
    b->index_size = index_size;
    store_block_meta_copy(&b->meta, meta);
    return b;
}

bool
store_block_new(struct store_block **out, const struct store_listed *listed,
                const struct tsdb_meta *meta, struct err *err)
{
    CLEANUP(store_block_unref) struct store_block *b = xcalloc(1, sizeof *b);
    atomic_init(&b->references, 1);
    b->id = listed->id;
    b->name = tsdb_ulid_print(&listed->id);
    b->index_key = xasprintf("%s/" TSDB_BLOCK_PATH_INDEX, b->name.text);
    b->index_size = listed->index.size;
    store_block_meta_init(&b->meta, meta);
    if (tsdb_ulid_cmp(&meta->ulid, &listed->id) != 0)
        return err_set(err, ERR_CORRUPT, "meta.json is that of block %s",
                       tsdb_ulid_print(&meta->ulid).text);
    if (!listed->index.exists)
        return err_set(err, ERR_CORRUPT, "index is not in the bucket");
    if (!add_segments(b, listed, meta, err))
        return false;
    *out = TAKE(b);
    return true;
}

static char *
header_path(const struct store_block *b, const char *data_dir)
{
    return xasprintf("%s/%s" STORE_BLOCK_HEADER_SUFFIX, data_dir, b->name.text);
}

static struct store_index_source
index_of(const struct store_block *b, struct objstore_bucket *bucket,
         struct store_page_cache *cache)
{
    return (struct store_index_source){.bucket = bucket,
                                       .key = b->index_key,
                                       .size = b->index_size,
                                       .budget = store_page_cache_budget(cache)};
}

bool
store_block_open(struct store_block *b, const char *data_dir,
                 struct objstore_bucket *bucket, struct store_page_cache *cache,
                 struct err *err)
{
    CLEANUP(xfree) char *path = header_path(b, data_dir);
    CLEANUP(store_index_header_free) struct store_index_header *header = NULL;
    struct store_index_source source = index_of(b, bucket, cache);
    if (!store_index_header_open(&header, &source, path, cache, err))
        return false;
    /* Another thread may have been faster. */
    struct store_index_header *none = NULL;
    if (atomic_compare_exchange_strong(&b->header, &none, header))
        header = NULL;
    else if (!store_index_header_is_same(none, header))
        return err_set(err, ERR_CORRUPT, "index %s has changed", b->index_key);
    atomic_store(&b->is_header_gone, false);
    return true;
}

bool
store_block_load(struct store_block *b, const char *data_dir,
                 struct objstore_bucket *bucket, const struct objstore_call *call,
                 struct store_page_cache *cache, struct err *err)
{
    CLEANUP(xfree) char *path = header_path(b, data_dir);
    struct store_index_source source = index_of(b, bucket, cache);
    if (store_block_open(b, data_dir, bucket, cache, err))
        return true;
    if (err->code != ERR_CORRUPT && err->code != ERR_NOT_FOUND)
        return store_page_disk_failed(err);
    if (err->code == ERR_CORRUPT)
        LOG_WARN("index header damaged, building it again",
                 LOG_STR("block", b->name.text), LOG_ERR(err));
    return store_index_header_build(&source, call, path, err) &&
           (store_block_open(b, data_dir, bucket, cache, err) ||
            store_page_disk_failed(err));
}

uint64_t
store_block_header_bytes(const struct store_block *b, const char *data_dir)
{
    CLEANUP(xfree) char *path = header_path(b, data_dir);
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

bool
store_block_overlaps(const struct store_block *b, int64_t mint_ms, int64_t maxt_ms)
{
    return b->meta.mint_ms <= maxt_ms && mint_ms < b->meta.maxt_ms;
}

bool
store_block_reduce(const struct store_block *b,
                   const struct tsdb_matcher *const *matchers, size_t count,
                   const struct tsdb_matcher **rest, size_t *rest_count)
{
    *rest_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct bytes value =
            tsdb_labels_get(b->meta.external, tsdb_matcher_name(matchers[i]));
        if (value.len == 0)
            rest[(*rest_count)++] = matchers[i];
        else if (!tsdb_matcher_matches(matchers[i], value))
            return false;
    }
    return true;
}

struct store_block *
store_block_ref(struct store_block *b)
{
    atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
    return b;
}

void
store_block_unref(struct store_block **out)
{
    struct store_block *b = TAKE(*out);
    if (b == NULL || atomic_fetch_sub(&b->references, 1) > 1)
        return;
    struct store_index_header *header = atomic_load(&b->header);
    store_index_header_free(&header);
    store_header_build_free(&b->build);
    store_block_meta_fini(&b->meta);
    for (size_t i = 0; i < b->segment_count; i++)
        free(b->segments[i].key);
    free(b->segments);
    free(b->index_key);
    free(b);
}
