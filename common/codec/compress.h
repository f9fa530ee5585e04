/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed bytes from and to outside; every claim of a length is checked against a
 * limit before anything is allocated. */
#ifndef COMMON_CODEC_COMPRESS_H
#define COMMON_CODEC_COMPRESS_H

#include "common/base/buf.h"

/* Append the content of a snappy block to out.
 * Errors ERR_INVALID: not snappy, or it claims more than limit bytes or than a block of
 * its length can hold (both checked before allocation). ERR_BUDGET from out. */
NODISCARD bool compress_snappy_decode(struct bytes in, size_t limit, struct buf *out,
                                      struct err *err);

/* Append in as one snappy block to out. Errors ERR_BUDGET from out. */
NODISCARD bool compress_snappy_encode(struct bytes in, struct buf *out,
                                      struct err *err);

#endif
