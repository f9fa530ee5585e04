/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks written by the block writer, read back with common/tsdb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/index.h"
#include "common/tsdb/meta.h"
#include "common/tsdb/postings.h"
#include "common/tsdb/series.h"
#include "tests/support/block_writer.h"

#define LABEL(name, value)        \
    {                             \
        BYTES(name), BYTES(value) \
    }
#define LABELS(array)           \
    {                           \
        array, ARRAY_LEN(array) \
    }

enum { FILE_LIMIT = 64 * 1024 * 1024, MOST_ROWS = 64, BUDGET = 64 * 1024 * 1024 };

static const char ulid_text[] = "01M84JHDKMEAZBFV6XNC2DVPEC";

/* A written block, opened. */
struct opened {
    char dir[64];
    struct buf index;
    int version;
    struct tsdb_index_toc toc;
    struct budget budget;
    struct arena arena;
    struct {
        uint32_t ref; /* as series entries hold it */
        struct bytes text;
    } symbols[MOST_ROWS];
    size_t symbol_count;
    struct tsdb_index_posting_row rows[MOST_ROWS];
    size_t row_count;
};

static struct tsdb_ulid
ulid(void)
{
    struct tsdb_ulid id;
    assert_true(tsdb_ulid_parse(&id, bytes_of_str(ulid_text)));
    return id;
}

static void
check(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s", err->text);
}

static char *
block_path(const struct opened *o, const char *name)
{
    return xasprintf("%s/%s/%s", o->dir, ulid_text, name);
}

static void
read_file(const struct opened *o, const char *name, struct buf *into)
{
    struct err err = {0};
    CLEANUP(xfree) char *path = block_path(o, name);
    buf_init(into, NULL);
    check(file_read_all(path, FILE_LIMIT, into, &err), &err);
}

static void
begin(struct opened *o, struct block_writer **w, struct block_writer_options options)
{
    *o = (struct opened){.dir = "/tmp/blockhouse-writer-XXXXXX"};
    assert_non_null(mkdtemp(o->dir));
    struct tsdb_ulid id = ulid();
    struct err err = {0};
    check(block_writer_new(w, o->dir, &id, &options, &err), &err);
}

static bool
keep_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
            struct err *err)
{
    (void)err;
    struct opened *o = arg;
    assert_true(o->symbol_count < MOST_ROWS);
    uint64_t file_offset = o->toc.symbols + sizeof(uint32_t) + position;
    o->symbols[o->symbol_count].ref = o->version == 1 ? (uint32_t)file_offset : ordinal;
    o->symbols[o->symbol_count++].text = arena_copy(&o->arena, symbol);
    return true;
}

static bool
keep_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    (void)err;
    struct opened *o = arg;
    assert_true(o->row_count < MOST_ROWS);
    o->rows[o->row_count++] =
        (struct tsdb_index_posting_row){arena_copy(&o->arena, row->name),
                                        arena_copy(&o->arena, row->value), row->offset};
    return true;
}

static struct bytes
index_from(const struct opened *o, uint64_t offset)
{
    struct bytes rest = buf_bytes(&o->index);
    assert_true(offset <= rest.len);
    bytes_skip(&rest, offset);
    return rest;
}

static void
read_table(struct opened *o, struct tsdb_index_table *t, uint64_t offset)
{
    struct err err = {0};
    check(tsdb_index_table_feed(t, index_from(o, offset), &err), &err);
    check(tsdb_index_table_end(t, &err), &err);
    tsdb_index_table_fini(t);
}

