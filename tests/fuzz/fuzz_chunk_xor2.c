/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder agrees with the slow one on every input; what it decodes survives as XOR.
 */
#include "tests/support/chunk_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsdb_chunk chunk = tsdb_chunk_loose(TSDB_CHUNK_XOR2, bytes_of(data, size));
    chunk_digest_check(&chunk);
    return 0;
}
