/* SPDX-License-Identifier: Apache-2.0 */
/* What was parsed and printed parses again and prints the same. */
#include "common/base/check.h"
#include "common/codec/json.h"

enum { LIMIT = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    CLEANUP(json_free) struct json *first = NULL;
    CLEANUP(json_free) struct json *second = NULL;
    CLEANUP(buf_fini) struct buf once = {0};
    CLEANUP(buf_fini) struct buf twice = {0};
    if (!json_parse(bytes_of(data, size), LIMIT, &first, &err))
        return 0;
    json_print(first, -1, &once);
    CHECK(json_parse(buf_bytes(&once), SIZE_MAX, &second, &err));
    json_print(second, -1, &twice);
    CHECK(bytes_eq(buf_bytes(&once), buf_bytes(&twice)));
    return 0;
}
