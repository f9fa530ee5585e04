/* SPDX-License-Identifier: Apache-2.0 */
/* What the drivers and wrappers of this folder share. */
#ifndef COMMON_OBJSTORE_BUCKET_PRIV_H
#define COMMON_OBJSTORE_BUCKET_PRIV_H

#include "common/objstore/bucket.h"

/* Errors ERR_CANCELLED, ERR_TIMEOUT: the call must not go on. */
NODISCARD bool objstore_call_check(const struct objstore_call *call, struct err *err);

/* A sink in front of another one. It notes that it was the sink that ended a transfer:
 * such an error must not be taken for one of the transport. */
struct objstore_outlet {
    objstore_sink_fn *sink;
    void *arg;
    uint64_t passed; /* bytes handed on so far */
    bool refused;
};

/* The sink itself (objstore_sink_fn); arg is the outlet. */
NODISCARD bool objstore_outlet_sink(void *outlet, struct bytes piece, struct err *err);

/* The number that text, nothing but decimal digits, stands for. */
NODISCARD bool objstore_parse_u64(struct bytes text, uint64_t *value);

#endif
