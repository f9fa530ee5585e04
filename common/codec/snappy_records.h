/* SPDX-License-Identifier: Apache-2.0 */
/* Snappy elements for bytes that are records of one length, each much like the one
 * before it, as samples of a series are: the only copies are from there. For them that
 * is as small as what the general encoder finds, and takes a fraction of its time. */
#ifndef COMMON_CODEC_SNAPPY_RECORDS_H
#define COMMON_CODEC_SNAPPY_RECORDS_H

#include "common/base/buf.h"

enum { SNAPPY_RECORDS_MOST = 2047 };

/* Append a portion of a block as compress_snappy_append does (compress.h), which it
 * leaves it to if the records turn out to be unlike.
 *
 * stride  bytes of a record, 1 to SNAPPY_RECORDS_MOST; other bytes in between cost room
 *         only, and the portion may begin inside a record.
 * Errors  ERR_BUDGET from out. */
NODISCARD bool snappy_records_append(struct bytes portion, size_t stride,
                                     struct buf *out, struct err *err);

#endif
