/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregates stay inside the data, one behind the other, and are samples or an error;
 * the samples of counters ascend in time. */
#include "common/base/check.h"
#include "common/tsdb/chunk_aggr.h"
#include "tests/support/chunk_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_counter(const struct tsdb_chunk *chunk)
{
    struct tsdb_aggr_counter counter = {0};
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    struct err err;
    bool end = false, has_last = false;
    int64_t last_ms = 0;
    if (!tsdb_xor_reader_init(&reader, chunk->data, &err))
        return;
    while (tsdb_xor_next(&reader, &sample, &end, &err) && !end) {
        if (!tsdb_aggr_counter_next(&counter, &sample))
            continue;
        CHECK(!has_last || sample.t_ms > last_ms);
        has_last = true;
        last_ms = sample.t_ms;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsdb_aggr aggr;
    struct err err;
    const uint8_t *at = data;
    if (!tsdb_aggr_parse(&aggr, bytes_of(data, size), &err)) {
        CHECK(err.code == ERR_CORRUPT);
        return 0;
    }
    for (int i = 0; i < TSDB_AGGREGATES; i++) {
        const struct tsdb_chunk *chunk = &aggr.chunks[i];
        struct chunk_digest digest;
        if (chunk->encoding == TSDB_CHUNK_NONE)
            continue;
        CHECK(chunk->data.at > at && chunk->data.at + chunk->data.len <= data + size);
        at = chunk->data.at + chunk->data.len;
        (void)!chunk_digest_of(&digest, chunk, false, &err);
        if (chunk->encoding == TSDB_CHUNK_XOR)
            check_counter(chunk);
    }
    return 0;
}
