/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of a block are those at its discovery, or the first ones that are known
 * afterwards. They are noted on the disk (block_note.h). A disk without room for that
 * does not keep a block from the bucket: then the table of blocks holds them. */
#ifndef SIDECAR_BLOCK_LABELS_H
#define SIDECAR_BLOCK_LABELS_H

#include "sidecar/block_table.h"

/* Note the labels of a block of the table, or hold them; now: those that it gets if it
 * has none yet. *known: it has some. The shipper's thread.
 * Errors those of reading a note: which labels the block has cannot be told. */
NODISCARD bool sidecar_block_labels_remember(struct sidecar_block_table *table,
                                             const char *pins,
                                             const struct tsdb_ulid *id,
                                             struct tsdb_labels now, bool *known,
                                             struct err *err);

/* The labels of a block. *out must be the zero value; *held: they are not on the disk.
 * Any thread. Errors ERR_NOT_FOUND; ERR_CORRUPT. */
NODISCARD bool sidecar_block_labels_recall(struct sidecar_block_table *table,
                                           const char *pins, const struct tsdb_ulid *id,
                                           struct sidecar_ext_labels *out, bool *held,
                                           struct err *err);

#endif
