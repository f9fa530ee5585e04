/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_xor.h"
#include "tests/support/xor_reference.h"
#include "tests/unit/common/tsdb/fixture.h"

#define BASE INT64_C(1600000000000)
#define STALE UINT64_C(0x7ff0000000000002)

struct example {
    const char *hex;
    size_t count;
    struct tsdb_sample samples[6];
};

/* Made by Prometheus's own encoder. */
static const struct example upstream = {
    "0005"
    "8080f4f6905d3ff00000000000009875"
    "4000e12fffdfffed06c5effe80000000000040",
    5,
    {{BASE, 0x3ff0000000000000},
     {BASE + 15000, 0x3ff0000000000000},
     {BASE + 30001, 0x4000000000000000},
     {BASE + 45001, 0x4004000000000000},
     {BASE + 60001, STALE}},
};

/* By an appender that was opened again before the first change of the value: it reuses
 * a window of 64 bits that was never written. */
static const struct example reopened = {
    "0003"
    "8080f4f6905d3ff00000000000009875"
    "27ff00000000000000",
    3,
    {{BASE, 0x3ff0000000000000},
     {BASE + 15000, 0x3ff0000000000000},
     {BASE + 30000, 0x4000000000000000}},
};

static bool
decode(struct bytes data, struct tsdb_sample *out, size_t *count, struct err *err)
{
    struct tsdb_xor_reader reader;
    *count = 0;
    if (!tsdb_xor_reader_init(&reader, data, err))
        return false;
    for (;;) {
        bool end;
        if (!tsdb_xor_next(&reader, &out[*count], &end, err))
            return false;
        if (end)
            return true;
        ++*count;
    }
}

static struct tsdb_sample decoded[XOR_REFERENCE_MAX + 1], reference[XOR_REFERENCE_MAX];

/* Reading all at once gives what reading one by one gave: count samples, or an error.
 */
static void
expect_same_at_once(struct bytes data, bool ok, size_t count)
{
    static struct tsdb_sample all[XOR_REFERENCE_MAX];
    struct err err;
    struct tsdb_xor_reader reader;
    bool read = tsdb_xor_reader_init(&reader, data, &err) &&
                tsdb_xor_read_all(&reader, all, &err);
    assert_int_equal(read, ok);
    if (!ok) {
        assert_int_equal(err.code, ERR_CORRUPT);
        return;
    }
    assert_int_equal(tsdb_xor_reader_count(&reader), count);
    assert_memory_equal(all, decoded, count * sizeof *all);
}

static void
expect_samples(struct bytes data, const struct tsdb_sample *samples, size_t count)
{
    struct err err;
    size_t got;
    CLEANUP(guard_fini) struct guard g = guard_new(data);
    assert_done(decode(g.bytes, decoded, &got, &err), &err);
    assert_int_equal(got, count);
    if (count > 0)
        assert_memory_equal(decoded, samples, count * sizeof *samples);
    expect_same_at_once(g.bytes, true, count);
    assert_true(xor_reference_decode(g.bytes, reference, &got));
    assert_int_equal(got, count);
    if (count > 0)
        assert_memory_equal(reference, samples, count * sizeof *samples);
}

static void
encode(struct buf *out, const struct tsdb_sample *samples, size_t count)
{
    struct tsdb_xor_writer writer;
    tsdb_xor_writer_init(&writer, out);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&writer, samples[i]);
    tsdb_xor_finish(&writer);
}

static void
reads_and_writes_as_upstream_does(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    put_hex(&data, upstream.hex);
    expect_samples(buf_bytes(&data), upstream.samples, upstream.count);
    encode(&out, upstream.samples, upstream.count);
    assert_bytes(buf_bytes(&out), buf_bytes(&data));
}

static void
reads_a_window_that_was_never_written(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    put_hex(&data, reopened.hex);
    expect_samples(buf_bytes(&data), reopened.samples, reopened.count);
}

static void
an_empty_chunk_has_no_samples(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    encode(&out, NULL, 0);
    assert_bytes(buf_bytes(&out), BYTES("\0\0"));
    expect_samples(buf_bytes(&out), NULL, 0);
}

static void
writes_behind_what_is_there(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    buf_put_str(&out, "head");
    encode(&out, upstream.samples, upstream.count);
    assert_memory_equal(out.at, "head\0\5", 6);
}

