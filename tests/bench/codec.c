/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample costs to decode, by encoding, over the chunks of tests/golden; XOR both
 * directly and through the iterator that hides encodings. Processor time, best of some
 * runs.
 *
 * usage: bench_codec [SAMPLES], those that each run decodes at least */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/tsdb/chunk_reencode.h"
#include "tests/support/golden_chunks.h"

enum { RUNS = 5, SAMPLES = 2000000, MAX_CHUNKS = 4096 };

/* Chunks of one encoding; their data in one buffer. */
struct chunks {
    struct buf data;
    size_t begins[MAX_CHUNKS + 1];
    size_t count;
};

static struct chunks chunks_of[TSDB_CHUNK_FLOAT_HISTOGRAM_ST + 1];

/* What is read, so that reading it is not left out; and how much. */
static uint64_t digest, samples, buckets;

static void
keep(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    struct chunks *c = &chunks_of[chunk->encoding];
    (void)arg, (void)expected;
    CHECK(c->count < MAX_CHUNKS);
    c->begins[c->count++] = c->data.len;
    buf_put(&c->data, chunk->data);
    c->begins[c->count] = c->data.len;
}

static struct tsdb_chunk
chunk_at(enum tsdb_chunk_encoding encoding, size_t i)
{
    const struct chunks *c = &chunks_of[encoding];
    return tsdb_chunk_loose(
        encoding, bytes_of(c->data.at + c->begins[i], c->begins[i + 1] - c->begins[i]));
}

typedef void read_fn(const struct tsdb_chunk *chunk, struct arena *arena);

static void
read_xor(const struct tsdb_chunk *chunk, struct arena *arena)
{
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    struct err err;
    bool end = false;
    (void)arena;
    CHECK(tsdb_xor_reader_init(&reader, chunk->data, &err));
    for (;;) {
        CHECK(tsdb_xor_next(&reader, &sample, &end, &err));
        if (end)
            break;
        digest += (uint64_t)sample.t_ms ^ sample.value_bits;
        samples++;
    }
}

static void
read_any(const struct tsdb_chunk *chunk, struct arena *arena)
{
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    struct err err;
    CHECK(tsdb_chunk_iter_init(&it, chunk, arena, &err));
    for (;;) {
        CHECK(tsdb_chunk_next(&it, &kind, &err));
        if (kind == TSDB_SAMPLE_NONE)
            break;
        if (kind == TSDB_SAMPLE_FLOAT) {
            digest += (uint64_t)it.sample.t_ms ^ it.sample.value_bits;
        } else {
            digest += (uint64_t)it.sample.t_ms ^ it.histogram.sum_bits;
            buckets += it.histogram.positive.count + it.histogram.negative.count;
        }
        samples++;
    }
}

static void
reencode(const struct tsdb_chunk *chunk, struct arena *arena)
{
    static struct buf out;
    struct err err;
    buf_clear(&out);
    CHECK(tsdb_chunk_reencode(chunk, &out, arena, &err));
    digest += out.len;
    samples += be16_load(chunk->data.at) &
               (chunk->encoding == TSDB_CHUNK_XOR2 ? UINT16_MAX : 0x3fff);
}

static double
cpu_ns(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void
measure(const char *name, enum tsdb_chunk_encoding encoding, read_fn *read,
        uint64_t least)
{
    struct budget budget;
    struct arena arena;
    double best = 0;
    const struct chunks *c = &chunks_of[encoding];
    uint64_t rounds = 0;
    budget_init(&budget, "bench", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    for (int run = 0; run < RUNS; run++) {
        double begin = cpu_ns();
        samples = buckets = rounds = 0;
        for (; samples < least; rounds++) {
            for (size_t i = 0; i < c->count; i++) {
                struct tsdb_chunk chunk = chunk_at(encoding, i);
                struct arena_mark mark = arena_mark(&arena);
                read(&chunk, &arena);
                arena_rewind(&arena, mark);
            }
        }
        double ns = (cpu_ns() - begin) / (double)samples;
        best = run == 0 ? ns : NUM_MIN(best, ns);
    }
    printf("| %s | %.1f | %.1f | %.1f |\n", name, best,
           (double)buckets / (double)samples,
           (double)(c->data.len * rounds) / (double)samples);
    arena_fini(&arena);
    budget_fini(&budget);
}

int
main(int argc, char **argv)
{
    static const char *const folders[] = {"xor", "xor2-st", "hist-st"};
    uint64_t least = argc > 1 ? strtoull(argv[1], NULL, 10) : SAMPLES;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        golden_each_chunk(folders[i], keep, NULL);
    printf("| what | ns a sample | buckets a sample | bytes a sample "
           "|\n|---|---|---|---|\n");
    measure("XOR, its own reader", TSDB_CHUNK_XOR, read_xor, least);
    measure("XOR, iterator", TSDB_CHUNK_XOR, read_any, least);
    measure("XOR2 with start timestamps", TSDB_CHUNK_XOR2, read_any, least);
    measure("HISTOGRAM", TSDB_CHUNK_HISTOGRAM, read_any, least);
    measure("HISTOGRAM_ST", TSDB_CHUNK_HISTOGRAM_ST, read_any, least);
    measure("FLOAT_HISTOGRAM", TSDB_CHUNK_FLOAT_HISTOGRAM, read_any, least);
    measure("FLOAT_HISTOGRAM_ST", TSDB_CHUNK_FLOAT_HISTOGRAM_ST, read_any, least);
    measure("XOR2 to XOR", TSDB_CHUNK_XOR2, reencode, least);
    measure("HISTOGRAM_ST to HISTOGRAM", TSDB_CHUNK_HISTOGRAM_ST, reencode, least);
    for (size_t i = 0; i < ARRAY_LEN(chunks_of); i++)
        buf_fini(&chunks_of[i].data);
    return digest == 0;
}