/* Finish the block and read its tables. */
static void
finish_and_open(struct opened *o, struct block_writer **w)
{
    struct err err = {0};
    check(block_writer_finish(*w, &err), &err);
    block_writer_free(w);
    budget_init(&o->budget, "test", BUDGET, NULL);
    arena_init(&o->arena, &o->budget);
    read_file(o, "index", &o->index);
    struct bytes index = buf_bytes(&o->index);
    check(tsdb_index_header_parse(bytes_of(index.at, TSDB_INDEX_HEADER_SIZE),
                                  &o->version, &err),
          &err);
    struct bytes tail = index_from(o, index.len - TSDB_INDEX_TOC_SIZE);
    check(tsdb_index_toc_parse(&o->toc, tail, index.len, &err), &err);
    struct tsdb_index_table table;
    tsdb_index_symbols_begin(&table, keep_symbol, o, &o->budget);
    read_table(o, &table, o->toc.symbols);
    tsdb_index_postings_begin(&table, keep_row, o, &o->budget);
    read_table(o, &table, o->toc.postings_table);
}

static void
opened_fini(struct opened *o)
{
    struct err err = {0};
    buf_fini(&o->index);
    arena_fini(&o->arena);
    check(file_remove_tree(o->dir, &err), &err);
}

static struct tsdb_postings
postings_of(const struct opened *o, struct bytes name, struct bytes value)
{
    struct tsdb_postings p = {0};
    struct err err = {0};
    for (size_t i = 0; i < o->row_count; i++) {
        if (!bytes_eq(o->rows[i].name, name) || !bytes_eq(o->rows[i].value, value))
            continue;
        assert_int_equal(o->rows[i].offset % 4, 0);
        check(tsdb_postings_parse(&p, index_from(o, o->rows[i].offset), &err), &err);
        return p;
    }
    fail_msg("no postings of %.*s=%.*s", BYTES_FMT(name), BYTES_FMT(value));
    return p;
}

static struct tsdb_series
series_at(struct opened *o, tsdb_ref ref)
{
    struct err err = {0};
    struct tsdb_series s = {0};
    uint64_t unit = o->version == 1 ? 1 : TSDB_INDEX_SERIES_ALIGN;
    check(tsdb_series_parse(&s, index_from(o, ref * unit), INT64_MIN, INT64_MAX,
                            &o->arena, &err),
          &err);
    return s;
}

static struct bytes
symbol_text(const struct opened *o, uint32_t ref)
{
    for (size_t i = 0; i < o->symbol_count; i++) {
        if (o->symbols[i].ref == ref)
            return o->symbols[i].text;
    }
    fail_msg("no symbol %" PRIu32, ref);
    return (struct bytes){0};
}

/* Each list of the table holds the series with that pair and no other, ascending. */
static void
expect_postings_match_series(struct opened *o)
{
    struct tsdb_postings all = postings_of(o, BYTES(""), BYTES(""));
    size_t listed = 0, labels = 0;
    for (size_t i = 0; i < o->row_count; i++) {
        struct tsdb_postings p = postings_of(o, o->rows[i].name, o->rows[i].value);
        listed += o->rows[i].name.len > 0 ? tsdb_postings_count(&p) : 0;
    }
    for (tsdb_ref ref, last = 0; tsdb_postings_next(&all, 0, &ref); last = ref) {
        assert_true(ref > last);
        struct tsdb_series s = series_at(o, ref);
        labels += s.label_count;
        for (size_t i = 0; i < s.label_count; i++) {
            struct tsdb_postings p = postings_of(o, symbol_text(o, s.labels[i].name),
                                                 symbol_text(o, s.labels[i].value));
            tsdb_ref found = 0;
            assert_true(tsdb_postings_next(&p, ref, &found));
            assert_int_equal(found, ref);
        }
    }
    assert_int_equal(listed, labels);
}

static void
expect_labels(const struct opened *o, const struct tsdb_series *s,
              struct tsdb_labels expected)
{
    assert_int_equal(s->label_count, expected.len);
    for (size_t i = 0; i < expected.len; i++) {
        assert_true(bytes_eq(symbol_text(o, s->labels[i].name), expected.at[i].name));
        assert_true(bytes_eq(symbol_text(o, s->labels[i].value), expected.at[i].value));
    }
}

