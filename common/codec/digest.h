/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptographic digests, over libcrypto. */
#ifndef COMMON_CODEC_DIGEST_H
#define COMMON_CODEC_DIGEST_H

#include "common/base/bytes.h"

enum { DIGEST_SHA256_SIZE = 32, DIGEST_MD5_SIZE = 16 };

void digest_sha256(struct bytes data, uint8_t out[DIGEST_SHA256_SIZE]);
void digest_md5(struct bytes data, uint8_t out[DIGEST_MD5_SIZE]);
void digest_hmac_sha256(struct bytes key, struct bytes data,
                        uint8_t out[DIGEST_SHA256_SIZE]);

/* Incremental SHA-256 for streams. */
struct digest_sha256_stream;
struct digest_sha256_stream *digest_sha256_new(void);
void digest_sha256_add(struct digest_sha256_stream *s, struct bytes data);
/* Yields the digest and releases *s, which becomes NULL. */
void digest_sha256_finish(struct digest_sha256_stream **s,
                          uint8_t out[DIGEST_SHA256_SIZE]);
/* Release a stream that is not finished. CLEANUP handler; accepts NULL inside. */
void digest_sha256_free(struct digest_sha256_stream **s);

/* Lower-case hexadecimal text of data; text holds 2 * data.len + 1 bytes. */
void digest_hex(struct bytes data, char *text);

/* Overwrite a secret; not optimised away. */
void digest_cleanse(void *at, size_t len);

#endif
