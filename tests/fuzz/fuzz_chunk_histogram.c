/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder agrees with the slow one on every input; what it decodes survives in
 * chunks without start timestamps. The first byte of the input chooses the encoding. */
#include "common/base/compiler.h"
#include "tests/support/chunk_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum tsdb_chunk_encoding encodings[] = {
        TSDB_CHUNK_HISTOGRAM, TSDB_CHUNK_FLOAT_HISTOGRAM, TSDB_CHUNK_HISTOGRAM_ST,
        TSDB_CHUNK_FLOAT_HISTOGRAM_ST};
    if (size == 0)
        return 0;
    struct tsdb_chunk chunk = tsdb_chunk_loose(
        encodings[data[0] % ARRAY_LEN(encodings)], bytes_of(data + 1, size - 1));
    chunk_digest_check(&chunk);
    return 0;
}