/* Differences of differences at both ends of every field's range. */
static void
every_width_of_time_survives(void **state)
{
    (void)state;
    static const int64_t edges[] = {
        0,
        1,
        -1,
        8192,
        -8191,
        8193,
        -8192,
        65536,
        -65535,
        65537,
        -65536,
        524288,
        -524287,
        524289,
        -524288,
        INT64_MAX,
        INT64_MIN,
        INT64_MIN + 1,
        INT64_C(1) << 32,
        -(INT64_C(1) << 40),
    };
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        struct tsdb_sample samples[5] = {{BASE, 0}, {BASE + 15000, 0}};
        for (size_t k = 2; k < ARRAY_LEN(samples); k++) {
            uint64_t delta =
                (uint64_t)samples[k - 1].t_ms - (uint64_t)samples[k - 2].t_ms;
            uint64_t dod = k == 3 ? 0 : (uint64_t)edges[i];
            samples[k].t_ms = (int64_t)((uint64_t)samples[k - 1].t_ms + delta + dod);
            samples[k].value_bits = 0;
        }
        CLEANUP(buf_fini) struct buf out = {0};
        encode(&out, samples, ARRAY_LEN(samples));
        expect_samples(buf_bytes(&out), samples, ARRAY_LEN(samples));
    }
}

static void
times_that_go_back_survive(void **state)
{
    (void)state;
    static const struct tsdb_sample samples[] = {
        {INT64_MAX, 1}, {INT64_MIN, 2}, {0, 3}, {0, 4}, {-1, 5}, {INT64_MIN, 6},
    };
    CLEANUP(buf_fini) struct buf out = {0};
    encode(&out, samples, ARRAY_LEN(samples));
    expect_samples(buf_bytes(&out), samples, ARRAY_LEN(samples));
}

static void
every_value_bit_survives(void **state)
{
    (void)state;
    struct tsdb_sample samples[64 * 2 + 8] = {0};
    static const uint64_t special[] = {
        STALE,
        0x7ff8000000000001,
        0xfff8000000000000,
        0x8000000000000000,
        0x7ff0000000000000,
        0x0000000000000001,
        UINT64_MAX,
        0,
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        samples[i].t_ms = (int64_t)i * 15000;
        samples[i].value_bits =
            i < 128 ? (UINT64_C(1) << (i / 2)) * (i % 2) : special[i - 128];
    }
    CLEANUP(buf_fini) struct buf out = {0};
    encode(&out, samples, ARRAY_LEN(samples));
    expect_samples(buf_bytes(&out), samples, ARRAY_LEN(samples));
}

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void
random_samples_survive(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 200; round++) {
        struct tsdb_sample samples[150] = {0};
        for (size_t i = 1; i < ARRAY_LEN(samples); i++) {
            uint64_t r = next_random(&random);
            samples[i].t_ms =
                samples[i - 1].t_ms + (int64_t)(r % (UINT64_C(1) << r % 30));
            samples[i].value_bits = r % 3 == 0
                                        ? samples[i - 1].value_bits
                                        : next_random(&random) >> r % 64 << r / 64 % 20;
        }
        CLEANUP(buf_fini) struct buf out = {0};
        encode(&out, samples, ARRAY_LEN(samples));
        expect_samples(buf_bytes(&out), samples, ARRAY_LEN(samples));
    }
}

static void
holds_65535_samples(void **state)
{
    (void)state;
    static struct tsdb_sample samples[XOR_REFERENCE_MAX];
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        samples[i] = (struct tsdb_sample){(int64_t)i * 1000, i % 7};
    CLEANUP(buf_fini) struct buf out = {0};
    encode(&out, samples, ARRAY_LEN(samples));
    expect_samples(buf_bytes(&out), samples, ARRAY_LEN(samples));
}

static void
expect_corrupt(void *arg, struct bytes data)
{
    (void)arg;
    struct err err;
    size_t count;
    assert_failed(decode(data, decoded, &count, &err), &err, ERR_CORRUPT);
    expect_same_at_once(data, false, 0);
}

static void
rejects_every_truncation(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    put_hex(&data, upstream.hex);
    for_each_truncation(buf_bytes(&data), expect_corrupt, NULL);
}

/* There is no checksum in here: what counts is that both decoders agree. */
static void
expect_as_reference(void *arg, struct bytes data)
{
    (void)arg;
    struct err err;
    size_t count, reference_count;
    bool ok = decode(data, decoded, &count, &err);
    expect_same_at_once(data, ok, count);
    assert_int_equal(xor_reference_decode(data, reference, &reference_count), ok);
    if (!ok) {
        assert_int_equal(err.code, ERR_CORRUPT);
        return;
    }
    assert_int_equal(count, reference_count);
    assert_memory_equal(decoded, reference, count * sizeof *decoded);
}

