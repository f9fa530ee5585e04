/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/tsdb/index.h"
#include "common/tsdb/series.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/verified.h"
#include "tests/unit/common/tsdb/fixture.h"

enum { BUDGET = 16 * 1024 * 1024, PIECE = 4096 };

#define LABEL(name, value)        \
    {                             \
        BYTES(name), BYTES(value) \
    }

static const char ulid_text[] = "01M84JHDKMEAZBFV6XNC2DVPEC";

static struct verdict
verdict_of(enum tsdb_verify_level level, size_t piece)
{
    return (struct verdict){
        .level = level, .piece_bytes = piece, .budget_limit = BUDGET};
}

/* Fail unless the block passes at both levels, read in pieces of several sizes. */
static void
assert_passes(const struct verified *b)
{
    static const size_t pieces[] = {1, 7, 61, PIECE, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (int level = TSDB_VERIFY_FRAME; level <= TSDB_VERIFY_FULL; level++) {
            struct err err;
            struct verdict v = verdict_of((enum tsdb_verify_level)level, pieces[i]);
            expect_ok(verified_check(b, &v, &err), err);
            if (v.totals.findings > 0)
                fail_msg("piece %zu: %s", pieces[i], v.findings[0]);
            assert_int_equal(v.totals.series, b->meta.num_series);
            assert_int_equal(v.totals.chunks, b->meta.num_chunks);
            if (level == TSDB_VERIFY_FULL)
                assert_int_equal(v.totals.samples, b->meta.num_samples);
        }
    }
}

static void
accepts_golden_blocks(void **state)
{
    (void)state;
    static const char *const folders[] = {"xor", "xor2", "xor2-st", "hist-st",
                                          "downsampled/3600000"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(verified_fini) struct verified b = {0};
        CLEANUP(globfree) glob_t found = {0};
        CLEANUP(xfree)
        char *pattern = xasprintf("%s/golden/%s/01*", TESTS_DIR, folders[i]);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        verified_open(&b, found.gl_pathv[0]);
        assert_passes(&b);
    }
}

/* What a test may put into a block of its own. */
typedef void write_fn(struct block_writer *w);

static void
write_block(struct verified *b, const struct block_writer_options *options,
            write_fn *write)
{
    struct err err;
    struct tsdb_ulid id;
    char dir[] = "/tmp/blockhouse-verify-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_true(tsdb_ulid_parse(&id, bytes_of_str(ulid_text)));
    {
        CLEANUP(block_writer_free) struct block_writer *w = NULL;
        expect_ok(block_writer_new(&w, dir, &id, options, &err), err);
        write(w);
        expect_ok(block_writer_finish(w, &err), err);
    }
    CLEANUP(xfree) char *path = xasprintf("%s/%s", dir, ulid_text);
    verified_open(b, path);
    expect_ok(file_remove_tree(dir, &err), err);
}

static void
add(struct block_writer *w, const struct tsdb_label *labels, size_t count,
    unsigned samples)
{
    struct err err;
    struct tsdb_sample at[32];
    assert_true(samples <= ARRAY_LEN(at));
    for (unsigned i = 0; i < samples; i++)
        at[i] =
            (struct tsdb_sample){1000 * (int64_t)(i + 1), i * UINT64_C(77777777777)};
    expect_ok(block_writer_add_samples(w, (struct tsdb_labels){labels, count}, at,
                                       samples, &err),
              err);
}

/* In label order; small, because each of its bits is flipped. */
static const struct tsdb_label series_a[] = {LABEL("__name__", "up"),
                                             LABEL("job", "a")};
static const struct tsdb_label series_b[] = {LABEL("__name__", "up"),
                                             LABEL("job", "b")};
static const struct tsdb_label series_c[] = {LABEL("__name__", "zz")};

static void
write_good(struct block_writer *w)
{
    add(w, series_a, 2, 5);
    add(w, series_b, 2, 4);
    add(w, series_c, 1, 1);
}

static const struct block_writer_options small = {.samples_per_chunk = 3};

