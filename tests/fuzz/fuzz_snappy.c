/* SPDX-License-Identifier: Apache-2.0 */
/* What decodes is no longer than the limit, and survives encoding and decoding. */
#include "common/base/check.h"
#include "common/codec/compress.h"

enum { LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_round_trip(struct bytes text)
{
    struct err err;
    CLEANUP(buf_fini) struct buf block = {0};
    CLEANUP(buf_fini) struct buf back = {0};
    CHECK(compress_snappy_encode(text, &block, &err));
    CHECK(compress_snappy_decode(buf_bytes(&block), text.len, &back, &err));
    CHECK(bytes_eq(buf_bytes(&back), text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    if (!compress_snappy_decode(bytes_of(data, size), LIMIT, &out, &err)) {
        CHECK(out.len == 0 && err.code == ERR_INVALID);
        return 0;
    }
    CHECK(out.len <= LIMIT);
    check_round_trip(buf_bytes(&out));
    return 0;
}
