/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/json_writer.h"

#include <inttypes.h>
#include <math.h>

#include "common/base/num.h"
#include "common/base/utf8.h"

static bool
is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The character that text starts with, which is not plain; len is its length, 0 if it
 * is broken. */
static void
put_character(struct buf *out, struct bytes text, size_t len)
{
    uint8_t c = text.at[0];
    if (len == 0)
        buf_put_str(out, UTF8_REPLACEMENT);
    else if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c == '\n')
        buf_put_str(out, "\\n");
    else if (c < 0x20)
        buf_printf(out, "\\u%04x", c);
    else
        buf_put(out, bytes_of(text.at, len));
}

void
json_writer_text(struct buf *out, struct bytes text)
{
    buf_put_u8(out, '"');
    while (text.len > 0) {
        size_t plain = 0;
        while (plain < text.len && is_plain(text.at[plain]))
            plain++;
        buf_put(out, bytes_of(text.at, plain));
        bytes_skip(&text, plain);
        if (text.len == 0)
            break;
        size_t len = utf8_len(text);
        put_character(out, text, len);
        bytes_skip(&text, NUM_MAX(len, (size_t)1));
    }
    buf_put_u8(out, '"');
}

/* What stands in front of a value. */
static void
begin(struct json_writer *w, const char *key)
{
    if (w->follows)
        buf_put_u8(w->out, ',');
    w->follows = true;
    if (key != NULL)
        buf_printf(w->out, "\"%s\":", key);
}

void
json_writer_open(struct json_writer *w, const char *key, char bracket)
{
    begin(w, key);
    buf_put_u8(w->out, (uint8_t)bracket);
    w->follows = false;
}

void
json_writer_close(struct json_writer *w, char bracket)
{
    buf_put_u8(w->out, bracket == '{' ? '}' : ']');
    w->follows = true;
}

void
json_writer_put_text(struct json_writer *w, const char *key, struct bytes text)
{
    begin(w, key);
    json_writer_text(w->out, text);
}

void
json_writer_put_member(struct json_writer *w, struct bytes key, struct bytes text)
{
    begin(w, NULL);
    json_writer_text(w->out, key);
    buf_put_u8(w->out, ':');
    json_writer_text(w->out, text);
}

void
json_writer_put_str(struct json_writer *w, const char *key, const char *text)
{
    json_writer_put_text(w, key, bytes_of_str(text));
}

void
json_writer_put_i64(struct json_writer *w, const char *key, int64_t value)
{
    begin(w, key);
    buf_printf(w->out, "%" PRId64, value);
}

void
json_writer_put_time(struct json_writer *w, const char *key, int64_t time_ms)
{
    if (time_ms != INT64_MIN)
        json_writer_put_i64(w, key, time_ms);
}

void
json_writer_put_u64(struct json_writer *w, const char *key, uint64_t value)
{
    begin(w, key);
    buf_printf(w->out, "%" PRIu64, value);
}

void
json_writer_put_bool(struct json_writer *w, const char *key, bool value)
{
    begin(w, key);
    buf_put_str(w->out, value ? "true" : "false");
}

void
json_writer_put_null(struct json_writer *w, const char *key)
{
    begin(w, key);
    buf_put_str(w->out, "null");
}

void
json_writer_put_double(struct json_writer *w, const char *key, double value,
                       int decimals)
{
    if (!isfinite(value)) {
        json_writer_put_null(w, key);
        return;
    }
    begin(w, key);
    buf_printf(w->out, "%.*f", decimals, value);
}
