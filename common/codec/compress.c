/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/compress.h"

#include <snappy-c.h>

/* The densest element of the format is three bytes for a copy of 64. */
enum { ELEMENT_BYTES = 3, ELEMENT_COPIES = 64 };

bool
compress_snappy_decode(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    const char *from = (const char *)in.at;
    size_t len;
    if (snappy_uncompressed_length(from, in.len, &len) != SNAPPY_OK)
        return err_set(err, ERR_INVALID, "not a snappy block");
    if (len > limit)
        return err_set(err, ERR_INVALID,
                       "snappy block of %zu bytes when decoded, limit %zu", len, limit);
    if (len / ELEMENT_COPIES > in.len / ELEMENT_BYTES + 1)
        return err_set(err, ERR_INVALID,
                       "broken snappy block: %zu bytes cannot hold %zu", in.len, len);
    uint8_t *to = buf_reserve(out, len);
    if (to == NULL)
        return buf_ok(out, err);
    if (snappy_uncompress(from, in.len, (char *)to, &len) != SNAPPY_OK)
        return err_set(err, ERR_INVALID, "broken snappy block");
    out->len += len;
    return true;
}

bool
compress_snappy_encode(struct bytes in, struct buf *out, struct err *err)
{
    size_t len = snappy_max_compressed_length(in.len);
    uint8_t *to = buf_reserve(out, len);
    if (to == NULL)
        return buf_ok(out, err);
    if (snappy_compress((const char *)in.at, in.len, (char *)to, &len) != SNAPPY_OK)
        return err_set(err, ERR_INVALID, "cannot compress %zu bytes", in.len);
    out->len += len;
    return true;
}
