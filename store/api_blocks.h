/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/blocks: the metas of the served blocks, in the shape of Thanos. */
#ifndef STORE_API_BLOCKS_H
#define STORE_API_BLOCKS_H

#include "common/net/http_server.h"
#include "store/block_sync.h"

struct store_api_blocks {
    struct store_block_view *view; /* all pointers borrowed */
    struct store_block_sync *sync;
    struct budget *budget; /* pieces of answers draw on it */
    const char *label;     /* told as the label to show blocks by */
};

/* Answer with a stream of all of them, oldest first, whatever the argument view is.
 * What of a meta is not kept is left out: thanos.files, compaction.parents. What a is
 * made of outlives the server. */
void store_api_blocks_reply(const struct store_api_blocks *a,
                            struct net_http_exchange *x);

#endif
