/* SPDX-License-Identifier: Apache-2.0 */
/* The object-store YAML, as in Thanos: type, config, prefix. */
#ifndef COMMON_OBJSTORE_CONFIG_H
#define COMMON_OBJSTORE_CONFIG_H

#include "common/objstore/bucket.h"

struct metrics_registry;

/* Expand $(VAR), parse strictly, and open the bucket it describes, wrapped with its
 * prefix and measured into metrics (NULL: not measured). component goes into the user
 * agent ("sidecar").
 * Errors ERR_INVALID with line and key; ERR_UNSUPPORTED for a provider or an option
 * that is known and not done here, named with what to use instead. */
NODISCARD bool objstore_open(struct objstore_bucket **out, struct bytes yaml,
                             const char *component, struct metrics_registry *metrics,
                             struct err *err);

/* The same for a command that only reads, not measured: a directory that is missing is
 * not made. Errors also ERR_NOT_FOUND: that. */
NODISCARD bool objstore_open_to_read(struct objstore_bucket **out, struct bytes yaml,
                                     const char *component, struct err *err);

#endif
