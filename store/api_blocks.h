/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/blocks: the metas of the served blocks, in the shape of Thanos. */
#ifndef STORE_API_BLOCKS_H
#define STORE_API_BLOCKS_H

#include "common/net/http_server.h"
#include "store/block_sync.h"

/* Answer with a stream of all of them, oldest first, whatever the argument view is.
 * What of a meta is not kept is left out: thanos.files, compaction.parents. Pieces draw
 * on budget; all pointers outlive the server. */
void store_api_blocks_reply(struct net_http_exchange *x, struct store_block_view *view,
                            struct store_block_sync *sync, struct budget *budget);

#endif
