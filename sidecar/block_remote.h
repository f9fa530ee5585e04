/* SPDX-License-Identifier: Apache-2.0 */
/* What the bucket holds of a block, as a listing tells it. */
#ifndef SIDECAR_BLOCK_REMOTE_H
#define SIDECAR_BLOCK_REMOTE_H

#include "common/base/clock.h"
#include "common/objstore/bucket.h"
#include "common/tsdb/ulid.h"
#include "sidecar/block_files.h"

/* A bucket whose listing takes longer hangs. A guess: a million objects are a thousand
 * requests. */
#define SIDECAR_BUCKET_LISTING_TIMEOUT_NS (10 * 60 * CLOCK_NS_PER_S)

struct sidecar_remote_object {
    char *rel_path; /* "chunks/000001" */
    struct objstore_attrs attrs;
};

/* Owned; the zero value is a block of which there is nothing. */
struct sidecar_block_remote {
    struct tsdb_ulid id;
    size_t count;
    struct sidecar_remote_object *at; /* in byte order of their paths */
};

/* List what is there of one block, with one listing of its prefix. *out must be the
 * zero value. Errors those of the bucket; ERR_INVALID: more objects than a block has.
 */
NODISCARD bool sidecar_block_remote_list(struct sidecar_block_remote *out,
                                         struct objstore_bucket *bucket,
                                         const struct objstore_call *call,
                                         const struct tsdb_ulid *id, struct err *err);

/* Told about each block of a bucket; the block is borrowed for the call. */
typedef void sidecar_block_remote_fn(void *arg,
                                     const struct sidecar_block_remote *block);

/* Call fn for each block of the bucket, incomplete ones too, in the order of their ids,
 * with one listing of all of it. One block is held at a time. */
NODISCARD bool sidecar_block_remote_each(struct objstore_bucket *bucket,
                                         const struct objstore_call *call,
                                         sidecar_block_remote_fn *fn, void *arg,
                                         struct err *err);

/* The object of a block, or NULL. */
const struct sidecar_remote_object *
sidecar_block_remote_find(const struct sidecar_block_remote *block,
                          const char *rel_path);

/* Whether each of files is there with its size, and a meta.json. */
NODISCARD bool sidecar_block_remote_holds(const struct sidecar_block_remote *block,
                                          const struct sidecar_block_files *files);

/* Release; CLEANUP handler. *block is the zero value afterwards. */
void sidecar_block_remote_fini(struct sidecar_block_remote *block);

#endif
