/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a bucket: what one recursive listing tells of them, and what their
 * metas say. */
#ifndef COMMON_TOOLS_BLOCKS_H
#define COMMON_TOOLS_BLOCKS_H

#include "common/base/arena.h"
#include "common/objstore/bucket.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"

/* A meta.json above this is none (a guess): the largest have some thousand sources. */
enum { TOOLS_META_MAX_BYTES = 8 * 1024 * 1024 };

struct tools_object {
    struct bytes rel_path; /* "chunks/000001" */
    uint64_t size;         /* bytes */
};

/* What is kept of a meta.json. */
struct tools_meta {
    int64_t mint_ms;
    int64_t maxt_ms;
    int64_t num_series;
    int64_t num_samples;
    int64_t num_chunks;
    int64_t level;
    int64_t resolution_ms;
    struct bytes source; /* "" when not given */
    struct tsdb_labels external;
};

struct tools_block {
    struct tsdb_ulid id;
    struct tsdb_ulid_text name;
    struct tools_object *objects; /* in byte order of their paths */
    size_t object_count;
    uint64_t size; /* of all objects */
    bool has_meta; /* without it the block is not complete */
    bool is_marked_for_deletion;
    const struct tools_meta *meta; /* NULL: not read */
    struct bytes problem;          /* why it could not be; "" */
};

/* Everything lives in the arena that it was given. */
struct tools_blocks {
    struct tools_block *at; /* by ULID */
    size_t count;
};

/* List what is below prefix: "" is the whole bucket. Blocks are added to those that are
 * there; the listings of several calls must ascend. Objects that belong to no block are
 * left out.
 * Errors those of the bucket, but ERR_IO for ERR_INVALID, which is for arguments of the
 * user; ERR_BUDGET. */
NODISCARD bool tools_blocks_list(struct tools_blocks *blocks,
                                 struct objstore_bucket *bucket,
                                 const struct objstore_call *call, struct bytes prefix,
                                 struct arena *arena, struct err *err);

/* Read the metas of all complete blocks, several at a time. What is wrong with one of
 * them goes into its problem.
 * Errors ERR_BUDGET; when threads cannot be started; ERR_TIMEOUT, ERR_CANCELLED and
 * those of the bucket that concern all of them are problems, too. */
NODISCARD bool tools_blocks_read_metas(struct tools_blocks *blocks,
                                       struct objstore_bucket *bucket,
                                       const struct objstore_call *call,
                                       struct arena *arena, struct err *err);

/* The object of a block, or NULL. */
const struct tools_object *tools_block_object(const struct tools_block *block,
                                              struct bytes rel_path);

/* For people: "complete", "partial", "marked for deletion", or why its meta cannot be
 * read. */
struct bytes tools_block_state(const struct tools_block *block);

#endif
