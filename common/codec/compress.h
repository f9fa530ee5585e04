/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed bytes from and to outside; every claim of a length is checked against a
 * limit before anything is allocated. */
#ifndef COMMON_CODEC_COMPRESS_H
#define COMMON_CODEC_COMPRESS_H

#include <stdint.h>

#include "common/base/buf.h"

/* Append the content of a snappy block to out.
 * Errors ERR_INVALID: not snappy, or it claims more than limit bytes or than a block of
 * its length can hold (both checked before allocation). ERR_BUDGET from out. */
NODISCARD bool compress_snappy_decode(struct bytes in, size_t limit, struct buf *out,
                                      struct err *err);

/* Append in as one snappy block to out. Errors ERR_BUDGET from out. */
NODISCARD bool compress_snappy_encode(struct bytes in, struct buf *out,
                                      struct err *err);

/* The same in portions, for a block that need not be in memory as a whole: its head,
 * then the elements of each portion. A portion is best a multiple of
 * COMPRESS_SNAPPY_PORTION bytes, the farthest that the encoder looks back. The portions
 * of a block have length bytes together; that is the caller's to see to.
 *
 * Errors of begin ERR_BUDGET: the length is above what a block can have, 4 GiB - 1, or
 * from out. Of append ERR_BUDGET from out. */
enum { COMPRESS_SNAPPY_PORTION = 64 * 1024 };
NODISCARD bool compress_snappy_begin(uint64_t length, struct buf *out, struct err *err);
NODISCARD bool compress_snappy_append(struct bytes portion, struct buf *out,
                                      struct err *err);

/* Append in as one zstd frame that tells its length to out. For what is made now and
 * then: the library takes memory of its own, about what in has and at most some MB.
 * Errors ERR_BUDGET from out, ERR_NOMEM. */
NODISCARD bool compress_zstd_encode(struct bytes in, struct buf *out, struct err *err);

/* Append the content of one zstd frame that tells its length to out.
 * Errors ERR_INVALID: not such a frame, or it claims more than limit bytes (checked
 * before allocation). ERR_BUDGET from out. */
NODISCARD bool compress_zstd_decode(struct bytes in, size_t limit, struct buf *out,
                                    struct err *err);

/* Whether in begins as gzip does. */
NODISCARD bool compress_is_gzip(struct bytes in);

/* Append the content of the gzip members that in consists of to out.
 * Errors ERR_INVALID: not such members, one is cut or has a wrong checksum, or they
 * hold more than limit bytes. ERR_BUDGET from out, ERR_NOMEM. Out then holds a part. */
NODISCARD bool compress_gzip_decode(struct bytes in, size_t limit, struct buf *out,
                                    struct err *err);

/* Decode one zstd frame, or several, into len bytes at to, which they have to fill.
 * Errors ERR_CORRUPT: they do not. */
NODISCARD bool compress_zstd_decode_exactly(struct bytes in, uint8_t *to, size_t len,
                                            struct err *err);

#endif