static void
accepts_written_blocks(void **state)
{
    (void)state;
    static const struct block_writer_options options[] = {
        {.samples_per_chunk = 3},
        {.samples_per_chunk = 3, .index_version = 1},
        {.samples_per_chunk = 2, .segment_limit = 80},
        {.samples_per_chunk = 2, .segment_limit = 80, .index_version = 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        CLEANUP(verified_fini) struct verified b = {0};
        write_block(&b, &options[i], write_good);
        assert_int_equal(b.segment_count > 1, options[i].segment_limit > 0);
        assert_passes(&b);
    }
}

static void
write_nothing(struct block_writer *w)
{
    struct err err;
    expect_ok(
        block_writer_add_chunks(w, (struct tsdb_labels){series_a, 2}, NULL, 0, &err),
        err);
}

static void
accepts_a_series_without_chunks(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    write_block(&b, &small, write_nothing);
    assert_passes(&b);
}

/* Fail unless what is said of the block at this level is exactly one finding with this
 * in it. */
static void
assert_found(const struct verified *b, enum tsdb_verify_level level, const char *what)
{
    struct err err;
    struct verdict v = verdict_of(level, PIECE);
    expect_ok(verified_check(b, &v, &err), err);
    if (v.totals.findings != 1 || strstr(v.findings[0], what) == NULL)
        fail_msg("%d findings instead of \"%s\": %s; %s", (int)v.totals.findings, what,
                 v.findings[0], v.findings[1]);
}

static void
write_unordered(struct block_writer *w)
{
    add(w, series_b, 2, 4);
    add(w, series_a, 2, 4);
}

static void
write_twice(struct block_writer *w)
{
    add(w, series_a, 2, 4);
    add(w, series_a, 2, 4);
}

static void
write_unordered_names(struct block_writer *w)
{
    static const struct tsdb_label labels[] = {LABEL("b", "1"), LABEL("a", "1")};
    add(w, labels, 2, 4);
}

/* A series with the chunks given, each with the same XOR data of samples at 1 s, 2 s,
 * 3 s. */
static void
add_chunks(struct block_writer *w, struct block_chunk *chunks, size_t count)
{
    struct err err;
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_xor_writer x;
    tsdb_xor_writer_init(&x, &data);
    for (int64_t t = 1000; t <= 3000; t += 1000)
        tsdb_xor_append(&x, (struct tsdb_sample){t, 7});
    tsdb_xor_finish(&x);
    for (size_t i = 0; i < count; i++) {
        if (chunks[i].chunk.encoding == TSDB_CHUNK_NONE)
            chunks[i].chunk = (struct tsdb_chunk){.encoding = TSDB_CHUNK_XOR,
                                                  .data = buf_bytes(&data)};
        chunks[i].samples = 3;
    }
    expect_ok(block_writer_add_chunks(w, (struct tsdb_labels){series_a, 2}, chunks,
                                      count, &err),
              err);
}

static void
write_overlap(struct block_writer *w)
{
    add_chunks(w, (struct block_chunk[]){{1000, 3000, 0, {0}}, {1000, 3000, 0, {0}}},
               2);
}

static void
write_late_mint(struct block_writer *w)
{
    add_chunks(w, (struct block_chunk[]){{1001, 3000, 0, {0}}}, 1);
}

static void
write_early_maxt(struct block_writer *w)
{
    add_chunks(w, (struct block_chunk[]){{1000, 2999, 0, {0}}}, 1);
}

static void
write_backward(struct block_writer *w)
{
    add_chunks(w, (struct block_chunk[]){{1000, 3000, 0, {0}}, {5000, 4000, 0, {0}}},
               2);
}

static void
write_samples_unordered(struct block_writer *w)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_xor_writer x;
    tsdb_xor_writer_init(&x, &data);
    for (int i = 0; i < 3; i++)
        tsdb_xor_append(&x, (struct tsdb_sample){(const int64_t[]){1, 5, 4}[i], 7});
    tsdb_xor_finish(&x);
    add_chunks(w,
               (struct block_chunk[]){
                   {1, 4, 0, {.encoding = TSDB_CHUNK_XOR, .data = buf_bytes(&data)}}},
               1);
}

