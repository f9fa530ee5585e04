/* SPDX-License-Identifier: Apache-2.0 */
/* Any samples survive in an XOR chunk, as both decoders read it; and a chunk for which
 * memory does not suffice is an error. */
#include "common/base/check.h"
#include "common/base/num.h"
#include "common/tsdb/chunk_xor.h"
#include "tests/support/fuzz_script.h"
#include "tests/support/xor_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SAMPLES_MAX = 4096 };

static struct tsdb_sample samples[SAMPLES_MAX], again[SAMPLES_MAX + 1];
static struct tsdb_sample slow[XOR_REFERENCE_MAX];

static size_t
make_samples(struct fuzz_script *s)
{
    struct fuzz_clock clock = {0};
    uint64_t value = 0;
    size_t count = 0;
    for (; !fuzz_script_has_ended(s) && count < SAMPLES_MAX; count++) {
        samples[count].t_ms = fuzz_script_time(s, &clock);
        value = fuzz_script_float(s, value);
        samples[count].value_bits = value;
    }
    return count;
}

static void
encode(size_t count, struct buf *out)
{
    struct tsdb_xor_writer writer;
    tsdb_xor_writer_init(&writer, out);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&writer, samples[i]);
    tsdb_xor_finish(&writer);
}

static void
check_one_by_one(struct bytes data, size_t count)
{
    struct tsdb_xor_reader reader;
    struct err err;
    bool end = false;
    size_t n = 0;
    CHECK(tsdb_xor_reader_init(&reader, data, &err));
    while (tsdb_xor_next(&reader, &again[n], &end, &err) && !end)
        n++;
    CHECK(end && n == count && memcmp(again, samples, n * sizeof *samples) == 0);
}

static void
check_at_once(struct bytes data, size_t count)
{
    struct tsdb_xor_reader reader;
    struct err err;
    CHECK(tsdb_xor_reader_init(&reader, data, &err));
    CHECK(tsdb_xor_reader_count(&reader) == count);
    CHECK(tsdb_xor_read_all(&reader, again, &err));
    CHECK(memcmp(again, samples, count * sizeof *samples) == 0);
}

static void
check_slowly(struct bytes data, size_t count)
{
    size_t n;
    CHECK(xor_reference_decode(data, slow, &n));
    CHECK(n == count && memcmp(slow, samples, n * sizeof *samples) == 0);
}

static void
check_without_memory(size_t count, size_t size)
{
    struct budget budget;
    struct err err;
    budget_init(&budget, "chunk", size - 1, NULL);
    CLEANUP(buf_fini) struct buf out;
    buf_init(&out, &budget);
    encode(count, &out);
    CHECK(!buf_ok(&out, &err) && err.code == ERR_BUDGET);
    buf_fini(&out);
    budget_fini(&budget);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_script script = {bytes_of(data, size)};
    CLEANUP(buf_fini) struct buf out = {0};
    bool is_short = fuzz_script_byte(&script) & 1;
    size_t count = make_samples(&script);
    encode(count, &out);
    check_one_by_one(buf_bytes(&out), count);
    check_at_once(buf_bytes(&out), count);
    check_slowly(buf_bytes(&out), count);
    if (is_short)
        check_without_memory(count, out.len);
    return 0;
}
