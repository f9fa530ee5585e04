/* SPDX-License-Identifier: Apache-2.0 */
/* One block into the bucket. A block without meta.json is not there: readers pass over
 * it, so its other objects may come in any number of tries. meta.json is the commit. */
#ifndef SIDECAR_BLOCK_UPLOAD_H
#define SIDECAR_BLOCK_UPLOAD_H

#include "common/tsdb/block_verify.h"
#include "common/tsdb/labels.h"
#include "sidecar/block_note.h"
#include "sidecar/block_send.h"

/* Borrowed for the call. */
struct sidecar_block_upload {
    struct sidecar_sender sender;
    struct tsdb_labels labels; /* external labels */
    /* The labels are on no disk: a former run may have shipped the block with those of
     * its discovery, which then are right. */
    bool labels_are_held;
    struct sidecar_block_ids replaced; /* flushed blocks, to be named as sources */
    bool hash_sha256;                  /* put each file's SHA-256 into meta.json */
    enum tsdb_verify_level verify;
    /* Told when the block's own files are right. Returns false, with err filled, if it
     * is not to be sent all the same. NULL: it is. */
    bool (*checked)(void *arg, const struct tsdb_meta *meta, struct err *err);
    void *checked_arg;
};

/* Ship the block in directory, a pin, and return true once the bucket has been seen to
 * hold every byte of it and its meta.json. A no-compact-mark.json in it is shipped,
 * too: it is in the bucket before the block is seen there. Objects that are there with
 * the right size are used again, so a repeated call after a crash at any point ends in
 * the same state. *broken tells whether the block's own files are at fault.
 *
 * Errors ERR_INVALID: no external labels; ERR_CORRUPT: the block is broken, or an
 * object did not arrive whole; ERR_CONFLICT: the bucket holds another block under this
 * id, which is left alone; those of the bucket and of checked; ERR_CANCELLED. */
NODISCARD bool sidecar_block_upload(const struct sidecar_block_upload *how,
                                    const char *directory, const struct tsdb_ulid *id,
                                    bool *broken, struct err *err);

#endif
