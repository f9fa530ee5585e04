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

/* A sink into memory of the caller. */
struct objstore_memory {
    uint8_t *at;
    size_t room;
    size_t used;
};

/* The sink itself (objstore_sink_fn); arg is the memory. A piece that stands where it
 * belongs is only counted. */
NODISCARD bool objstore_memory_sink(void *memory, struct bytes piece, struct err *err);

/* Copy len bytes at offset of what is to be stored; they lie within put->size.
 * Errors ERR_CORRUPT: the file is shorter than that; ERR_IO. */
NODISCARD bool objstore_put_read(const struct objstore_put *put, uint64_t offset,
                                 uint8_t *into, size_t len, struct err *err);

/* The same for bytes that are sent next: they pass the gate. Errors also its own. */
NODISCARD bool objstore_put_send(const struct objstore_put *put, uint64_t offset,
                                 uint8_t *into, size_t len, struct err *err);

/* Whether a key or prefix is made of A-Z a-z 0-9 . _ - and / only: what buckets without
 * OBJSTORE_CAN_ANY_KEY take. Errors ERR_UNSUPPORTED, naming it. */
NODISCARD bool objstore_check_plain(struct bytes key, struct err *err);

/* The number that text, nothing but decimal digits, stands for. */
NODISCARD bool objstore_parse_u64(struct bytes text, uint64_t *value);

#endif