static void
reads_flipped_bits_as_the_reference_does(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    put_hex(&data, upstream.hex);
    for_each_bit_flip(buf_bytes(&data), expect_as_reference, NULL);
    buf_clear(&data);
    put_hex(&data, reopened.hex);
    for_each_bit_flip(buf_bytes(&data), expect_as_reference, NULL);
}

/* Long enough for the fast loop: behind and inside what it reads. */
static void
reads_flips_and_cuts_in_long_data_as_the_reference_does(void **state)
{
    (void)state;
    uint64_t random = 7;
    struct tsdb_sample samples[40] = {0};
    for (size_t i = 1; i < ARRAY_LEN(samples); i++) {
        samples[i].t_ms = samples[i - 1].t_ms + 15000 + (int64_t)(i % 7 == 0) * 100000;
        samples[i].value_bits = next_random(&random) >> i << i % 11;
    }
    CLEANUP(buf_fini) struct buf data = {0};
    encode(&data, samples, ARRAY_LEN(samples));
    for_each_bit_flip(buf_bytes(&data), expect_as_reference, NULL);
    for_each_truncation(buf_bytes(&data), expect_as_reference, NULL);
}

static void
rejects_broken_data(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "00",
        "ffff",                                     /* no sample */
        "ffff00000000000000000000000000000000",     /* too few bits */
        "0001ffffffffffffffffff7f0000000000000000", /* t0 above 64 bits */
        "000200"
        "0000000000000000"
        "00", /* no second value */
        /* second value: lead 31, significant 63 */
        "000200"
        "0000000000000000"
        "00"
        "fffffffffffffffffffffffffffffffff0",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        put_hex(&data, cases[i]);
        CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&data));
        expect_corrupt(NULL, g.bytes);
    }
}

static void
keeps_the_sample_when_the_next_is_broken(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    put_hex(&data, upstream.hex);
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    struct err err;
    bool end, ok = true;
    assert_done(tsdb_xor_reader_init(&reader, bytes_of(data.at, data.len - 8), &err),
                &err);
    assert_int_equal(tsdb_xor_reader_count(&reader), 5);
    size_t good = 0;
    while ((ok = tsdb_xor_next(&reader, &sample, &end, &err)) && !end)
        good++;
    assert_failed(ok, &err, ERR_CORRUPT);
    assert_int_equal(sample.t_ms, upstream.samples[good - 1].t_ms);
}

static void
failures_of_the_buffer_latch(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, "test", 300, NULL);
    struct buf out;
    buf_init(&out, &budget);
    struct tsdb_xor_writer writer;
    struct err err;
    tsdb_xor_writer_init(&writer, &out);
    for (uint64_t i = 0; i < 200; i++)
        tsdb_xor_append(&writer,
                        (struct tsdb_sample){(int64_t)(i * i * i), i * i << 40});
    tsdb_xor_finish(&writer);
    assert_failed(buf_ok(&out, &err), &err, ERR_BUDGET);
    buf_fini(&out);
    buf_init(&out, &budget);
    assert_true(budget_take(&budget, 300, &err));
    encode(&out, upstream.samples, upstream.count);
    assert_failed(buf_ok(&out, &err), &err, ERR_BUDGET);
    budget_give(&budget, 300);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_as_upstream_does),
        cmocka_unit_test(reads_a_window_that_was_never_written),
        cmocka_unit_test(an_empty_chunk_has_no_samples),
        cmocka_unit_test(writes_behind_what_is_there),
        cmocka_unit_test(every_width_of_time_survives),
        cmocka_unit_test(times_that_go_back_survive),
        cmocka_unit_test(every_value_bit_survives),
        cmocka_unit_test(random_samples_survive),
        cmocka_unit_test(holds_65535_samples),
        cmocka_unit_test(rejects_every_truncation),
        cmocka_unit_test(reads_flipped_bits_as_the_reference_does),
        cmocka_unit_test(reads_flips_and_cuts_in_long_data_as_the_reference_does),
        cmocka_unit_test(rejects_broken_data),
        cmocka_unit_test(keeps_the_sample_when_the_next_is_broken),
        cmocka_unit_test(failures_of_the_buffer_latch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
