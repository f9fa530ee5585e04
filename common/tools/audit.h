/* SPDX-License-Identifier: Apache-2.0 */
/* One block of a bucket, checked completely: its objects against the list in its meta
 * (there, sizes, hashes, nothing else), and their content (common/tsdb/block_verify.h,
 * level full). Blocks are read front to back in large pieces. */
#ifndef COMMON_TOOLS_AUDIT_H
#define COMMON_TOOLS_AUDIT_H

#include "common/tools/blocks.h"
#include "common/tools/progress.h"
#include "common/tsdb/block_verify.h"

/* Problems that are kept of one block; of the others only the number. */
enum { TOOLS_PROBLEMS_MAX = 32 };

/* The worst comes last. */
enum tools_verdict {
    TOOLS_OK,
    TOOLS_PARTIAL, /* no meta.json: an upload that goes on, or was given up */
    TOOLS_BROKEN,  /* see the problems */
    TOOLS_UNREAD   /* it could not be checked to its end; the last problem says why */
};

struct tools_problem {
    char *object; /* path in the block */
    bool has_offset;
    uint64_t offset;
    char *what;
};

/* The zero value is empty; release with tools_report_fini. */
struct tools_report {
    enum tools_verdict verdict;
    struct tsdb_verify_totals totals;
    uint64_t problem_count;
    size_t kept;
    struct tools_problem problems[TOOLS_PROBLEMS_MAX];
};

struct tools_audit {
    struct objstore_bucket *bucket;
    struct budget *budget;
    struct tools_progress *progress;
};

/* Check a block of the listing. Problems and errors alike are in the report. Any
 * thread. */
void tools_audit_block(const struct tools_audit *how, const struct tools_block *block,
                       struct tools_report *report);

void tools_report_fini(struct tools_report *report);

#endif
