/* SPDX-License-Identifier: Apache-2.0 */
#include "store/api_sync.h"

static void
reply(struct net_http_exchange *x, int status, struct bytes text)
{
    net_http_reply(x, status, "text/plain; charset=utf-8", text);
}

static void
handle(void *arg, struct net_http_exchange *x)
{
    switch (store_block_sync_ask(arg)) {
    case STORE_BLOCK_SYNC_BEGINS:
        reply(x, 202, BYTES("a look at the bucket begins\n"));
        return;
    case STORE_BLOCK_SYNC_FOLLOWS:
        reply(x, 202,
              BYTES("a look at the bucket is under way, another one follows it\n"));
        return;
    case STORE_BLOCK_SYNC_STOPPED:
        break;
    }
    reply(x, 503, BYTES("the store is stopping\n"));
}

struct net_http_route
store_api_sync_route(struct store_block_sync *sync)
{
    return (struct net_http_route){.method = "POST",
                                   .path = "/-/sync",
                                   .name = "sync",
                                   .handler = handle,
                                   .arg = sync};
}
