/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions with the syntax and the meaning of Go's regexp, over RE2: whole
 * text, dot matches newline. Linear time. Compiled expressions are immutable and may be
 * shared by threads. */
#ifndef COMMON_CODEC_REGEX_H
#define COMMON_CODEC_REGEX_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* What a compiled expression may take at most while it is used, in bytes. */
enum { REGEX_MAX_BYTES = 2 * 1024 * 1024 };

/* Compile. Errors ERR_INVALID with the expression and the reason: syntax, \C, or a
 * program above REGEX_MAX_BYTES. */
NODISCARD bool regex_new(struct regex **out, struct bytes expression, struct err *err);
void regex_free(struct regex **re);

/* Whether the expression matches all of text. Invalid UTF-8 bytes match as U+FFFD. */
NODISCARD bool regex_matches(const struct regex *re, struct bytes text);

#ifdef __cplusplus
}
#endif

#endif