static void
write_cut_samples(struct block_writer *w)
{
    /* 200 samples in 20 bytes */
    add_chunks(w,
               (struct block_chunk[]){{1,
                                       4,
                                       0,
                                       {.encoding = TSDB_CHUNK_XOR,
                                        .data = BYTES("\x00\xc8 eighteen bytes....")}}},
               1);
}

static void
write_no_samples(struct block_writer *w)
{
    add_chunks(w,
               (struct block_chunk[]){
                   {1,
                    4,
                    0,
                    {.encoding = TSDB_CHUNK_HISTOGRAM, .data = BYTES("\x00\x00\x00")}}},
               1);
}

static void
write_cut_histogram(struct block_writer *w)
{
    add_chunks(w,
               (struct block_chunk[]){{1,
                                       4,
                                       0,
                                       {.encoding = TSDB_CHUNK_FLOAT_HISTOGRAM_ST,
                                        .data = BYTES("\x00\x03")}}},
               1);
}

/* A chunk whose bits are a text of hexadecimal digits. */
static void
add_hex(struct block_writer *w, int64_t mint_ms, int64_t maxt_ms,
        enum tsdb_chunk_encoding encoding, const char *hex)
{
    CLEANUP(buf_fini) struct buf data = {0};
    put_hex(&data, hex);
    add_chunks(w,
               (struct block_chunk[]){
                   {mint_ms, maxt_ms, 0, tsdb_chunk_loose(encoding, buf_bytes(&data))}},
               1);
}

/* Made by Prometheus's own encoders: samples from 1600000000000 on, at 60001 ms of XOR2
 * the last one, at 30000 ms of the histograms. */
static const char xor2_hex[] = "0005828080f4f6905d3ff0000000000000904e9875"
                               "6000e097fffefb1e37fff341fc1d4cffe0ea60";
static const char histogram_hex[] =
    "000300744a48c5fc0002e90edd00018a8a0120000000000004e"
    "37f83a989c7609b1138eb17b100";

static void
write_xor2_late(struct block_writer *w)
{
    add_hex(w, 1600000000001, 1600000060001, TSDB_CHUNK_XOR2, xor2_hex);
}

static void
write_histogram_early(struct block_writer *w)
{
    add_hex(w, 1600000000000, 1600000029999, TSDB_CHUNK_HISTOGRAM, histogram_hex);
}

/* The second sample is where the first one is. */
static void
write_histogram_unordered(struct block_writer *w)
{
    add_hex(w, 1, 1, TSDB_CHUNK_HISTOGRAM,
            "000200" /* two samples; an empty layout; time 1, sum 0; no change */
            "00"
            "1100000000000000000000");
}

static void
write_broken_histogram(struct block_writer *w)
{
    CLEANUP(buf_fini) struct buf hex = {0};
    buf_put_str(&hex, histogram_hex);
    hex.len -= 4;
    add_hex(w, 1600000000000, 1600000030000, TSDB_CHUNK_HISTOGRAM, buf_text(&hex));
}

static void
put_aggregate(struct buf *out, enum tsdb_chunk_encoding encoding, struct bytes data)
{
    buf_put_u8(out, (uint8_t)data.len);
    buf_put_u8(out, (uint8_t)encoding);
    buf_put(out, data);
}

