/* SPDX-License-Identifier: Apache-2.0 */
/* The head of Prometheus, the samples that are in no block yet, as a block to ship: one
 * that Prometheus writes into a snapshot when it is asked to, at the end of a pod say.
 *
 * The regular block that Prometheus cuts of the same samples when it is back has
 * another id. So the one of the head carries no-compact-mark.json, and
 * thanos/flushed.json remembers it for its heir (flushed.h).
 *
 * A snapshot costs links to all blocks, which keep what retention deletes on the disk.
 * thanos/flush.json therefore says from before Prometheus is asked until the snapshot
 * is gone that there may be one, and, once it is known, its name. Only a folder whose
 * name Prometheus has told, directly in <tsdb.path>/snapshots, is ever removed. */
#ifndef SIDECAR_FLUSH_H
#define SIDECAR_FLUSH_H

#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"
#include "sidecar/prom_client.h"

/* Borrowed for the call. */
struct sidecar_flush {
    const char *tsdb_path;
    const char *pins; /* the folder of pins, which exists */
    struct sidecar_prom_client *client;
    struct tsdb_labels labels; /* external labels of the block */
    int64_t deadline_ns;       /* of Prometheus */
    const struct cancel *cancel;
};

/* Ask for a snapshot, pin the block of the head that is in it, and remove the snapshot.
 * *pinned tells whether there is such a block: a head without samples makes none. *id
 * is that of the pin, which is shipped like any other. Nobody else may work in the data
 * directory. Killed anywhere, there is a whole pin or none; what is left besides
 * sidecar_flush_clean_up removes. What fails leaves no pin.
 *
 * Errors ERR_INVALID: no labels; ERR_DENIED: the snapshot could not be removed
 * afterwards, so that none was asked for; those of sidecar_prom_client_snapshot and of
 * sidecar_block_pin; ERR_IO. */
NODISCARD bool sidecar_flush_pin_head(const struct sidecar_flush *f,
                                      struct tsdb_ulid *id, bool *pinned,
                                      struct err *err);

/* Remove the snapshot that a killed run, or one without room, has left. Its samples are
 * in the log of Prometheus, unless they are pinned. One whose name never came is told
 * of in the log and left alone. Does nothing if there is none. */
NODISCARD bool sidecar_flush_clean_up(const char *tsdb_path, struct err *err);

#endif
