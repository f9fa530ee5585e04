/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks in a directory: a data directory of Prometheus, or our folder of pins.
 *
 * A block is a directory whose whole name is a ULID; that name is the commit point of
 * its writer. Other names are passed over. What has such a name and is no directory, or
 * no meta.json that can be read, is reported and does not hide the others. */
#ifndef SIDECAR_BLOCK_SCAN_H
#define SIDECAR_BLOCK_SCAN_H

#include "common/base/err.h"
#include "common/tsdb/meta.h"
#include "common/tsdb/ulid.h"

/* A meta.json of Prometheus has some hundred bytes, and 60 more for each block that a
 * compaction put into it. */
enum { SIDECAR_META_MAX_BYTES = 4 * 1024 * 1024 };

struct sidecar_block {
    struct tsdb_ulid id;
    int64_t mint_ms;
    int64_t maxt_ms;
    int64_t level;
    int64_t num_samples;
    bool
        is_regular; /* cut from the head, with all samples of its time that are in order
                     */
};

/* Owned; the zero value is empty. */
struct sidecar_block_list {
    size_t count;
    struct sidecar_block *at; /* by mint_ms, then id */
};

/* Told about each block that cannot be read. ERR_CORRUPT: it is broken; ERR_DENIED,
 * ERR_IO and others: it may be whole. */
typedef void sidecar_bad_block_fn(void *arg, const struct tsdb_ulid *id,
                                  const struct err *err);

/* List the blocks of directory. *out must be the zero value.
 * Errors of the directory itself; ERR_NOT_FOUND if there is none. */
NODISCARD bool sidecar_block_scan(struct sidecar_block_list *out, const char *directory,
                                  sidecar_bad_block_fn *bad, void *arg,
                                  struct err *err);

/* Read and parse the meta.json of the block in block_directory and check that it is the
 * one of id. *meta must be the zero value; release it with tsdb_meta_fini.
 * Errors ERR_CORRUPT: not a sane meta, or no regular file; ERR_NOT_FOUND; ERR_DENIED;
 * ERR_IO. */
NODISCARD bool sidecar_block_meta_read(struct tsdb_meta *meta,
                                       const char *block_directory,
                                       const struct tsdb_ulid *id, struct err *err);

/* The block with this id, or NULL. O(count). */
const struct sidecar_block *sidecar_block_find(const struct sidecar_block_list *list,
                                               const struct tsdb_ulid *id);

/* Release; CLEANUP handler. */
void sidecar_block_list_fini(struct sidecar_block_list *list);

#endif
