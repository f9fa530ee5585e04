/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that is too large for a tree (json.h), written as it comes. */
#ifndef COMMON_CODEC_JSON_WRITER_H
#define COMMON_CODEC_JSON_WRITER_H

#include "common/base/buf.h"

/* Append text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD,
 * one for each, as in Go. */
void json_writer_text(struct buf *out, struct bytes text);

#endif
