/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder agrees with the slow one on every input; what it decodes is encoded to
 * data that decodes to the same. */
#include "common/base/check.h"
#include "common/tsdb/chunk_xor.h"
#include "tests/support/xor_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tsdb_sample fast[XOR_REFERENCE_MAX + 1], slow[XOR_REFERENCE_MAX];

static bool
decode(struct bytes data, size_t *count)
{
    struct tsdb_xor_reader reader;
    struct err err = {0};
    bool end = false;
    *count = 0;
    bool ok = tsdb_xor_reader_init(&reader, data, &err);
    while (ok && (ok = tsdb_xor_next(&reader, &fast[*count], &end, &err)) && !end)
        ++*count;
    CHECK(ok || err.code == ERR_CORRUPT);
    return ok;
}

static void
check_at_once(struct bytes data, bool ok, size_t count)
{
    static struct tsdb_sample all[XOR_REFERENCE_MAX];
    struct tsdb_xor_reader reader;
    struct err err;
    bool read = tsdb_xor_reader_init(&reader, data, &err) &&
                tsdb_xor_read_all(&reader, all, &err);
    CHECK(read == ok);
    CHECK(!ok || memcmp(all, fast, count * sizeof *all) == 0);
}

static void
check_same(size_t fast_count, size_t slow_count)
{
    CHECK(fast_count == slow_count);
    CHECK(memcmp(fast, slow, fast_count * sizeof *fast) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t fast_count, slow_count;
    struct bytes in = bytes_of(data, size);
    bool ok = decode(in, &fast_count);
    check_at_once(in, ok, fast_count);
    CHECK(xor_reference_decode(in, slow, &slow_count) == ok);
    if (!ok)
        return 0;
    check_same(fast_count, slow_count);

    CLEANUP(buf_fini) struct buf again = {0};
    struct tsdb_xor_writer writer;
    tsdb_xor_writer_init(&writer, &again);
    for (size_t i = 0; i < fast_count; i++)
        tsdb_xor_append(&writer, fast[i]);
    tsdb_xor_finish(&writer);
    CHECK(decode(buf_bytes(&again), &fast_count));
    check_same(fast_count, slow_count);
    return 0;
}
