/* SPDX-License-Identifier: Apache-2.0 */
/* A block in memory, to be damaged and checked with tsdb_block_verify. */
#ifndef TESTS_SUPPORT_VERIFIED_H
#define TESTS_SUPPORT_VERIFIED_H

#include "common/tsdb/block_verify.h"

enum { VERIFIED_SEGMENTS = 8, VERIFIED_FINDINGS = 8, VERIFIED_TEXT = 400 };

struct verified {
    struct tsdb_meta meta;
    struct buf index;
    struct buf segments[VERIFIED_SEGMENTS];
    size_t segment_count;
};

/* How to check, and what came out. */
struct verdict {
    enum tsdb_verify_level level;
    size_t piece_bytes;
    size_t budget_limit;
    uint64_t read_limit;    /* the read that gets past it fails; 0: none does */
    uint64_t cancel_at;     /* bytes read before cancel is raised; 0: never */
    uint64_t most_findings; /* before found ends the check; 0: no limit */
    /* out */
    struct tsdb_verify_totals totals;
    char findings[VERIFIED_FINDINGS][VERIFIED_TEXT]; /* "file at offset: what" */
    bool are_surplus[VERIFIED_FINDINGS];
    size_t budget_peak;
    /* private */
    const struct verified *block;
    struct cancel cancel;
};

/* Read the files of a block; aborts when it cannot. */
void verified_open(struct verified *b, const char *directory);
void verified_fini(struct verified *b);

/* Check. A read outside a file, or budget that is not given back, aborts. */
NODISCARD bool verified_check(const struct verified *b, struct verdict *verdict,
                              struct err *err);

#endif
