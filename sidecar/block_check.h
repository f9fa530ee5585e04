/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a block is worth shipping: a broken one in the bucket would break its
 * readers.
 *
 * Looks at the frame, not at each sample: index header, table of contents, symbol table
 * and postings offset table with their checksums; the header of each segment and the
 * lengths of its chunks, whose number tells when a segment is missing. */
#ifndef SIDECAR_BLOCK_CHECK_H
#define SIDECAR_BLOCK_CHECK_H

#include "sidecar/block_files.h"

/* Check the files of the block in directory, which are to hold num_chunks chunks at
 * least. Reads the two tables of the index and the head of each chunk once; memory does
 * not depend on their number.
 * Errors ERR_CORRUPT; ERR_UNSUPPORTED: an index version we do not know; ERR_IO. The
 * text names the file. */
NODISCARD bool sidecar_block_check(const char *directory,
                                   const struct sidecar_block_files *files,
                                   int64_t num_chunks, struct err *err);

#endif
