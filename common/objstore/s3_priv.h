/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the S3 driver share: s3.c (reads, deletes, and the table of
 * operations), s3_put.c (whole objects), s3_multipart.c (objects in parts)
 * and s3_send.c (one PUT). */
#ifndef COMMON_OBJSTORE_S3_PRIV_H
#define COMMON_OBJSTORE_S3_PRIV_H

#include <stdatomic.h>

#include "common/objstore/s3.h"
#include "common/objstore/s3_exchange.h"

struct objstore_s3 {
    struct objstore_bucket base;
    struct objstore_s3_peer *peer;
    struct objstore_retrier *retrier;
    char *name;
    bool list_v1;
    bool is_encrypted; /* TLS protects what is sent */
    bool disable_multipart;
    uint64_t part_size;
    struct objstore_s3_headers put_headers;
    struct objstore_s3_headers key_headers;
    bool is_auto;         /* goes over to MD5 where checksums do not work */
    atomic_bool uses_md5; /* for uploads that begin now */
};

/* One try; answer keeps the headers. */
NODISCARD bool objstore_s3_head(const struct objstore_s3 *s3,
                                const struct objstore_call *call, struct bytes key,
                                struct objstore_attrs *attrs,
                                struct objstore_s3_answer *answer, struct err *err);

NODISCARD bool objstore_s3_put(struct objstore_s3 *s3, const struct objstore_call *call,
                               const struct objstore_put *put,
                               struct objstore_attrs *stored, struct err *err);

/* What was stored by a request that has succeeded, and what to compare. */
enum { OBJSTORE_S3_CHECKSUM_SIZE = 24 };
struct objstore_s3_stored {
    struct bytes key;
    struct objstore_s3_receipt receipt;
    char checksum[OBJSTORE_S3_CHECKSUM_SIZE]; /* CRC-32C, as HEAD says it; "" unknown */
    /* What became of it. */
    bool has_checksum; /* HEAD has said one, and it is this one */
};

/* Ask what the bucket holds now, with tries, and compare. Errors those of
 * objstore_s3_settle; ERR_CORRUPT: another checksum. */
NODISCARD bool objstore_s3_ask_stored(const struct objstore_s3 *s3,
                                      const struct objstore_call *call,
                                      struct objstore_s3_stored *stored,
                                      struct objstore_attrs *attrs, struct err *err);

/* Another way out than to try again, for a server that does not take checksums while
 * the configuration asks for nothing else. Yields false. */
bool objstore_s3_explain_refusal(struct err *err);

/* An object in parts. */
struct objstore_s3_parts {
    const struct objstore_s3 *s3;
    const struct objstore_call *call;
    const struct objstore_put *put; /* of a file */
    bool uses_md5;
    /* What became of it: the server refuses or ignores checksums; nothing is stored. */
    bool is_refused;
};

/* Store a file in parts, with tries of its own. */
NODISCARD bool objstore_s3_put_parts(struct objstore_s3_parts *parts,
                                     struct objstore_attrs *stored, struct err *err);

/* Whether a refusal may be owed to a checksum: servers that do not know them name them
 * in many ways. is_coded: the body is in chunks; who does not know that finds another
 * payload than was signed, which otherwise has changed on its way. */
NODISCARD bool objstore_s3_refuses_checksums(const struct objstore_s3_answer *answer,
                                             bool is_coded);

/* One PUT of some of what is to be stored. */
struct objstore_s3_send {
    const struct objstore_s3 *s3;
    const struct objstore_call *call;
    struct objstore_s3_target
        target; /* key, query, and headers but for the content's */
    const struct objstore_put *put;
    uint64_t offset; /* where it begins; 0 unless put is of a file */
    uint64_t size;
    bool uses_md5;
    /* What became of it. */
    struct objstore_s3_answer *answer; /* brought by the caller */
    uint32_t crc;                      /* of what was sent, unless uses_md5 */
    bool is_refused;                   /* the server does not take a checksum ... */
    bool is_final;    /* ... for sure, so that another try cannot help */
    bool is_compared; /* the server has said what it holds, and that is what was sent */
};

/* Send a struct objstore_s3_send once, for objstore_retry. True also when another try
 * cannot help.
 * Errors also ERR_CORRUPT: the file ends early, or the server says that it holds
 * something else. */
NODISCARD bool objstore_s3_try_send(void *send, struct err *err);

#endif
