/* SPDX-License-Identifier: Apache-2.0 */
/* POST /-/sync: look at the bucket now, and not only when the interval is over. */
#ifndef STORE_API_SYNC_H
#define STORE_API_SYNC_H

#include "common/net/http_server.h"
#include "store/block_sync.h"

/* The route; sync outlives the server. Answers 202 at once, and says whether the look
 * begins now or follows one that is under way; 503 when the store stops. */
struct net_http_route store_api_sync_route(struct store_block_sync *sync);

#endif