/* Of native histograms there are neither lowest nor highest values. */
static void
add_histogram_aggregates(struct block_writer *w, size_t cut)
{
    const int64_t first_ms = 1600000000000, step_ms = 15000;
    CLEANUP(buf_fini) struct buf counts = {0};
    CLEANUP(buf_fini) struct buf histograms = {0};
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_xor_writer x;
    tsdb_xor_writer_init(&x, &counts);
    for (int64_t i = 0; i < 3; i++)
        tsdb_xor_append(&x, (struct tsdb_sample){first_ms + i * step_ms, 7});
    tsdb_xor_finish(&x);
    put_hex(&histograms, histogram_hex);
    put_aggregate(&data, TSDB_CHUNK_XOR, buf_bytes(&counts));
    put_aggregate(&data, TSDB_CHUNK_HISTOGRAM, buf_bytes(&histograms));
    buf_put(&data, BYTES("\0\0"));
    histograms.len -= cut;
    put_aggregate(&data, TSDB_CHUNK_HISTOGRAM, buf_bytes(&histograms));
    add_chunks(
        w,
        (struct block_chunk[]){{first_ms, first_ms + 2 * step_ms, 0,
                                tsdb_chunk_loose(TSDB_CHUNK_AGGR, buf_bytes(&data))}},
        1);
}

static void
write_histogram_aggregates(struct block_writer *w)
{
    add_histogram_aggregates(w, 0);
}

static void
write_broken_histogram_aggregate(struct block_writer *w)
{
    add_histogram_aggregates(w, 2);
}

static void
write_unknown_aggregate(struct block_writer *w)
{
    add_hex(w, 1, 4, TSDB_CHUNK_AGGR, "010900");
}

static void
write_cut_aggregate(struct block_writer *w)
{
    add_chunks(
        w,
        (struct block_chunk[]){
            {1, 4, 0, {.encoding = TSDB_CHUNK_AGGR, .data = BYTES("\x09\x01\x00")}}},
        1);
}

