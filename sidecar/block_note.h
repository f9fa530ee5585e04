/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of a block from its discovery until it is shipped: its external
 * labels, which are those of the Prometheus that wrote it, whatever it is called later,
 * and the flushed blocks that it replaces (flushed.h).
 *
 * A note is <ULID>.json beside the pin, {"version":1,"labels":{"cluster":"eu1"},
 * "replaces":["<ULID>"]}; it is written before the pin is made, if the labels are
 * known, and removed behind it. While it cannot be written the table of blocks holds
 * them (block_table.h). */
#ifndef SIDECAR_BLOCK_NOTE_H
#define SIDECAR_BLOCK_NOTE_H

#include "common/tsdb/ulid.h"
#include "sidecar/ext_labels.h"

/* Owned; the zero value is none. */
struct sidecar_block_ids {
    size_t count;
    struct tsdb_ulid *at;
};

/* Release; CLEANUP handler. */
void sidecar_block_ids_fini(struct sidecar_block_ids *ids);

/* Write a note into the folder of pins; it is durable. replaced may be NULL. */
NODISCARD bool sidecar_block_note_write(const char *folder, const struct tsdb_ulid *id,
                                        struct tsdb_labels labels,
                                        const struct sidecar_block_ids *replaced,
                                        struct err *err);

/* Read a note. *labels and *replaced, which may be NULL, must be the zero value.
 * Errors ERR_NOT_FOUND; ERR_CORRUPT. */
NODISCARD bool sidecar_block_note_read(const char *folder, const struct tsdb_ulid *id,
                                       struct sidecar_ext_labels *labels,
                                       struct sidecar_block_ids *replaced,
                                       struct err *err);

/* Remove a note; a missing one is success. */
NODISCARD bool sidecar_block_note_remove(const char *folder, const struct tsdb_ulid *id,
                                         struct err *err);

/* Whether a block is not shipped yet. */
typedef bool sidecar_block_note_keep_fn(void *arg, const struct tsdb_ulid *id);

/* Remove the notes of blocks that keep does not want, and what a crash left half
 * written. */
NODISCARD bool sidecar_block_note_prune(const char *folder,
                                        sidecar_block_note_keep_fn *keep, void *arg,
                                        struct err *err);

#endif