/* Parse the chunk at ref; its data borrows from segment, which the caller releases. */
static struct tsdb_chunk
chunk_at(const struct opened *o, uint64_t ref, struct buf *segment)
{
    struct err err = {0};
    struct tsdb_chunk c = {0};
    char name[32];
    snprintf(name, sizeof name, "chunks/%06" PRIu32, tsdb_chunk_ref_segment(ref) + 1);
    read_file(o, name, segment);
    struct bytes b = buf_bytes(segment);
    check(
        tsdb_chunk_segment_header_parse(bytes_of(b.at, TSDB_SEGMENT_HEADER_SIZE), &err),
        &err);
    assert_true(tsdb_chunk_ref_offset(ref) < b.len);
    bytes_skip(&b, tsdb_chunk_ref_offset(ref));
    check(tsdb_chunk_parse(&c, b, &err), &err);
    return c;
}

/* The samples of all chunks of s are those given, and chunk times are exact. */
static void
expect_samples(const struct opened *o, const struct tsdb_series *s,
               const struct tsdb_sample *expected, size_t count)
{
    struct err err = {0};
    size_t seen = 0;
    for (size_t i = 0; i < s->chunk_count; i++) {
        CLEANUP(buf_fini) struct buf segment;
        struct tsdb_chunk c = chunk_at(o, s->chunks[i].ref, &segment);
        assert_int_equal(c.encoding, TSDB_CHUNK_XOR);
        struct tsdb_xor_reader r;
        check(tsdb_xor_reader_init(&r, c.data, &err), &err);
        assert_true(seen + tsdb_xor_reader_count(&r) <= count);
        assert_int_equal(s->chunks[i].mint_ms, expected[seen].t_ms);
        struct tsdb_sample got;
        for (bool end = false;; seen++) {
            check(tsdb_xor_next(&r, &got, &end, &err), &err);
            if (end)
                break;
            assert_int_equal(got.t_ms, expected[seen].t_ms);
            assert_int_equal(got.value_bits, expected[seen].value_bits);
        }
        assert_int_equal(s->chunks[i].maxt_ms, expected[seen - 1].t_ms);
    }
    assert_int_equal(seen, count);
}

static tsdb_ref
nth_series(const struct opened *o, size_t n)
{
    struct tsdb_postings all = postings_of(o, BYTES(""), BYTES(""));
    tsdb_ref ref = 0;
    for (size_t i = 0; i <= n; i++)
        assert_true(tsdb_postings_next(&all, 0, &ref));
    return ref;
}

static void
fill(struct tsdb_sample *samples, size_t count, int64_t first_ms)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct tsdb_sample){first_ms + (int64_t)i * 15000,
                                          UINT64_C(0x9e3779b97f4a7c15) * i};
}

static const struct tsdb_label up_a[] = {LABEL("__name__", "up"), LABEL("job", "a")};
static const struct tsdb_label up_b[] = {LABEL("__name__", "up"), LABEL("job", "b")};
static const struct tsdb_label zz[] = {LABEL("__name__", "zz")};
static const struct tsdb_label zz_a[] = {LABEL("__name__", "zz"), LABEL("job", "a"),
                                         LABEL("q", "\303\251\n")};
static const struct tsdb_labels sets[] = {LABELS(up_a), LABELS(up_b), LABELS(zz),
                                          LABELS(zz_a)};

static void
round_trip(struct block_writer_options options, int64_t first_ms)
{
    struct tsdb_sample samples[300];
    fill(samples, ARRAY_LEN(samples), first_ms);
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, options);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        check(block_writer_add_samples(w, sets[i], samples, 100 + 50 * i, &err), &err);
    finish_and_open(&o, &w);

    assert_int_equal(o.version, options.index_version);
    assert_int_equal(o.symbol_count, 8);
    assert_int_equal(o.row_count, 6);
    expect_postings_match_series(&o);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        struct tsdb_series s = series_at(&o, nth_series(&o, i));
        expect_labels(&o, &s, sets[i]);
        expect_samples(&o, &s, samples, 100 + 50 * i);
    }
    opened_fini(&o);
}

