/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that is too large for a tree (json.h), written as it comes. */
#ifndef COMMON_CODEC_JSON_WRITER_H
#define COMMON_CODEC_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

/* Append text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD,
 * one for each, as in Go. */
void json_writer_text(struct buf *out, struct bytes text);

/* A document, member by member. Set out; the rest is zero. Texts are as those of
 * json_writer_text; keys are plain constants, NULL for elements of an array and the
 * document itself. */
struct json_writer {
    struct buf *out;
    bool follows; /* something in the same object or array */
};

/* bracket is '{' or '['; close writes its counterpart. */
void json_writer_open(struct json_writer *w, const char *key, char bracket);
void json_writer_close(struct json_writer *w, char bracket);

void json_writer_put_text(struct json_writer *w, const char *key, struct bytes text);
void json_writer_put_str(struct json_writer *w, const char *key, const char *text);
void json_writer_put_i64(struct json_writer *w, const char *key, int64_t value);
void json_writer_put_u64(struct json_writer *w, const char *key, uint64_t value);
void json_writer_put_bool(struct json_writer *w, const char *key, bool value);
/* A time in milliseconds since 1970; nothing at all for INT64_MIN, which is unknown. */
void json_writer_put_time(struct json_writer *w, const char *key, int64_t time_ms);
/* As json_writer_put_text, of a key that is any text. */
void json_writer_put_member(struct json_writer *w, struct bytes key, struct bytes text);
void json_writer_put_null(struct json_writer *w, const char *key);

/* A number with at most decimals digits behind the point; null for what is no number.
 */
void json_writer_put_double(struct json_writer *w, const char *key, double value,
                            int decimals);

#endif
