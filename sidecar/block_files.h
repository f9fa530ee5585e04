/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a block directory are shipped, in the order of their shipment: the
 * chunk segments by name, then the index. meta.json comes last and is not among them:
 * it is written anew. Tombstones and leftovers of writers stay behind. */
#ifndef SIDECAR_BLOCK_FILES_H
#define SIDECAR_BLOCK_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/codec/digest.h"

struct sidecar_block_file {
    char *rel_path; /* "chunks/000001", "index" */
    uint64_t size;  /* bytes */
};

/* Owned; the zero value is empty. */
struct sidecar_block_files {
    size_t count;
    struct sidecar_block_file *at;
};

/* List and measure the files of the block in directory. *out must be the zero value.
 * Errors ERR_NOT_FOUND: no such block, or it has just been deleted; ERR_CORRUPT: it has
 * no index or no segment, or one that is not a regular file; ERR_DENIED; ERR_IO. */
NODISCARD bool sidecar_block_files_read(struct sidecar_block_files *out,
                                        const char *directory, struct err *err);

/* Whether have names each file of wanted, none of them smaller. */
NODISCARD bool sidecar_block_files_cover(const struct sidecar_block_files *have,
                                         const struct sidecar_block_files *wanted);

/* Digest of a file of the block in directory, as lower-case hexadecimal text; hex holds
 * 2 * DIGEST_MAX_SIZE + 1 bytes. Errors ERR_IO; ERR_CORRUPT: it is shorter than its
 * size; ERR_CANCELLED (cancel may be NULL). */
NODISCARD bool sidecar_block_file_digest(const char *directory,
                                         const struct sidecar_block_file *file,
                                         enum digest_algorithm algorithm, char *hex,
                                         const struct cancel *cancel, struct err *err);

/* Bytes of all files. */
uint64_t sidecar_block_files_size(const struct sidecar_block_files *files);

/* Release; CLEANUP handler. */
void sidecar_block_files_fini(struct sidecar_block_files *files);

#endif
