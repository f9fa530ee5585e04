/* SPDX-License-Identifier: Apache-2.0 */
/* The body of an upload with a trailing checksum: content coding "aws-chunked" without
 * signatures, and the CRC-32C of the content behind its last chunk. The content is read
 * once, straight into the sender's buffer.
 *
 *   40000\r\n <256 KiB> \r\n 40000\r\n ... 0\r\nx-amz-checksum-crc32c:<base64>\r\n\r\n
 *
 * Format: the page "Trailing checksums" of the S3 manual, with the payload hash
 * STREAMING-UNSIGNED-PAYLOAD-TRAILER. */
#ifndef COMMON_OBJSTORE_S3_CHUNKED_H
#define COMMON_OBJSTORE_S3_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum {
    OBJSTORE_S3_CHUNK_BYTES = 256 * 1024, /* MinIO takes at most 16 MiB */
    OBJSTORE_S3_CRC_TEXT_SIZE = 9,        /* base64 of four bytes, and NUL */
};

/* Reads exactly len bytes of the content at offset. */
typedef bool objstore_s3_content_fn(void *arg, uint64_t offset, uint8_t *into,
                                    size_t len, struct err *err);

/* An encoder that is pulled. */
struct objstore_s3_chunked {
    /* private */
    objstore_s3_content_fn *read;
    void *arg;
    uint64_t size;
    uint64_t done;     /* bytes of content that were read */
    size_t chunk_left; /* of these in the current chunk */
    uint32_t crc;
    bool is_complete; /* the trailer has been made */
    char text[64];    /* framing that is to be sent next */
    size_t text_len;
    size_t text_sent;
};

/* Start the body of size bytes of content. read and arg must outlive *c. */
void objstore_s3_chunked_init(struct objstore_s3_chunked *c,
                              objstore_s3_content_fn *read, void *arg, uint64_t size);

/* Bytes of the whole body for size bytes of content. */
uint64_t objstore_s3_chunked_size(uint64_t size);

/* Fill at most room bytes, at least one unless the body has ended. Errors: of read. */
NODISCARD bool objstore_s3_chunked_read(struct objstore_s3_chunked *c, uint8_t *into,
                                        size_t room, size_t *got, struct err *err);

/* CRC-32C of the content; known once the body has ended. */
uint32_t objstore_s3_chunked_crc(const struct objstore_s3_chunked *c);

/* The base64 text of a checksum, as headers and trailers have it. */
void objstore_s3_crc_text(uint32_t crc, char text[OBJSTORE_S3_CRC_TEXT_SIZE]);

#endif
