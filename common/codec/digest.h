/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptographic digests, over libcrypto. */
#ifndef COMMON_CODEC_DIGEST_H
#define COMMON_CODEC_DIGEST_H

#include "common/base/bytes.h"
#include "common/base/compiler.h"

enum { DIGEST_SHA256_SIZE = 32, DIGEST_MD5_SIZE = 16 };

void digest_sha256(struct bytes data, uint8_t out[DIGEST_SHA256_SIZE]);
void digest_md5(struct bytes data, uint8_t out[DIGEST_MD5_SIZE]);
void digest_hmac_sha256(struct bytes key, struct bytes data,
                        uint8_t out[DIGEST_SHA256_SIZE]);

enum digest_algorithm { DIGEST_SHA256, DIGEST_MD5 };
enum { DIGEST_MAX_SIZE = DIGEST_SHA256_SIZE };

/* Incremental digest of a stream. */
struct digest_stream;
struct digest_stream *digest_stream_new(enum digest_algorithm algorithm);
void digest_stream_add(struct digest_stream *s, struct bytes data);
/* Yields the digest, of the algorithm's size, and releases *s, which becomes NULL. */
void digest_stream_finish(struct digest_stream **s, uint8_t *out);
/* Release a stream that is not finished. CLEANUP handler; accepts NULL inside. */
void digest_stream_free(struct digest_stream **s);

/* Lower-case hexadecimal text of data; text holds 2 * data.len + 1 bytes. */
void digest_hex(struct bytes data, char *text);

/* Base64 text of data, padded; text holds DIGEST_BASE64_SIZE(data.len) bytes. */
#define DIGEST_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void digest_base64(struct bytes data, char *text);

/* Decode such text into out, of room bytes; *len is what it came to. Returns false for
 * text that is no base64, or would not fit. */
NODISCARD bool digest_base64_decode(struct bytes text, uint8_t *out, size_t room,
                                    size_t *len);

/* Overwrite a secret; not optimised away. */
void digest_cleanse(void *at, size_t len);

#endif
