/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the place of s3_v2.c in a build without libs3. */
#include "common/objstore/s3_v2.h"

bool
objstore_s3_v2_open(struct objstore_bucket **out,
                    const struct objstore_s3_v2_options *options, struct err *err)
{
    (void)out;
    (void)options;
    return err_set(err, ERR_UNSUPPORTED,
                   "signature_version2: this build has no libs3, which it needs; leave "
                   "it out if the server knows Signature Version 4, or build with "
                   "-DBLOCKHOUSE_LIBS3=ON (Debian: libs3-dev)");
}