static void
finds_what_a_writer_did_wrong(void **state)
{
    (void)state;
    static const struct {
        write_fn *write;
        enum tsdb_verify_level level;
        const char *what;
    } cases[] = {
        {write_unordered, TSDB_VERIFY_FRAME, "not in the order of its labels"},
        {write_twice, TSDB_VERIFY_FRAME, "the labels of the one before"},
        {write_unordered_names, TSDB_VERIFY_FRAME, "labels of the series do not"},
        {write_overlap, TSDB_VERIFY_FRAME, "begins before the one before ends"},
        {write_backward, TSDB_VERIFY_FRAME, "ends before it begins"},
        {write_late_mint, TSDB_VERIFY_FULL, "samples are from 1000 to 3000"},
        {write_early_maxt, TSDB_VERIFY_FULL, "in the index from 1000 to 2999"},
        {write_samples_unordered, TSDB_VERIFY_FULL, "chunks/000001 at 8: the samples"},
        {write_cut_samples, TSDB_VERIFY_FULL, "hold no 200 samples"},
        {write_no_samples, TSDB_VERIFY_FULL, "holds no samples"},
        {write_cut_histogram, TSDB_VERIFY_FULL, "histogram chunk cut"},
        {write_xor2_late, TSDB_VERIFY_FULL,
         "samples are from 1600000000000 to 1600000060001, in the index from "
         "1600000000001"},
        {write_histogram_early, TSDB_VERIFY_FULL,
         "in the index from 1600000000000 to "
         "1600000029999"},
        {write_histogram_unordered, TSDB_VERIFY_FULL, "samples do not ascend"},
        {write_broken_histogram, TSDB_VERIFY_FULL, "chunk broken in sample 3 of 3"},
        {write_cut_aggregate, TSDB_VERIFY_FULL, "aggregate count is cut"},
        {write_broken_histogram_aggregate, TSDB_VERIFY_FULL,
         "chunk broken in sample 3 of 3"},
        {write_unknown_aggregate, TSDB_VERIFY_FULL, "aggregate count of encoding 9"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(verified_fini) struct verified b = {0};
        write_block(&b, &(struct block_writer_options){0}, cases[i].write);
        /* The writer takes it from the chunks, whatever they say. */
        b.meta.mint_ms = 0;
        b.meta.maxt_ms = INT64_MAX;
        assert_found(&b, cases[i].level, cases[i].what);
    }
}

static void
accepts_aggregates_of_histograms(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    write_block(&b, &(struct block_writer_options){0}, write_histogram_aggregates);
    assert_passes(&b);
}

/* Damage behind right checksums. Offsets are found by walking, as readers do. */

static struct tsdb_index_toc
toc_of(const struct verified *b)
{
    struct tsdb_index_toc toc;
    struct err err;
    expect_ok(
        tsdb_index_toc_parse(&toc,
                             bytes_of(b->index.at + b->index.len - TSDB_INDEX_TOC_SIZE,
                                      TSDB_INDEX_TOC_SIZE),
                             b->index.len, &err),
        err);
    return toc;
}

static void
reseal(struct buf *b, size_t payload, size_t len)
{
    be32_store(b->at + payload + len, crc32c(bytes_of(b->at + payload, len)));
}

static void
reseal_section(struct verified *b, uint64_t at)
{
    reseal(&b->index, at + 4, be32_load(b->index.at + at));
}

static size_t
align_series(const struct verified *b, size_t at)
{
    return b->index.at[4] == 1 ? at : (at + 15) / 16 * 16;
}

/* Offset of the n-th series entry; its length is one byte. */
static size_t
series_at(const struct verified *b, unsigned n)
{
    size_t at = align_series(b, toc_of(b).series);
    for (; n > 0; n--)
        at = align_series(b, at + b->index.at[at] + 5);
    return at;
}

static void
reseal_series(struct verified *b, unsigned n)
{
    size_t at = series_at(b, n);
    reseal(&b->index, at + 1, b->index.at[at]);
}

/* The n-th postings list. */
static size_t
list_at(const struct verified *b, unsigned n)
{
    size_t at = toc_of(b).postings;
    at = (at + 3) / 4 * 4;
    for (; n > 0; n--)
        at += (8 + be32_load(b->index.at + at) + 3) / 4 * 4;
    return at;
}

static void
swap_symbols(struct verified *b)
{
    /* ... 01 a 01 b 03 job ... */
    uint64_t at = toc_of(b).symbols;
    uint8_t *a = memmem(b->index.at + at, 64,
                        "\x01"
                        "a"
                        "\x01"
                        "b",
                        4);
    assert_non_null(a);
    a[1] = 'b';
    a[3] = 'a';
    reseal_section(b, at);
}

static void
refer_to_no_symbol(struct verified *b)
{
    b->index.at[series_at(b, 0) + 2] = 0x7f;
    reseal_series(b, 0);
}

static void
refer_to_a_missing_segment(struct verified *b)
{
    b->segment_count--;
}

static void
refer_to_no_series(struct verified *b)
{
    size_t at = list_at(b, 1);
    be32_store(b->index.at + at + 8, be32_load(b->index.at + at + 8) + 1);
    reseal_section(b, at);
}

static void
repeat_a_posting(struct verified *b)
{
    size_t at = list_at(b, 0);
    memcpy(b->index.at + at + 12, b->index.at + at + 8, 4);
    reseal_section(b, at);
}

/* zz has one posting, that of series 2: make it series 0. */
static void
misplace_a_posting(struct verified *b)
{
    size_t zz = list_at(b, 2);
    assert_int_equal(be32_load(b->index.at + zz + 4), 1);
    be32_store(b->index.at + zz + 8, (uint32_t)(series_at(b, 0) / 16));
    reseal_section(b, zz);
}

/* One list in place of all series has one reference less. */
static void
forget_a_series(struct verified *b)
{
    size_t at = list_at(b, 0);
    be32_store(b->index.at + at, 4 + 4 * 2);
    be32_store(b->index.at + at + 4, 2);
    reseal_section(b, at);
}

static void
change_a_count(struct verified *b)
{
    size_t at = list_at(b, 1);
    be32_store(b->index.at + at + 4, 1);
    reseal_section(b, at);
}

static void
swap_rows(struct verified *b)
{
    uint64_t at = toc_of(b).postings_table;
    uint8_t *a = memmem(b->index.at + at, b->index.len - at,
                        "\x03job\x01"
                        "a",
                        6);
    uint8_t *other = memmem(b->index.at + at, b->index.len - at,
                            "\x03job\x01"
                            "b",
                            6);
    assert_non_null(a);
    assert_non_null(other);
    a[5] = 'b';
    other[5] = 'a';
    reseal_section(b, at);
}

static void
refer_outside_postings(struct verified *b)
{
    uint64_t at = toc_of(b).postings_table;
    b->index.at[at + 8 + 3] = 5; /* of the first row, ("", ""), the offset */
    b->index.at[at + 8 + 4] = 0x00;
    reseal_section(b, at);
}

static void
break_a_series(struct verified *b)
{
    b->index.at[series_at(b, 1) + 3] ^= 1;
}

static void
break_a_list(struct verified *b)
{
    b->index.at[list_at(b, 1) + 9] ^= 1;
}

static void
break_a_chunk(struct verified *b)
{
    b->segments[0].at[TSDB_SEGMENT_HEADER_SIZE + 9] ^= 4;
}

static void
break_a_chunk_length(struct verified *b)
{
    b->segments[0].at[TSDB_SEGMENT_HEADER_SIZE] -= 1;
}

static void
zero_a_segment(struct verified *b)
{
    memset(b->segments[0].at + TSDB_SEGMENT_HEADER_SIZE, 0,
           b->segments[0].len - TSDB_SEGMENT_HEADER_SIZE);
}

static void
cut_a_segment(struct verified *b)
{
    b->segments[b->segment_count - 1].len -= 1;
}

static void
lengthen_a_segment(struct verified *b)
{
    buf_put_u8(&b->segments[b->segment_count - 1], 1);
}

static void
add_a_segment(struct verified *b)
{
    buf_put(&b->segments[b->segment_count], buf_bytes(&b->segments[0]));
    b->segment_count++;
}

static void
cut_the_index(struct verified *b)
{
    b->index.len -= 1;
}

static void
cut_the_index_to_nothing(struct verified *b)
{
    b->index.len = 40;
}

static void
change_the_number_of_series(struct verified *b)
{
    b->meta.num_series++;
}

static void
change_the_number_of_chunks(struct verified *b)
{
    b->meta.num_chunks--;
}

static void
change_the_number_of_samples(struct verified *b)
{
    b->meta.num_samples++;
}

static void
begin_the_block_later(struct verified *b)
{
    b->meta.mint_ms = 1001;
}

static void
finds_damage_and_names_it(void **state)
{
    (void)state;
    static const struct {
        void (*damage)(struct verified *b);
        const char *what;             /* in the first finding */
        enum tsdb_verify_level level; /* from which on it is found */
    } cases[] = {
        {swap_symbols, "symbol 2 is out of order", TSDB_VERIFY_FRAME},
        {refer_to_no_symbol, "label 0 of the series refers to no symbol",
         TSDB_VERIFY_FRAME},
        {refer_to_a_missing_segment, "of segment 2 of 1", TSDB_VERIFY_FRAME},
        {refer_to_no_series, "refer to no series", TSDB_VERIFY_FRAME},
        {repeat_a_posting, "postings of {}: do not ascend", TSDB_VERIFY_FRAME},
        {misplace_a_posting, "other label pairs", TSDB_VERIFY_FULL},
        {forget_a_series, "list of all series has 2 of 3", TSDB_VERIFY_FRAME},
        {change_a_count, "length and count do not fit", TSDB_VERIFY_FRAME},
        {swap_rows, "postings of {job=\"a\"}: the row is out of order",
         TSDB_VERIFY_FRAME},
        {refer_outside_postings, "outside the section", TSDB_VERIFY_FRAME},
        {break_a_series, "series entry checksum mismatch", TSDB_VERIFY_FRAME},
        {break_a_list, "postings of {__name__=\"up\"}: checksum mismatch",
         TSDB_VERIFY_FRAME},
        {break_a_chunk, "chunks/000001 at 8: chunk checksum mismatch",
         TSDB_VERIFY_FULL},
        {break_a_chunk_length, "chunks/000001 at ", TSDB_VERIFY_FRAME},
        {zero_a_segment, "chunks/000001 at ", TSDB_VERIFY_FRAME},
        {cut_a_segment, "the chunk is cut", TSDB_VERIFY_FRAME},
        {lengthen_a_segment, "no series refers to the last 1 bytes", TSDB_VERIFY_FRAME},
        {add_a_segment, "chunks/000003 at 8: no series refers", TSDB_VERIFY_FRAME},
        {cut_the_index, "TOC checksum mismatch", TSDB_VERIFY_FRAME},
        {cut_the_index_to_nothing, "40 bytes are no index", TSDB_VERIFY_FRAME},
        {change_the_number_of_series, "numSeries 4, the block holds 3",
         TSDB_VERIFY_FRAME},
        {change_the_number_of_chunks, "meta.json at 0: meta.json says numChunks",
         TSDB_VERIFY_FRAME},
        {change_the_number_of_samples, "numSamples 11, the block holds 10",
         TSDB_VERIFY_FULL},
        {begin_the_block_later, "chunk 0 of the series, from 1000", TSDB_VERIFY_FRAME},
    };
    const struct block_writer_options options = {.samples_per_chunk = 3,
                                                 .segment_limit = 90};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(verified_fini) struct verified b = {0};
        write_block(&b, &options, write_good);
        assert_int_equal(b.segment_count, 2);
        cases[i].damage(&b);
        for (int level = TSDB_VERIFY_FRAME; level <= TSDB_VERIFY_FULL; level++) {
            struct err err;
            struct verdict v = verdict_of((enum tsdb_verify_level)level, PIECE);
            expect_ok(verified_check(&b, &v, &err), err);
            bool expected = (enum tsdb_verify_level)level >= cases[i].level;
            if ((v.totals.findings > 0) != expected ||
                (expected && strstr(v.findings[0], cases[i].what) == NULL))
                fail_msg("level %d: \"%s\" instead of \"%s\"", level, v.findings[0],
                         cases[i].what);
        }
    }
}

