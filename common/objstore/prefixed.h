/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a bucket that looks like a whole one. */
#ifndef COMMON_OBJSTORE_PREFIXED_H
#define COMMON_OBJSTORE_PREFIXED_H

#include "common/objstore/bucket.h"

/* Wrap *b so that every key stands below prefix. Slashes at the ends of prefix do not
 * count; without anything between them *b stays as it is.
 * Errors ERR_INVALID: prefix is no valid key; *b is untouched. */
NODISCARD bool objstore_prefixed_wrap(struct objstore_bucket **b, const char *prefix,
                                      struct err *err);

#endif
