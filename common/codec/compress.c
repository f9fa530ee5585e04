/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/compress.h"

#include <inttypes.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/num.h"
#include "common/codec/varint.h"

/* The densest element of the format is three bytes for a copy of 64. */
enum { ELEMENT_BYTES = 3, ELEMENT_COPIES = 64 };

/* The default of the library. */
enum { ZSTD_LEVEL = 3 };

enum {
    GZIP_FORMAT = 16,            /* added to the window bits: not zlib's own format */
    GZIP_STEP_BYTES = 64 * 1024, /* room that is made in out at a time */
    GZIP_PIECE_BYTES = 1 << 30   /* of input, whose length zlib counts in 32 bits */
};

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

bool
compress_snappy_begin(uint64_t length, struct buf *out, struct err *err)
{
    if (length > UINT32_MAX)
        return err_set(err, ERR_BUDGET,
                       "%" PRIu64 " bytes are more than a snappy block can hold",
                       length);
    varint_put_u64(out, length);
    return buf_ok(out, err);
}

bool
compress_snappy_append(struct bytes portion, struct buf *out, struct err *err)
{
    size_t begin = out->len;
    size_t head = varint_size_u64(portion.len);
    if (!compress_snappy_encode(portion, out, err))
        return false;
    uint8_t *at = out->at + begin;
    out->len -= head;
    memmove(at, at + head, out->len - begin);
    return true;
}

bool
compress_zstd_encode(struct bytes in, struct buf *out, struct err *err)
{
    size_t room = ZSTD_compressBound(in.len);
    uint8_t *to = buf_reserve(out, room);
    if (to == NULL)
        return buf_ok(out, err);
    size_t len = ZSTD_compress(to, room, in.at, in.len, ZSTD_LEVEL);
    if (ZSTD_isError(len))
        return err_set(err, ERR_NOMEM, "cannot compress %zu bytes: %s", in.len,
                       ZSTD_getErrorName(len));
    out->len += len;
    return true;
}

bool
compress_zstd_decode(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    unsigned long long len = ZSTD_getFrameContentSize(in.at, in.len);
    if (len == ZSTD_CONTENTSIZE_ERROR || len == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(err, ERR_INVALID, "not a zstd frame that tells its length");
    if (len > limit)
        return err_set(err, ERR_INVALID,
                       "zstd frame of %llu bytes when decoded, limit %zu", len, limit);
    uint8_t *to = buf_reserve(out, (size_t)len);
    if (to == NULL && len > 0)
        return buf_ok(out, err);
    size_t got = ZSTD_decompress(to, (size_t)len, in.at, in.len);
    if (ZSTD_isError(got) || got != len)
        return err_set(err, ERR_INVALID, "broken zstd frame");
    out->len += got;
    return true;
}

bool
compress_is_gzip(struct bytes in)
{
    return bytes_starts_with(in, BYTES("\x1f\x8b\x08"));
}

/* One call of the library; *in becomes what it has not taken. *ended: a member has. */
static bool
inflate_step(z_stream *z, struct bytes *in, struct buf *out, bool *ended,
             struct err *err)
{
    uint8_t *to = buf_reserve(out, GZIP_STEP_BYTES);
    if (to == NULL)
        return buf_ok(out, err);
    size_t piece = NUM_MIN(in->len, (size_t)GZIP_PIECE_BYTES);
    z->next_in = (Bytef *)(uintptr_t)in->at; /* which it only reads */
    z->avail_in = (uInt)piece;
    z->next_out = to;
    z->avail_out = GZIP_STEP_BYTES;
    int status = inflate(z, Z_NO_FLUSH);
    bytes_skip(in, piece - z->avail_in);
    out->len += GZIP_STEP_BYTES - z->avail_out;
    *ended = status == Z_STREAM_END;
    if (status == Z_BUF_ERROR)
        return err_set(err, ERR_INVALID, "gzip is cut");
    if (status == Z_MEM_ERROR)
        return err_set(err, ERR_NOMEM, "no memory to decompress gzip");
    return status == Z_OK || *ended ||
           err_set(err, ERR_INVALID, "broken gzip: %s", z->msg ? z->msg : "no reason");
}

static void
end_inflate(z_stream *z)
{
    inflateEnd(z);
}

bool
compress_gzip_decode(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    CLEANUP(end_inflate) z_stream z = {0};
    size_t begin = out->len;
    bool ended = false;
    if (inflateInit2(&z, MAX_WBITS + GZIP_FORMAT) != Z_OK)
        return err_set(err, ERR_NOMEM, "no memory to decompress gzip");
    do {
        if (ended && inflateReset(&z) != Z_OK)
            return err_set(err, ERR_INTERNAL, "gzip cannot be begun again");
        if (!inflate_step(&z, &in, out, &ended, err))
            return false;
        if (out->len - begin > limit)
            return err_set(err, ERR_INVALID, "gzip holds more than %zu bytes", limit);
    } while (!ended || in.len > 0);
    return true;
}

bool
compress_zstd_decode_exactly(struct bytes in, uint8_t *to, size_t len, struct err *err)
{
    size_t got = ZSTD_decompress(to, len, in.at, in.len);
    if (ZSTD_isError(got) || got != len)
        return err_set(err, ERR_CORRUPT, "broken zstd frame");
    return true;
}