static void
tells_surplus_from_damage(void **state)
{
    (void)state;
    for (int is_surplus = 0; is_surplus <= 1; is_surplus++) {
        CLEANUP(verified_fini) struct verified b = {0};
        struct err err;
        struct verdict v = verdict_of(TSDB_VERIFY_FULL, PIECE);
        write_block(&b, &small, write_good);
        if (is_surplus)
            add_a_segment(&b);
        else
            cut_a_segment(&b);
        expect_ok(verified_check(&b, &v, &err), err);
        assert_int_equal(v.totals.findings, 1);
        assert_int_equal(v.are_surplus[0], is_surplus);
    }
}

static void
accepts_what_is_legal(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    write_block(&b, &small, write_good);
    /* A writer that was killed leaves zeros. */
    for (int i = 0; i < 5000; i++)
        buf_put_u8(&b.segments[0], 0);
    b.index.at[4] = 3;
    b.meta.maxt_ms -= 1;    /* a sample at the very maxTime */
    b.meta.num_samples = 0; /* statistics that are not given */
    b.meta.num_series = 0;
    b.meta.num_chunks = 0;
    struct err err;
    struct verdict v = verdict_of(TSDB_VERIFY_FULL, PIECE);
    expect_ok(verified_check(&b, &v, &err), err);
    if (v.totals.findings > 0)
        fail_msg("%s", v.findings[0]);
}

