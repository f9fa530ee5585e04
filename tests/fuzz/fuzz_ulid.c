/* SPDX-License-Identifier: Apache-2.0 */
/* A ULID that was parsed prints as the very text it was parsed from. */
#include "common/base/check.h"
#include "common/tsdb/ulid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsdb_ulid id;
    struct bytes text = bytes_of(data, size);
    if (!tsdb_ulid_parse(&id, text))
        return 0;
    struct tsdb_ulid_text printed = tsdb_ulid_print(&id);
    CHECK(bytes_eq(bytes_of_str(printed.text), text));
    CHECK(tsdb_ulid_time_ms(&id) >= 0);
    return 0;
}
