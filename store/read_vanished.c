/* SPDX-License-Identifier: Apache-2.0 */
/* A block may be compacted and deleted under a query. Where the served set already has
 * what it became, the query begins again with that; else its reader is told to, and the
 * sync to look. */
#include "common/base/log.h"
#include "store/api_read_priv.h"

static const struct store_block *
vanished(const struct store_read_request *r, const struct err *err)
{
    return err->code == ERR_NOT_FOUND ? r->source.damage.vanished : NULL;
}

bool
store_read_is_superseded(struct store_read_request *r, const struct err *err)
{
    const struct store_block *gone = vanished(r, err);
    if (gone == NULL)
        return false;
    CLEANUP(store_block_set_unref)
    struct store_block_set *now = store_block_view_get(r->api->options.view);
    if (now == r->blocks || !store_block_set_replaces(now, gone))
        return false;
    LOG_INFO("a query begins again, as a block was compacted and deleted",
             LOG_STR("block", gone->name.text));
    store_read_metrics_superseded(&r->api->metrics);
    r->failure = err->code;
    return true;
}

void
store_read_note_vanished(struct store_read_request *r, struct err *err)
{
    if (vanished(r, err) == NULL)
        return;
    err->code = ERR_UNAVAILABLE;
    err_wrap(err, "data were deleted from the bucket, perhaps compacted: try again");
    if (r->api->options.sync != NULL)
        store_block_sync_suggest(r->api->options.sync);
}
