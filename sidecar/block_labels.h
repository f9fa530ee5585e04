/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of a block are those at its discovery, or the first ones that are known
 * afterwards. They are noted on the disk (block_note.h). A disk without room for that
 * does not keep a block from the bucket: then the table of blocks holds them. */
#ifndef SIDECAR_BLOCK_LABELS_H
#define SIDECAR_BLOCK_LABELS_H

#include "sidecar/block_note.h"
#include "sidecar/block_table.h"

/* Where they are kept; all borrowed. */
struct sidecar_label_keeper {
    struct sidecar_block_table *table;
    const char *tsdb_path;
    const char *pins; /* folder */
};

/* Note the labels of a block of the table, or hold them; now: those that it gets if it
 * has none yet. With them goes what it is the heir of (flushed.h). *known: it has some.
 * The shipper's thread.
 * Errors those of reading a note: which labels the block has cannot be told. */
NODISCARD bool sidecar_block_labels_remember(const struct sidecar_label_keeper *k,
                                             const struct sidecar_block *block,
                                             struct tsdb_labels now, bool *known,
                                             struct err *err);

/* The labels of a block, and the flushed blocks that it replaces. *labels and *replaced
 * must be the zero value; *held: they are not on the disk. Any thread.
 * Errors ERR_NOT_FOUND; ERR_CORRUPT. */
NODISCARD bool sidecar_block_labels_recall(const struct sidecar_label_keeper *k,
                                           const struct sidecar_block *block,
                                           struct sidecar_ext_labels *labels,
                                           struct sidecar_block_ids *replaced,
                                           bool *held, struct err *err);

#endif
