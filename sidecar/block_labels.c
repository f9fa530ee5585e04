/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_labels.h"

#include "common/base/log.h"
#include "sidecar/flushed.h"

static void
note(const struct sidecar_label_keeper *k, const struct sidecar_block *block,
     struct tsdb_labels labels, bool is_news)
{
    struct err err;
    if (sidecar_flushed_inherit(k->tsdb_path, k->pins, block, labels, &err)) {
        sidecar_block_table_hold(k->table, &block->id, (struct tsdb_labels){0});
        return;
    }
    sidecar_block_table_hold(k->table, &block->id, labels);
    LOG_AT(is_news ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
           "labels of a block cannot be noted, a restart takes those of then",
           LOG_STR("block", tsdb_ulid_print(&block->id).text), LOG_ERR(&err),
           LOG_STR("code", err_code_name(err.code)));
}

bool
sidecar_block_labels_remember(const struct sidecar_label_keeper *k,
                              const struct sidecar_block *block, struct tsdb_labels now,
                              bool *known, struct err *err)
{
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels noted = {0};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels held = {0};
    *known = sidecar_block_note_read(k->pins, &block->id, &noted, NULL, err);
    if (*known)
        return true;
    if (err->code == ERR_CORRUPT)
        LOG_WARN("the labels of a block are taken anew", LOG_ERR(err));
    else if (err->code != ERR_NOT_FOUND)
        return false;
    bool is_news = !sidecar_block_table_held(k->table, &block->id, &held);
    struct tsdb_labels labels = is_news ? now : held.set;
    *known = labels.len > 0;
    if (*known)
        note(k, block, labels, is_news);
    return true;
}

/* Held ones go when there is a note, and not before: ask for them first. */
bool
sidecar_block_labels_recall(const struct sidecar_label_keeper *k,
                            const struct sidecar_block *block,
                            struct sidecar_ext_labels *labels,
                            struct sidecar_block_ids *replaced, bool *held,
                            struct err *err)
{
    *held = sidecar_block_table_held(k->table, &block->id, labels);
    return *held ? sidecar_flushed_find(k->tsdb_path, block, replaced, err)
                 : sidecar_block_note_read(k->pins, &block->id, labels, replaced, err);
}
