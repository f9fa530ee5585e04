/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a block is worth shipping: a broken one in the bucket would break its
 * readers.
 *
 * Looks at the frame, not at each sample: index header, table of contents, symbol table
 * and postings offset table with their checksums; the header of each segment. */
#ifndef SIDECAR_BLOCK_CHECK_H
#define SIDECAR_BLOCK_CHECK_H

#include "sidecar/block_files.h"

/* Check the files of the block in directory. Reads the two tables of the index once;
 * memory does not depend on their size.
 * Errors ERR_CORRUPT; ERR_UNSUPPORTED: an index version we do not know; ERR_IO. The
 * text names the file. */
NODISCARD bool sidecar_block_check(const char *directory,
                                   const struct sidecar_block_files *files,
                                   struct err *err);

#endif