/* Bytes of the index that belong to something. */
static size_t
used_bytes(const struct verified *b)
{
    struct tsdb_index_toc toc = toc_of(b);
    size_t used = TSDB_INDEX_HEADER_SIZE + TSDB_INDEX_TOC_SIZE;
    used += 8 + be32_load(b->index.at + toc.symbols);
    used += 8 + be32_load(b->index.at + toc.postings_table);
    for (unsigned i = 0; i < (unsigned)b->meta.num_series; i++)
        used += (size_t)b->index.at[series_at(b, i)] + 5;
    for (size_t at = list_at(b, 0); at < toc.postings_table;) {
        size_t size = 8 + be32_load(b->index.at + at);
        used += size;
        at += (size + 3) / 4 * 4;
    }
    return used;
}

static bool
passes(const struct verified *b)
{
    struct err err = {0};
    struct verdict v = verdict_of(TSDB_VERIFY_FULL, PIECE);
    if (!verified_check(b, &v, &err))
        fail_msg("%s", err.text);
    return v.totals.findings == 0;
}

/* How many bits of the file can be flipped without being found. */
static size_t
unseen_flips(const struct verified *b, const struct buf *file)
{
    size_t unseen = 0;
    for (size_t i = 0; i < file->len * 8; i++) {
        file->at[i / 8] ^= (uint8_t)(1 << i % 8);
        unseen += passes(b);
        file->at[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    return unseen;
}

static void
finds_every_flipped_bit(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        CLEANUP(verified_fini) struct verified b = {0};
        struct block_writer_options options = small;
        options.index_version = version;
        write_block(&b, &options, write_good);
        /* The padding of the segment's header. */
        assert_int_equal(unseen_flips(&b, &b.segments[0]), 3 * 8);
        /* Padding, and version 2 that becomes 3, which is read as 2. */
        assert_int_equal(unseen_flips(&b, &b.index),
                         (b.index.len - used_bytes(&b)) * 8 + (version == 2));
    }
}

static void
finds_every_truncation(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    write_block(&b, &small, write_good);
    struct buf *files[] = {&b.index, &b.segments[0]};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        size_t whole = files[i]->len;
        for (files[i]->len = 0; files[i]->len < whole; files[i]->len++)
            assert_false(passes(&b));
    }
    assert_true(passes(&b));
}

