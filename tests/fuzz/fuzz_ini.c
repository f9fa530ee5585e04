/* SPDX-License-Identifier: Apache-2.0 */
/* Values lie inside of the text, hold no control character, and none is found in a
 * section that is not there. */
#include "common/base/check.h"
#include "common/objstore/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct bytes text = bytes_of(data, size), value;
    bool is_there = objstore_ini_has(text, "default");
    if (!objstore_ini_get(text, "default", "aws_secret_access_key", &value, &err)) {
        CHECK(err.code == ERR_INVALID);
        return 0;
    }
    CHECK(value.len == 0 || is_there);
    CHECK(value.len == 0 || (value.at > data && value.at + value.len <= data + size));
    for (size_t i = 0; i < value.len; i++)
        CHECK(value.at[i] >= ' ' || value.at[i] == '\t');
    return 0;
}
