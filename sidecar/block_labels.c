/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_labels.h"

#include "common/base/log.h"
#include "sidecar/block_note.h"

static void
note(struct sidecar_block_table *table, const char *pins, const struct tsdb_ulid *id,
     struct tsdb_labels labels, bool is_news)
{
    struct err err;
    if (sidecar_block_note_write(pins, id, labels, &err)) {
        sidecar_block_table_hold(table, id, (struct tsdb_labels){0});
        return;
    }
    sidecar_block_table_hold(table, id, labels);
    LOG_AT(is_news ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
           "labels of a block cannot be noted, a restart takes those of then",
           LOG_STR("block", tsdb_ulid_print(id).text), LOG_ERR(&err),
           LOG_STR("code", err_code_name(err.code)));
}

bool
sidecar_block_labels_remember(struct sidecar_block_table *table, const char *pins,
                              const struct tsdb_ulid *id, struct tsdb_labels now,
                              bool *known, struct err *err)
{
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels noted = {0};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels held = {0};
    *known = sidecar_block_note_read(pins, id, &noted, err);
    if (*known)
        return true;
    if (err->code == ERR_CORRUPT)
        LOG_WARN("the labels of a block are taken anew", LOG_ERR(err));
    else if (err->code != ERR_NOT_FOUND)
        return false;
    bool is_news = !sidecar_block_table_held(table, id, &held);
    struct tsdb_labels labels = is_news ? now : held.set;
    *known = labels.len > 0;
    if (*known)
        note(table, pins, id, labels, is_news);
    return true;
}

/* Held ones go when there is a note, and not before: ask for them first. */
bool
sidecar_block_labels_recall(struct sidecar_block_table *table, const char *pins,
                            const struct tsdb_ulid *id, struct sidecar_ext_labels *out,
                            bool *held, struct err *err)
{
    *held = sidecar_block_table_held(table, id, out);
    return *held || sidecar_block_note_read(pins, id, out, err);
}
