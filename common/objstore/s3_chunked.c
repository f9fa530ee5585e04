/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_chunked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/codec/digest.h"

#define TRAILER "x-amz-checksum-crc32c:"

void
objstore_s3_crc_text(uint32_t crc, char text[OBJSTORE_S3_CRC_TEXT_SIZE])
{
    uint8_t be[4];
    be32_store(be, crc);
    digest_base64(bytes_of(be, sizeof be), text);
}

/* Make the framing that stands in front of the next chunk, or ends the body. */
static void
make_text(struct objstore_s3_chunked *c)
{
    const char *end = c->done > 0 ? "\r\n" : ""; /* of the chunk before */
    int len;
    c->chunk_left = NUM_MIN(c->size - c->done, (uint64_t)OBJSTORE_S3_CHUNK_BYTES);
    if (c->chunk_left > 0) {
        len = snprintf(c->text, sizeof c->text, "%s%zx\r\n", end, c->chunk_left);
    } else {
        char crc[OBJSTORE_S3_CRC_TEXT_SIZE];
        objstore_s3_crc_text(c->crc, crc);
        len =
            snprintf(c->text, sizeof c->text, "%s0\r\n" TRAILER "%s\r\n\r\n", end, crc);
        c->is_complete = true;
    }
    CHECK(len > 0 && (size_t)len < sizeof c->text);
    c->text_len = (size_t)len;
    c->text_sent = 0;
}

void
objstore_s3_chunked_init(struct objstore_s3_chunked *c, objstore_s3_content_fn *read,
                         void *arg, uint64_t size)
{
    *c = (struct objstore_s3_chunked){.read = read, .arg = arg, .size = size};
    make_text(c);
}

static uint64_t
chunk_frame(uint64_t len)
{
    char digits[24];
    return (uint64_t)snprintf(digits, sizeof digits, "%" PRIx64, len) + 4;
}

uint64_t
objstore_s3_chunked_size(uint64_t size)
{
    uint64_t whole = size / OBJSTORE_S3_CHUNK_BYTES;
    uint64_t rest = size % OBJSTORE_S3_CHUNK_BYTES;
    return size + whole * chunk_frame(OBJSTORE_S3_CHUNK_BYTES) +
           (rest > 0 ? chunk_frame(rest) : 0) + strlen("0\r\n" TRAILER "\r\n\r\n") +
           OBJSTORE_S3_CRC_TEXT_SIZE - 1;
}

static size_t
send_text(struct objstore_s3_chunked *c, uint8_t *into, size_t room)
{
    size_t n = NUM_MIN(room, c->text_len - c->text_sent);
    memcpy(into, c->text + c->text_sent, n);
    c->text_sent += n;
    return n;
}

static bool
send_content(struct objstore_s3_chunked *c, uint8_t *into, size_t n, struct err *err)
{
    if (!c->read(c->arg, c->done, into, n, err))
        return false;
    c->crc = crc32c_extend(c->crc, bytes_of(into, n));
    c->done += n;
    c->chunk_left -= n;
    return true;
}

bool
objstore_s3_chunked_read(struct objstore_s3_chunked *c, uint8_t *into, size_t room,
                         size_t *got, struct err *err)
{
    size_t used = 0;
    while (used < room) {
        size_t n = send_text(c, into + used, room - used);
        if (n == 0 && c->chunk_left > 0) {
            n = NUM_MIN(room - used, c->chunk_left);
            if (!send_content(c, into + used, n, err))
                return false;
        } else if (n == 0 && !c->is_complete) {
            make_text(c);
        } else if (n == 0) {
            break;
        }
        used += n;
    }
    *got = used;
    return true;
}

uint32_t
objstore_s3_chunked_crc(const struct objstore_s3_chunked *c)
{
    return c->crc;
}
