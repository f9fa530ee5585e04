/* SPDX-License-Identifier: Apache-2.0 */
/* Results stay in range, and a sign in front of a duration only changes its sign. */
#include <string.h>

#include "common/base/check.h"
#include "common/codec/quantity.h"

enum { MAX_TEXT = 256 };

#define FIRST_MS INT64_C(-62167305600000) /* year 0, the day before for the zones */
#define LAST_MS INT64_C(253402387199999)  /* year 9999, and a day after */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    char signed_text[MAX_TEXT + 2] = "-";
    char *text = signed_text + 1;
    int64_t ns, negative_ns, ms;
    uint64_t bytes;
    if (size > MAX_TEXT)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    if (quantity_duration(text, &ns, &err) && ns >= 0 && text[0] != '-') {
        CHECK(quantity_duration(signed_text, &negative_ns, &err));
        CHECK(negative_ns == -ns);
    }
    if (quantity_rfc3339(text, &ms, &err))
        CHECK(ms >= FIRST_MS && ms <= LAST_MS);
    if (quantity_size(text, &bytes, &err))
        CHECK(text[0] != '-');
    return 0;
}
