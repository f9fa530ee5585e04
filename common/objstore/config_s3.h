/* SPDX-License-Identifier: Apache-2.0 */
/* The "config" of type: S3. */
#ifndef COMMON_OBJSTORE_CONFIG_S3_H
#define COMMON_OBJSTORE_CONFIG_S3_H

#include "common/codec/yaml.h"
#include "common/objstore/bucket.h"
#include "common/objstore/requests.h"

/* Open the bucket that config describes, its requests retried, and counted in requests,
 * which outlives it (NULL: not counted); to_read: for a command.
 * Errors ERR_INVALID with
 * line and key, and what to write instead. */
NODISCARD bool objstore_config_open_s3(struct objstore_bucket **out,
                                       const struct yaml *config,
                                       const char *user_agent, bool to_read,
                                       struct objstore_requests *requests,
                                       struct err *err);

#endif