static void
ends_when_told(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    struct err err;
    write_block(&b, &(struct block_writer_options){.samples_per_chunk = 1}, write_good);
    struct verdict v = verdict_of(TSDB_VERIFY_FULL, 32);
    v.cancel_at = 64;
    expect_fails(verified_check(&b, &v, &err), err, ERR_CANCELLED);
    v = verdict_of(TSDB_VERIFY_FULL, 32);
    v.read_limit = 64;
    expect_fails(verified_check(&b, &v, &err), err, ERR_IO);
    /* All chunks are wrong. */
    memset(b.segments[0].at + TSDB_SEGMENT_HEADER_SIZE, 0x55,
           b.segments[0].len - TSDB_SEGMENT_HEADER_SIZE);
    v = verdict_of(TSDB_VERIFY_FULL, 32);
    v.most_findings = 2;
    expect_ok(verified_check(&b, &v, &err), err);
    assert_int_equal(v.totals.findings, 2);
}

static void
keeps_to_its_budget(void **state)
{
    (void)state;
    CLEANUP(verified_fini) struct verified b = {0};
    struct err err;
    write_block(&b, &small, write_good);
    struct verdict v = verdict_of(TSDB_VERIFY_FULL, PIECE);
    assert_true(verified_check(&b, &v, &err));
    size_t enough = v.budget_peak;
    for (v.budget_limit = 0; v.budget_limit < enough; v.budget_limit += 61)
        expect_fails(verified_check(&b, &v, &err), err, ERR_BUDGET);
    v.budget_limit = enough;
    assert_true(verified_check(&b, &v, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_golden_blocks),
        cmocka_unit_test(accepts_written_blocks),
        cmocka_unit_test(accepts_a_series_without_chunks),
        cmocka_unit_test(accepts_what_is_legal),
        cmocka_unit_test(accepts_aggregates_of_histograms),
        cmocka_unit_test(finds_what_a_writer_did_wrong),
        cmocka_unit_test(finds_damage_and_names_it),
        cmocka_unit_test(tells_surplus_from_damage),
        cmocka_unit_test(finds_every_flipped_bit),
        cmocka_unit_test(finds_every_truncation),
        cmocka_unit_test(ends_when_told),
        cmocka_unit_test(keeps_to_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