static void
reads_back_with_each_index_version(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++)
        round_trip((struct block_writer_options){.index_version = version},
                   1600000000000);
}

static void
reads_back_negative_times(void **state)
{
    (void)state;
    round_trip((struct block_writer_options){.index_version = 2}, -1000000000000);
}

static void
reads_back_over_several_segments(void **state)
{
    (void)state;
    round_trip((struct block_writer_options){.index_version = 2,
                                             .segment_limit = 2048,
                                             .samples_per_chunk = 40},
               1600000000000);
}

static void
cuts_segments_at_their_limit(void **state)
{
    (void)state;
    /* Records of 5 + 1 + 100 + 4 bytes as the limit counts them: two fit. */
    uint8_t data[100] = {0};
    const struct block_chunk chunk = {.samples = 1,
                                      .chunk = {.encoding = TSDB_CHUNK_HISTOGRAM,
                                                .data = bytes_of(data, sizeof data)}};
    const struct block_chunk chunks[] = {chunk, chunk, chunk};
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){.segment_limit = 8 + 106 + 110});
    check(block_writer_add_chunks(w, sets[0], chunks, ARRAY_LEN(chunks), &err), &err);
    finish_and_open(&o, &w);

    const uint64_t refs[] = {8, 8 + 106, UINT64_C(1) << 32 | 8};
    struct tsdb_series s = series_at(&o, nth_series(&o, 0));
    assert_int_equal(s.chunk_count, ARRAY_LEN(refs));
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        CLEANUP(buf_fini) struct buf segment;
        assert_int_equal(s.chunks[i].ref, refs[i]);
        assert_int_equal(chunk_at(&o, refs[i], &segment).encoding,
                         TSDB_CHUNK_HISTOGRAM);
    }
    opened_fini(&o);
}

static void
writes_a_series_without_chunks(void **state)
{
    (void)state;
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    check(block_writer_add_chunks(w, sets[0], NULL, 0, &err), &err);
    finish_and_open(&o, &w);
    struct tsdb_series s = series_at(&o, nth_series(&o, 0));
    expect_labels(&o, &s, sets[0]);
    assert_int_equal(s.chunk_count, 0);
    opened_fini(&o);
}

static void
writes_a_block_without_series(void **state)
{
    (void)state;
    struct opened o;
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    finish_and_open(&o, &w);
    assert_int_equal(o.symbol_count, 0);
    assert_int_equal(o.row_count, 0);
    opened_fini(&o);
}

static void
keeps_a_label_value_of_a_mebibyte(void **state)
{
    (void)state;
    enum { LEN = 1024 * 1024 };
    CLEANUP(xfree) uint8_t *value = xcalloc(LEN, 1);
    memset(value, 'v', LEN);
    const struct tsdb_label long_label[] = {{BYTES("name"), {value, LEN}}};
    const struct tsdb_labels labels = LABELS(long_label);
    const struct tsdb_sample sample = {1, 2};
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    check(block_writer_add_samples(w, labels, &sample, 1, &err), &err);
    finish_and_open(&o, &w);
    expect_postings_match_series(&o);
    struct tsdb_series s = series_at(&o, nth_series(&o, 0));
    expect_labels(&o, &s, labels);
    opened_fini(&o);
}

static void
keeps_chunks_that_run_backwards(void **state)
{
    (void)state;
    uint8_t data[2] = {0};
    const struct tsdb_chunk chunk = {.encoding = TSDB_CHUNK_XOR,
                                     .data = bytes_of(data, sizeof data)};
    const struct block_chunk chunks[] = {{1000, 2000, 1, chunk},
                                         {-500, 1500, 1, chunk}};
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    check(block_writer_add_chunks(w, sets[0], chunks, ARRAY_LEN(chunks), &err), &err);
    finish_and_open(&o, &w);
    struct tsdb_series s = series_at(&o, nth_series(&o, 0));
    assert_int_equal(s.chunks[1].mint_ms, -500);
    assert_int_equal(s.chunks[1].maxt_ms, 1500);
    opened_fini(&o);
}

