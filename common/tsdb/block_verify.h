/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a block is whole and right: its index, its segments, and what meta.json says
 * of both.
 *
 * Nothing here does I/O: the caller reads, from files or from a bucket, in pieces that
 * follow one another. Memory does not depend on the size of the block, but for a bit
 * for each 16 bytes of the series section (index version 1: each byte of it and of the
 * symbol table) and, at level full, 4 bytes a symbol and the buckets of one chunk of
 * histograms; all of it is charged to a budget.
 *
 * What is found does not end the check: the rest is looked at as far as it can be
 * understood, and what only follows from an earlier finding is left out. Legal, though
 * nobody writes them today: versions 1 and 3, the obsolete sections of an index,
 * symbols that nobody uses, series without chunks, zeros behind the last chunk of a
 * segment, a chunk whose last sample stands at the very maxTime of the block. */
#ifndef COMMON_TSDB_BLOCK_VERIFY_H
#define COMMON_TSDB_BLOCK_VERIFY_H

#include "common/base/budget.h"
#include "common/base/cancel.h"
#include "common/tsdb/meta.h"

enum tsdb_verify_level {
    /* All of the index: checksums, order of symbols, series, chunks and postings,
     * references in both directions, the statistics of the meta. Of the segments the
     * header and the length of each chunk. */
    TSDB_VERIFY_FRAME,
    /* Each chunk as well: checksum, encoding, the order of its samples and their times;
     * for each label pair of each series its posting. */
    TSDB_VERIFY_FULL
};

struct tsdb_verify_file {
    const char *name; /* for findings: "chunks/000001" */
    uint64_t size;    /* bytes */
};

/* The place of a finding that is about the meta and not about a file. */
enum { TSDB_VERIFY_META = -1 };

struct tsdb_verify_finding {
    enum err_code code; /* ERR_CORRUPT, ERR_UNSUPPORTED */
    bool is_surplus;    /* bytes too many, that no reader ever comes to */
    const char *file;   /* its name, "meta.json" for the meta */
    uint64_t offset;    /* in the file; 0 for the meta */
    const char *what;   /* borrowed for the call */
};

/* The callbacks share one argument. They are called by the thread that called
 * tsdb_block_verify, while it runs. */

/* Read exactly len bytes at offset of files[file]; they lie inside it. */
typedef bool tsdb_verify_read_fn(void *arg, size_t file, uint64_t offset, uint8_t *into,
                                 size_t len, struct err *err);

/* Take a finding. Returns false to end the check. */
typedef bool tsdb_verify_found_fn(void *arg, const struct tsdb_verify_finding *finding);

/* Told after each read how many bytes were read in all. */
typedef void tsdb_verify_progress_fn(void *arg, uint64_t bytes_read);

/* All is borrowed for the call. */
struct tsdb_verify {
    enum tsdb_verify_level level;
    const struct tsdb_meta *meta;
    /* The index, then the segments in the order of their numbers. */
    const struct tsdb_verify_file *files;
    size_t file_count;  /* at least 1 */
    size_t piece_bytes; /* of a read; two pieces are held */
    struct budget *budget;
    const struct cancel *cancel; /* NULL: never */
    tsdb_verify_read_fn *read;
    tsdb_verify_found_fn *found;
    tsdb_verify_progress_fn *progress; /* NULL: not told */
    void *arg;
};

struct tsdb_verify_totals {
    uint64_t findings;
    uint64_t series;
    uint64_t chunks;
    uint64_t samples; /* level full */
    uint64_t bytes_read;
};

/* Check a block. True when it was checked to the end or a callback ended it, whatever
 * was found: see totals->findings.
 * Errors those of read; ERR_BUDGET; ERR_CANCELLED. *totals is set in any case. */
NODISCARD bool tsdb_block_verify(const struct tsdb_verify *how,
                                 struct tsdb_verify_totals *totals, struct err *err);

#endif
