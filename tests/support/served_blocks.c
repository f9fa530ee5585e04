/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/served_blocks.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"

enum { META_MAX = 1 << 20 };

static const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};

static bool
serve(struct store_block **block, const struct store_listed *listed,
      struct objstore_bucket *bucket, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(&listed->id);
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    CLEANUP(xfree) char *key = xasprintf("%s/meta.json", name.text);
    return objstore_get(bucket, &call, bytes_of_str(key), META_MAX, &text, err) &&
           tsdb_meta_parse(&meta, buf_bytes(&text), err) &&
           store_block_new(block, listed, &meta, err);
}

bool
served_blocks(struct store_block_set **set, struct objstore_bucket *bucket,
              const char *data_dir, struct store_page_cache *pages, struct err *err)
{
    CLEANUP(store_listing_fini) struct store_listing listing = {0};
    if (!store_listing_read(&listing, bucket, &call, err))
        return false;
    struct store_block **blocks = xcalloc(listing.count, sizeof(struct store_block *));
    bool ok = true;
    for (size_t i = 0; i < listing.count && ok; i++)
        ok = serve(&blocks[i], &listing.blocks[i], bucket, err) &&
             store_block_load(blocks[i], data_dir, bucket, &call, pages, err);
    if (ok) {
        *set = store_block_set_new(blocks, listing.count);
        return true;
    }
    for (size_t i = 0; i < listing.count; i++)
        store_block_unref(&blocks[i]);
    free(blocks);
    return false;
}
