/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/json_writer.h"

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
