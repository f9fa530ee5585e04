/* SPDX-License-Identifier: Apache-2.0 */
/* The input is an expression and, behind the first NUL, a text. A group around the
 * expression changes no answer. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/codec/regex.h"

enum { MAX_BYTES = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_grouped(struct bytes expression, struct bytes text, bool expected)
{
    struct err err;
    CLEANUP(regex_free) struct regex *grouped = NULL;
    CLEANUP(buf_fini) struct buf b = {0};
    buf_put_str(&b, "(?:");
    buf_put(&b, expression);
    buf_put_str(&b, ")");
    /* It may be too large with the group, or end within \Q. */
    if (regex_new(&grouped, buf_bytes(&b), &err))
        CHECK(regex_matches(grouped, text) == expected);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    CLEANUP(regex_free) struct regex *re = NULL;
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    if (nul == NULL || size > MAX_BYTES)
        return 0;
    struct bytes expression = bytes_of(data, (size_t)(nul - data));
    struct bytes text = bytes_of(nul + 1, size - expression.len - 1);
    if (regex_new(&re, expression, &err))
        check_grouped(expression, text, regex_matches(re, text));
    return 0;
}
