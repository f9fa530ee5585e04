/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in S3-compatible storage that speaks only Signature Version 2, by way of
 * libs3.
 *
 * Abilities: none. Keys are made of A-Z a-z 0-9 . _ - and /, objects have at most 5
 * GiB, nothing is created conditionally. Deadlines and cancels count inside a call as
 * elsewhere. */
#ifndef COMMON_OBJSTORE_S3_V2_H
#define COMMON_OBJSTORE_S3_V2_H

#include "common/objstore/s3.h"

/* Make the bucket; no request is sent yet. region is not used: requests are signed
 * without one.
 * Errors ERR_INVALID names the option; ERR_UNSUPPORTED: an option that this signature
 * or libs3 has no means for, or a build without libs3. */
NODISCARD bool objstore_s3_v2_open(struct objstore_bucket **out,
                                   const struct objstore_s3_options *options,
                                   struct err *err);

#endif
