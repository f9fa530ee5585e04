/* SPDX-License-Identifier: Apache-2.0 */
/* Well-formed UTF-8, told apart as Go does: no overlong forms, no surrogates, nothing
 * above U+10FFFF; a byte that starts no character counts as one broken character. */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include "common/base/bytes.h"
#include "common/base/compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

/* U+FFFD, which stands for a broken character. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Bytes of the character that text starts with, 1..4; 0 if it starts with none. */
size_t utf8_len(struct bytes text);

/* Write the character with this number; returns its bytes, 1..4, or 0, with nothing
 * written, if there is none. */
size_t utf8_put(uint8_t *to, uint32_t point);

NODISCARD bool utf8_is_valid(struct bytes text);

#ifdef __cplusplus
}
#endif

#endif
