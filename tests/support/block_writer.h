/* SPDX-License-Identifier: Apache-2.0 */
/* Writes blocks as Prometheus writes them, for tests and benchmarks.
 *
 * Series come once, in label order, and are not kept in memory (index_writer.h says
 * what is). Their order is not checked: tests write broken blocks on purpose.
 *
 *     CLEANUP(block_writer_free) struct block_writer *w = NULL;
 *     block_writer_new(&w, dir, &id, &(struct block_writer_options){0}, err)
 *     && block_writer_add_samples(w, labels, samples, count, err)
 *     && block_writer_finish(w, err) */
#ifndef TESTS_SUPPORT_BLOCK_WRITER_H
#define TESTS_SUPPORT_BLOCK_WRITER_H

#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"

struct block_writer;

/* The zero value gives a block as today's Prometheus cuts it from its head. */
struct block_writer_options {
    int index_version;          /* 1 or 2; 0 is 2 */
    uint64_t segment_limit;     /* bytes of a segment file; 0 is 512 MiB */
    uint32_t samples_per_chunk; /* of add_samples, at most 65535; 0 is 120 */
    /* Not empty: the block gets a "thanos" section and no tombstones, as in a bucket.
     * Borrowed until the writer is freed. */
    struct tsdb_labels external;
    int64_t resolution_ms; /* of the "thanos" section; 0 is raw */
    int64_t level;         /* of compaction; 0 is 1 */
};

struct block_chunk {
    int64_t mint_ms; /* times of the first and last sample */
    int64_t maxt_ms;
    uint32_t samples; /* for the statistics of the meta */
    struct tsdb_chunk chunk;
};

/* Start the block dir/<ULID>; dir exists. Until finish all is in
 * <ULID>.tmp-for-creation. */
NODISCARD bool block_writer_new(struct block_writer **out, const char *dir,
                                const struct tsdb_ulid *id,
                                const struct block_writer_options *options,
                                struct err *err);

/* Add a series with chunks as given; count may be 0. Nothing is borrowed. */
NODISCARD bool block_writer_add_chunks(struct block_writer *w,
                                       struct tsdb_labels labels,
                                       const struct block_chunk *chunks, size_t count,
                                       struct err *err);

/* Add a series of floats, cut into XOR chunks. */
NODISCARD bool block_writer_add_samples(struct block_writer *w,
                                        struct tsdb_labels labels,
                                        const struct tsdb_sample *samples, size_t count,
                                        struct err *err);

/* Write index, meta.json and tombstones and give the directory its final name. Then
 * only free is allowed. */
NODISCARD bool block_writer_finish(struct block_writer *w, struct err *err);

/* Release; an unfinished block is removed. CLEANUP handler; accepts NULL inside. */
void block_writer_free(struct block_writer **w);

#endif
