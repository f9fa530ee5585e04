/* SPDX-License-Identifier: Apache-2.0 */
/* What the drivers and wrappers of this folder share. */
#ifndef COMMON_OBJSTORE_BUCKET_PRIV_H
#define COMMON_OBJSTORE_BUCKET_PRIV_H

#include "common/objstore/bucket.h"

/* Errors ERR_CANCELLED, ERR_TIMEOUT: the call must not go on. */
NODISCARD bool objstore_call_check(const struct objstore_call *call, struct err *err);

/* Hand piece on, and note in *refused that it was the sink that ended the transfer:
 * such an error must not be taken for one of the transport. */
struct objstore_outlet {
    objstore_sink_fn *sink;
    void *arg;
    uint64_t passed; /* bytes handed on so far */
    bool refused;
};
NODISCARD bool objstore_outlet_pass(struct objstore_outlet *outlet, struct bytes piece,
                                    struct err *err);

#endif
