/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_xor2.h"
#include "tests/unit/common/tsdb/fixture.h"

#define BASE INT64_C(1600000000000)
#define ONE UINT64_C(0x3ff0000000000000)
#define TWO UINT64_C(0x4000000000000000)

struct timed {
    struct tsdb_sample sample;
    int64_t start_ms;
};

struct example {
    const char *hex;
    size_t count;
    struct timed samples[5];
};

/* Made by Prometheus's own encoder. */
static const struct example examples[] = {
    {"000582"
     "8080f4f6905d3ff0000000000000904e9875"
     "6000e097fffefb1e37fff341fc1d4cffe0ea60",
     5,
     {{{BASE, ONE}, BASE - 5000},
      {{BASE + 15000, ONE}, BASE - 5000},
      {{BASE + 30001, TWO}, BASE + 20000},
      {{BASE + 45001, 0x4004000000000000}, BASE + 20000},
      {{BASE + 60001, TSDB_STALE_BITS}, BASE + 20000}}},
    {"000000", 0, {{{0, 0}, 0}}},
};

static bool
decode(struct bytes data, struct timed *out, size_t *count, struct err *err)
{
    struct tsdb_xor2_reader reader;
    *count = 0;
    if (!tsdb_xor2_reader_init(&reader, data, err))
        return false;
    for (;;) {
        struct tsdb_sample sample;
        bool end;
        if (!tsdb_xor2_next(&reader, &sample, &end, err))
            return false;
        if (end)
            break;
        out[(*count)++] = (struct timed){sample, tsdb_xor2_reader_start_ms(&reader)};
    }
    assert_int_equal(tsdb_xor2_reader_count(&reader), *count);
    return true;
}

static void
expect_samples(struct bytes data, const struct timed *samples, size_t count)
{
    CLEANUP(guard_fini) struct guard g = guard_new(data);
    struct timed got[8];
    size_t got_count;
    struct err err;
    assert_done(decode(g.bytes, got, &got_count, &err), &err);
    assert_int_equal(got_count, count);
    if (count > 0)
        assert_memory_equal(got, samples, count * sizeof *samples);
}

static void
reads_what_upstream_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        put_hex(&data, examples[i].hex);
        expect_samples(buf_bytes(&data), examples[i].samples, examples[i].count);
    }
}

/* Chunks put together bit by bit. */
static struct bits_writer
begin(struct buf *out, uint64_t count, uint64_t start_header, uint64_t first_value)
{
    struct bits_writer w = bits_writer_of(out);
    bits_write(&w, count, 16);
    bits_write(&w, start_header, 8);
    bits_write_varint(&w, BASE);
    bits_write(&w, first_value, 64);
    return w;
}

static void
a_stale_marker_is_no_base_for_the_next_value(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    struct bits_writer w = begin(&data, 5, 0, TSDB_STALE_BITS);
    bits_write_uvarint(&w, 1000);
    bits_write(&w, 0x2, 2); /* window of 64 bits that was never written, from zero */
    bits_write(&w, ONE, 64);
    bits_write(&w, 0x1f, 5); /* stale */
    bits_write(&w, 0, 1);    /* the value before it, not the marker */
    bits_write(&w, 0x6, 3);  /* 13 bits of time, the lowest number of them */
    bits_write(&w, 0x1000, 13);
    bits_write(&w, 0x7, 3); /* stale */
    bits_flush(&w);
    static const struct timed samples[] = {
        {{BASE, TSDB_STALE_BITS}, 0},
        {{BASE + 1000, ONE}, 0},
        {{BASE + 2000, TSDB_STALE_BITS}, 0},
        {{BASE + 3000, ONE}, 0},
        {{BASE + 4000 - 4096, TSDB_STALE_BITS}, 0},
    };
    expect_samples(buf_bytes(&data), samples, ARRAY_LEN(samples));
}

static void
every_width_of_time_has_both_ends(void **state)
{
    (void)state;
    static const struct {
        unsigned ones;
        unsigned width;
    } forms[] = {{2, 13}, {3, 20}, {4, 64}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        uint64_t half = UINT64_C(1) << (forms[i].width - 1);
        struct bits_writer w = begin(&data, 4, 0, ONE);
        bits_write_uvarint(&w, 1000);
        bits_write(&w, 0, 1);
        for (uint64_t k = 0; k < 2; k++) {
            bits_write_ones(&w, forms[i].ones, 5);
            bits_write(&w, half - 1 + k, forms[i].width);
            bits_write(&w, 0, 1);
        }
        bits_flush(&w);
        uint64_t delta = 1000 + half - 1, t = (uint64_t)BASE + 1000 + delta;
        struct timed samples[4] = {{{BASE, ONE}, 0}, {{BASE + 1000, ONE}, 0}};
        samples[2] = (struct timed){{(int64_t)t, ONE}, 0};
        t += delta - half;
        samples[3] = (struct timed){{(int64_t)t, ONE}, 0};
        expect_samples(buf_bytes(&data), samples, ARRAY_LEN(samples));
    }
}

static void
expect_corrupt(void *arg, struct bytes data)
{
    struct timed got[8];
    size_t count;
    struct err err;
    (void)arg;
    assert_failed(decode(data, got, &count, &err), &err, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "XOR2 chunk"));
}

static void
rejects_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        put_hex(&data, examples[i].hex);
        for_each_truncation(buf_bytes(&data), expect_corrupt, NULL);
    }
}

static void
rejects_a_window_wider_than_a_float(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    struct bits_writer w = begin(&data, 2, 0, ONE);
    bits_write_uvarint(&w, 1000);
    bits_write(&w, 0x6, 3);
    bits_write(&w, 31, 5);
    bits_write(&w, 34, 6);
    bits_write(&w, 0, 64);
    bits_flush(&w);
    expect_corrupt(NULL, buf_bytes(&data));
}

static void
rejects_more_samples_than_there_are_bits(void **state)
{
    (void)state;
    struct tsdb_xor2_reader reader;
    struct err err;
    CLEANUP(buf_fini) struct buf data = {0};
    struct bits_writer w = begin(&data, UINT16_MAX, 0, ONE);
    bits_write(&w, 0, 64);
    bits_flush(&w);
    assert_failed(tsdb_xor2_reader_init(&reader, buf_bytes(&data), &err), &err,
                  ERR_CORRUPT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_upstream_writes),
        cmocka_unit_test(a_stale_marker_is_no_base_for_the_next_value),
        cmocka_unit_test(every_width_of_time_has_both_ends),
        cmocka_unit_test(rejects_every_truncation),
        cmocka_unit_test(rejects_a_window_wider_than_a_float),
        cmocka_unit_test(rejects_more_samples_than_there_are_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
