/* SPDX-License-Identifier: Apache-2.0 */
/* The input is an expression, a newline and a value: a matcher says of it what the
 * regular expression engine says, also where it does without one. */
#include "common/base/check.h"
#include "common/codec/regex.h"
#include "common/tsdb/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
compare(struct bytes expression, struct bytes value)
{
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    CLEANUP(regex_free) struct regex *re = NULL;
    struct err err;
    bool ok = tsdb_matcher_new(&m, TSDB_MATCH_RE, BYTES("l"), expression, &err);
    CHECK(regex_new(&re, expression, &err) == ok);
    if (ok)
        CHECK(tsdb_matcher_matches(m, value) == regex_matches(re, value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = newline != NULL ? (size_t)(newline - data) : size;
    struct bytes value = bytes_of(data + len, size - len);
    if (newline != NULL)
        bytes_skip(&value, 1);
    compare(bytes_of(data, len), value);
    return 0;
}
