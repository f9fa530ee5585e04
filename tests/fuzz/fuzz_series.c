/* SPDX-License-Identifier: Apache-2.0 */
/* Series entries: as they come, and with length and checksum repaired. */
#include "common/base/check.h"
#include "common/tsdb/series.h"
#include "tests/support/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUDGET = 1 << 20 };

static size_t
count_chunks(struct bytes entry, int64_t mint_ms, int64_t maxt_ms)
{
    struct budget budget;
    struct arena arena;
    struct tsdb_series s = {0};
    struct err err = {0};
    uint64_t size;
    budget_init(&budget, "fuzz", BUDGET, NULL);
    arena_init(&arena, &budget);
    if (tsdb_series_parse(&s, entry, mint_ms, maxt_ms, &arena, &err))
        CHECK(tsdb_series_size(entry, &size) && size <= entry.len);
    else
        CHECK(err.code == ERR_CORRUPT || err.code == ERR_BUDGET);
    for (size_t i = 0; i < s.chunk_count; i++)
        CHECK(s.chunks[i].maxt_ms >= mint_ms && s.chunks[i].mint_ms <= maxt_ms);
    arena_fini(&arena);
    budget_fini(&budget);
    return s.chunk_count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_fini) struct buf sealed = {0};
    count_chunks(bytes_of(data, size), INT64_MIN, INT64_MAX);
    put_record(&sealed, bytes_of(data, size));
    size_t all = count_chunks(buf_bytes(&sealed), INT64_MIN, INT64_MAX);
    CHECK(count_chunks(buf_bytes(&sealed), INT64_C(1763857000000), INT64_MAX) <= all);
    CHECK(count_chunks(buf_bytes(&sealed), 0, INT64_C(1763857000000)) <= all);
    return 0;
}