/* Symbols, tables and segments large enough to grow the symbol set. */
static void
interns_many_symbols(void **state)
{
    (void)state;
    enum { SERIES = 5000 };
    const struct tsdb_sample sample = {1, 2};
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    for (int i = 0; i < SERIES; i++) {
        char value[16];
        snprintf(value, sizeof value, "%08d", i);
        const struct tsdb_label label[] = {{BYTES("id"), bytes_of_str(value)}};
        check(block_writer_add_samples(w, (struct tsdb_labels)LABELS(label), &sample, 1,
                                       &err),
              &err);
    }
    check(block_writer_finish(w, &err), &err);
    struct tsdb_meta meta = {0};
    CLEANUP(buf_fini) struct buf text;
    read_file(&o, "meta.json", &text);
    check(tsdb_meta_parse(&meta, buf_bytes(&text), &err), &err);
    assert_int_equal(meta.num_series, SERIES);
    tsdb_meta_fini(&meta);
    opened_fini(&o);
}

static void
describes_itself_as_in_a_bucket(void **state)
{
    (void)state;
    struct tsdb_sample samples[200];
    fill(samples, ARRAY_LEN(samples), 1600000000000);
    const struct tsdb_label external[] = {LABEL("cluster", "eu\"1"),
                                          LABEL("replica", "a")};
    struct opened o;
    struct err err = {0};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    begin(&o, &w,
          (struct block_writer_options){
              .external = LABELS(external), .resolution_ms = 300000, .level = 2});
    check(block_writer_add_samples(w, sets[0], samples, 200, &err), &err);
    finish_and_open(&o, &w);

    struct tsdb_meta m = {0};
    CLEANUP(buf_fini) struct buf text;
    read_file(&o, "meta.json", &text);
    check(tsdb_meta_parse(&m, buf_bytes(&text), &err), &err);
    assert_int_equal(m.mint_ms, samples[0].t_ms);
    assert_int_equal(m.maxt_ms, samples[199].t_ms + 1);
    assert_int_equal(m.num_samples, 200);
    assert_int_equal(m.num_chunks, 2);
    assert_int_equal(m.level, 2);
    assert_true(m.has_thanos);
    assert_int_equal(m.resolution_ms, 300000);
    assert_int_equal(tsdb_labels_cmp(m.external, (struct tsdb_labels)LABELS(external)),
                     0);
    assert_int_equal(m.segment_count, 1);
    assert_string_equal(m.segments[0], "000001");
    assert_int_equal(m.file_count, 3);
    assert_string_equal(m.files[1].rel_path, "index");
    assert_int_equal(m.files[1].size, o.index.len);
    CLEANUP(xfree) char *tombstones = block_path(&o, "tombstones");
    assert_false(file_exists(tombstones));
    tsdb_meta_fini(&m);
    opened_fini(&o);
}

static void
leaves_nothing_when_abandoned(void **state)
{
    (void)state;
    struct opened o;
    struct err err = {0};
    struct block_writer *w = NULL;
    begin(&o, &w, (struct block_writer_options){0});
    check(block_writer_add_samples(w, sets[0], &(struct tsdb_sample){1, 2}, 1, &err),
          &err);
    block_writer_free(&w);
    assert_null(w);
    assert_int_equal(rmdir(o.dir), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_with_each_index_version),
        cmocka_unit_test(reads_back_negative_times),
        cmocka_unit_test(reads_back_over_several_segments),
        cmocka_unit_test(cuts_segments_at_their_limit),
        cmocka_unit_test(writes_a_series_without_chunks),
        cmocka_unit_test(writes_a_block_without_series),
        cmocka_unit_test(keeps_a_label_value_of_a_mebibyte),
        cmocka_unit_test(keeps_chunks_that_run_backwards),
        cmocka_unit_test(interns_many_symbols),
        cmocka_unit_test(describes_itself_as_in_a_bucket),
        cmocka_unit_test(leaves_nothing_when_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
