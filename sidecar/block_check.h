/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a block is worth shipping: a broken one in the bucket would break its
 * readers. What is looked at, common/tsdb/block_verify.h says. */
#ifndef SIDECAR_BLOCK_CHECK_H
#define SIDECAR_BLOCK_CHECK_H

#include "common/tsdb/block_verify.h"
#include "sidecar/block_files.h"

/* Borrowed for the call. */
struct sidecar_block_check {
    enum tsdb_verify_level level;
    const struct cancel *cancel; /* NULL: never */
};

/* Check the files of the block in directory against each other and its meta, up to the
 * first thing that is wrong; bytes too many are not, and only logged. Memory is small,
 * within a budget of its own. Errors ERR_CORRUPT; ERR_UNSUPPORTED: an index version or
 * a chunk encoding we do not know; ERR_BUDGET: an index too large for it; ERR_IO;
 * ERR_CANCELLED. The text names the file, and the offset where something is wrong. */
NODISCARD bool sidecar_block_check(const struct sidecar_block_check *how,
                                   const char *directory,
                                   const struct sidecar_block_files *files,
                                   const struct tsdb_meta *meta, struct err *err);

#endif
