/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the model of S3 share: s3_server.c (requests and objects),
 * s3_server_check.c (signatures and payloads), s3_server_parts.c (uploads in parts). */
#ifndef TESTS_SUPPORT_S3_SERVER_PRIV_H
#define TESTS_SUPPORT_S3_SERVER_PRIV_H

#include "tests/support/s3_server.h"

/* The names of headers that are looked at, in order; NULL-terminated. */
extern const char *const s3_server_headers[];

/* The raw keys in byte order. */
extern const char *const s3_server_keys[S3_KEYS];

/* One answer in the making. */
struct s3_answer {
    int status;
    struct buf body;
    uint64_t head_size; /* what HEAD announces */
    bool is_head;
    bool is_lost;
    struct {
        char name[64];
        char value[128];
    } headers[8];
    size_t header_count;
};

void s3_answer_error(struct s3_answer *a, int status, const char *code,
                     const char *more);
void s3_answer_header(struct s3_answer *a, const char *name, const char *value);

/* The content of a request, checked. */
struct s3_payload {
    struct bytes content; /* of the request, or decoded */
    struct buf decoded;
    bool has_checksum; /* the client told one, and it is right */
};
void s3_payload_fini(struct s3_payload *p);

/* NULL, or the code of the error to answer. */
const char *s3_payload_read(struct s3_payload *p, const struct s3_faults *f,
                            const struct net_http_exchange *x);

/* Whether a request that has to do with checksums is to be refused. */
bool s3_is_refused(const struct s3_faults *f, const struct net_http_exchange *x);

/* Verify the signature with code of our own. NULL, or what is wrong. region: what it is
 * signed for; access_key: who signed. */
const char *s3_signature_fault(const struct net_http_exchange *x, const char *method,
                               const char *path, char region[64], char access_key[64]);

/* Make an object of content. */
void s3_object_store(struct s3_object *o, const struct s3_faults *f,
                     const struct s3_payload *p);
void s3_object_clear(struct s3_object *o);

/* What the answer to a PUT says of the object. */
void s3_answer_stored(struct s3_answer *a, const struct s3_faults *f,
                      const struct s3_object *o);

/* The operations on uploads; the lock is held. */
void s3_parts_create(struct s3_server *s, size_t key, struct s3_answer *a);
void s3_parts_put(struct s3_server *s, size_t key, const struct net_http_exchange *x,
                  struct s3_answer *a);
void s3_parts_complete(struct s3_server *s, size_t key,
                       const struct net_http_exchange *x, struct s3_answer *a);
void s3_parts_abort(struct s3_server *s, size_t key, const struct net_http_exchange *x,
                    struct s3_answer *a);
void s3_parts_list(struct s3_server *s, const struct net_http_exchange *x,
                   struct s3_answer *a);

#endif
