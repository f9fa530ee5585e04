/* SPDX-License-Identifier: Apache-2.0 */
/* A block of an index and a segment: "u8 how | BE16 length of the index | index |
 * segment". The lowest bit of the first byte chooses the level, the next asks for right
 * checksums around what is there, the others are the size of the pieces. The verdict
 * does not depend on the pieces, and the check keeps to its budget. */
#include "common/base/check.h"
#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "tests/support/verified.h"

#include "common/tsdb/chunk.h"
#include "common/tsdb/index.h"
#include "common/tsdb/series.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUDGET = 40 * 1024 * 1024, LARGE_PIECE = 1 << 16, CRC_SIZE = 4 };

/* Right the checksum behind len bytes, if it is inside. Returns where it ends. */
static uint64_t
reseal(struct buf *b, uint64_t at, uint64_t len)
{
    if (at > b->len || len > b->len - at || b->len - at - len < CRC_SIZE)
        return UINT64_MAX;
    be32_store(b->at + at + len, crc32c(bytes_of(b->at + at, (size_t)len)));
    return at + len + CRC_SIZE;
}

static uint64_t
reseal_section(struct buf *b, uint64_t at)
{
    if (at > b->len || b->len - at < sizeof(uint32_t))
        return UINT64_MAX;
    return reseal(b, at + sizeof(uint32_t), be32_load(b->at + at));
}

typedef bool size_fn(struct bytes b, uint64_t *size);

/* Right the checksums of records from at on, each aligned; head bytes of each are not
 * covered. */
static void
reseal_records(struct buf *b, uint64_t at, uint64_t end, uint64_t align,
               size_fn *measure)
{
    while (at < NUM_MIN(end, b->len)) {
        uint64_t size;
        struct bytes rest = bytes_of(b->at + at, b->len - (size_t)at);
        if (!measure(rest, &size) || size > rest.len)
            return;
        uint64_t head = 0;
        while (rest.at[head] >= 0x80)
            head++;
        head++;
        if (size < head + CRC_SIZE)
            return;
        (void)reseal(b, at + head, size - head - CRC_SIZE);
        at = (at + size + align - 1) / align * align;
    }
}

static void
repair(struct verified *b)
{
    struct tsdb_index_toc toc;
    struct err err;
    struct buf *index = &b->index;
    reseal_records(&b->segments[0], TSDB_SEGMENT_HEADER_SIZE, UINT64_MAX, 1,
                   tsdb_chunk_size);
    if (index->len < TSDB_INDEX_TOC_SIZE + TSDB_INDEX_HEADER_SIZE)
        return;
    uint64_t toc_at = index->len - TSDB_INDEX_TOC_SIZE;
    (void)reseal(index, toc_at, TSDB_INDEX_TOC_SIZE - CRC_SIZE);
    if (!tsdb_index_toc_parse(&toc, bytes_of(index->at + toc_at, TSDB_INDEX_TOC_SIZE),
                              index->len, &err))
        return;
    uint64_t align = index->at[4] == 1 ? 1 : TSDB_INDEX_SERIES_ALIGN;
    (void)reseal_section(index, toc.symbols);
    reseal_records(index, (toc.series + align - 1) / align * align,
                   tsdb_index_series_end(&toc), align, tsdb_series_size);
    for (uint64_t at = toc.postings; at < tsdb_index_postings_end(&toc);)
        at = reseal_section(index, (at + 3) / 4 * 4);
    (void)reseal_section(index, toc.postings_table);
}

static uint64_t
check(const struct verified *b, enum tsdb_verify_level level, size_t piece)
{
    struct verdict v = {.level = level, .piece_bytes = piece, .budget_limit = BUDGET};
    struct err err = {0};
    CHECK(verified_check(b, &v, &err));
    return v.totals.findings;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEAD = 3 };
    CLEANUP(verified_fini)
    struct verified b = {.meta = {.maxt_ms = INT64_MAX}, .segment_count = 1};
    if (size < HEAD)
        return 0;
    struct bytes in = bytes_of(data + HEAD, size - HEAD);
    size_t index_len = NUM_MIN((size_t)be16_load(data + 1), in.len);
    buf_put(&b.index, bytes_of(in.at, index_len));
    buf_put(&b.segments[0], bytes_of(in.at + index_len, in.len - index_len));
    if (data[0] & 2)
        repair(&b);
    enum tsdb_verify_level level = data[0] & 1;
    uint64_t findings = check(&b, level, LARGE_PIECE);
    CHECK(check(&b, level, 1 + data[0] / 4) == findings);
    return 0;
}
