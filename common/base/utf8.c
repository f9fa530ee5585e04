/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/utf8.h"

/* Length of a sequence by its first byte, 0 if it is no first byte. */
static size_t
claimed_len(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc0 || first > 0xf7)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool
is_character(uint32_t point)
{
    return point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
}

size_t
utf8_len(struct bytes text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = text.len > 0 ? claimed_len(text.at[0]) : 0;
    if (len <= 1 || len > text.len)
        return len <= 1 ? len : 0;
    uint32_t point = text.at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text.at[i] & 0x3fU);
    }
    return point < smallest[len] || !is_character(point) ? 0 : len;
}

size_t
utf8_put(uint8_t *to, uint32_t point)
{
    if (!is_character(point))
        return 0;
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; point >>= 6)
        to[i] = (uint8_t)(0x80 | (point & 0x3f));
    to[0] = (uint8_t)(len == 1 ? point : (0xf0U << (4 - len) | point));
    return len;
}

bool
utf8_is_valid(struct bytes text)
{
    while (text.len > 0) {
        size_t len = utf8_len(text);
        if (len == 0)
            return false;
        bytes_skip(&text, len);
    }
    return true;
}
