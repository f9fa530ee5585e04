/* SPDX-License-Identifier: Apache-2.0 */
/* What the tool does: each command prints to stdout. */
#ifndef COMMON_TOOLS_COMMANDS_H
#define COMMON_TOOLS_COMMANDS_H

#include "common/objstore/bucket.h"
#include "common/tools/options.h"

/* What a command works with; borrowed for the call. */
struct tools_context {
    const struct tools_options *options;
    struct objstore_bucket *bucket;
    struct budget *budget;
    FILE *out;
};

/* List blocks from the listing alone. */
NODISCARD bool tools_ls(const struct tools_context *c, struct err *err);

/* Show what the metas of blocks say. */
NODISCARD bool tools_inspect(const struct tools_context *c, struct err *err);

/* Check blocks. True when all could be looked at; *sound: nothing is wrong.
 * Errors also ERR_NOT_FOUND: a block that was asked for is not there. */
NODISCARD bool tools_verify(const struct tools_context *c, bool *sound,
                            struct err *err);

#endif
