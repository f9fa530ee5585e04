/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing what comes in pieces, in bounded memory that is charged to a budget:
 * gzip some 270 KiB, zstd COMPRESS_STREAM_ZSTD_BYTES, whatever the length. */
#ifndef COMMON_CODEC_COMPRESS_STREAM_H
#define COMMON_CODEC_COMPRESS_STREAM_H

#include "common/base/buf.h"

enum compress_stream_coding { COMPRESS_STREAM_GZIP, COMPRESS_STREAM_ZSTD };

/* What is charged for a context of zstd, which tells no allocation. */
enum { COMPRESS_STREAM_ZSTD_BYTES = 2 * 1024 * 1024 };

struct compress_stream;

/* Begin. budget outlives the stream.
 * Errors ERR_BUDGET, ERR_UNAVAILABLE, ERR_NOMEM. */
NODISCARD bool compress_stream_new(struct compress_stream **out,
                                   enum compress_stream_coding coding,
                                   struct budget *budget, struct err *err);

/* Take in; what is ready is appended to out, which may be nothing.
 * Errors those of out, ERR_INTERNAL. */
NODISCARD bool compress_stream_put(struct compress_stream *s, struct bytes in,
                                   struct buf *out, struct err *err);

/* Append what is left. Once, as the last. */
NODISCARD bool compress_stream_end(struct compress_stream *s, struct buf *out,
                                   struct err *err);

/* CLEANUP handler; accepts NULL inside. */
void compress_stream_free(struct compress_stream **s);

#endif
