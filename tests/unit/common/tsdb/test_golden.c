/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a real Prometheus, read whole: every symbol, postings list, series and
 * chunk is compared with what Prometheus itself reads; then they are broken in every
 * way. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"
#include "common/tsdb/index.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/meta.h"
#include "common/tsdb/postings.h"
#include "common/tsdb/series.h"
#include "tests/support/xor_reference.h"
#include "tests/unit/common/tsdb/fixture.h"

enum { FILE_LIMIT = 1 << 20, MAX_SYMBOLS = 256, MAX_SERIES = 64 };

/* Series whose chunks are broken bit by bit: one in so many, to end in a few seconds.
 */
enum { BREAK_EACH = 4 };

static const char *const folders[] = {"xor", "xor2", "xor2-st", "hist-st"};

struct block {
    struct buf index;
    struct buf segment;
    struct buf meta_text;
    struct json *expected[MAX_SERIES];
    size_t expected_count;
    struct tsdb_index_toc toc;
    struct bytes symbols[MAX_SYMBOLS];
    size_t symbol_count;
    struct tsdb_ref_list {
        tsdb_ref at[MAX_SERIES];
        size_t count;
    } all;
};

static void
read_file(const char *pattern_folder, const char *name, struct buf *out)
{
    CLEANUP(xfree)
    char *pattern = xasprintf("%s/golden/%s/01*/%s", TESTS_DIR, pattern_folder, name);
    CLEANUP(globfree) glob_t found = {0};
    struct err err;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    assert_done(file_read_all(found.gl_pathv[0], FILE_LIMIT, out, &err), &err);
}

static void
read_expected(struct block *b, const char *folder)
{
    CLEANUP(xfree)
    char *command =
        xasprintf("gzip -dc %s/golden/%s/expected.jsonl.gz", TESTS_DIR, folder);
    FILE *lines = popen(command, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    assert_non_null(lines);
    while ((len = getline(&line, &cap, lines)) > 0) {
        struct err err;
        assert_in_range(b->expected_count, 0, MAX_SERIES - 1);
        assert_done(json_parse(bytes_of(line, (size_t)len), SIZE_MAX,
                               &b->expected[b->expected_count++], &err),
                    &err);
    }
    free(line);
    assert_int_equal(pclose(lines), 0);
    assert_true(b->expected_count > 0);
}

static struct bytes
index_at(const struct block *b, uint64_t offset)
{
    assert_true(offset <= b->index.len);
    return bytes_of(b->index.at + offset, b->index.len - offset);
}

static struct bytes
tail_of(const struct block *b)
{
    return index_at(b, b->index.len - TSDB_INDEX_TOC_SIZE);
}

static void
block_open(struct block *b, const char *folder)
{
    int version;
    struct err err;
    *b = (struct block){0};
    read_file(folder, "index", &b->index);
    read_file(folder, "chunks/000001", &b->segment);
    read_file(folder, "meta.json", &b->meta_text);
    read_expected(b, folder);
    assert_done(tsdb_index_header_parse(bytes_of(b->index.at, TSDB_INDEX_HEADER_SIZE),
                                        &version, &err),
                &err);
    assert_int_equal(version, 2);
    assert_done(tsdb_index_toc_parse(&b->toc, tail_of(b), b->index.len, &err), &err);
}

static void
block_close(struct block *b)
{
    for (size_t i = 0; i < b->expected_count; i++)
        json_free(&b->expected[i]);
    buf_fini(&b->index);
    buf_fini(&b->segment);
    buf_fini(&b->meta_text);
}

static bool
keep_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
            struct err *err)
{
    struct block *b = arg;
    (void)err;
    assert_in_range(ordinal, 0, MAX_SYMBOLS - 1);
    assert_int_equal(ordinal, b->symbol_count);
    /* Fed in one piece, symbols are slices of the index itself. */
    struct bytes there = index_at(b, b->toc.symbols + 4 + position + 1);
    assert_ptr_equal(symbol.at, there.at);
    b->symbols[b->symbol_count++] = symbol;
    return true;
}

static void
read_symbols(struct block *b)
{
    struct err err;
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table;
    tsdb_index_symbols_begin(&table, keep_symbol, b, NULL);
    assert_done(tsdb_index_table_feed(&table, index_at(b, b->toc.symbols), &err), &err);
    assert_done(tsdb_index_table_end(&table, &err), &err);
}

static bool
keep_all_series(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct block *b = arg;
    struct tsdb_postings list;
    tsdb_ref ref;
    if (row->name.len > 0)
        return true;
    assert_done(tsdb_postings_parse(&list, index_at(b, row->offset), err), err);
    while (tsdb_postings_next(&list, 0, &ref)) {
        assert_in_range(b->all.count, 0, MAX_SERIES - 1);
        b->all.at[b->all.count++] = ref;
    }
    return true;
}

static void
read_postings_table(struct block *b, tsdb_index_posting_fn *fn, void *arg)
{
    struct err err;
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table;
    tsdb_index_postings_begin(&table, fn, arg, NULL);
    assert_done(tsdb_index_table_feed(&table, index_at(b, b->toc.postings_table), &err),
                &err);
    assert_done(tsdb_index_table_end(&table, &err), &err);
}

static const char *
text_at(const struct json *array, size_t i)
{
    const char *text = NULL;
    assert_true(json_text(json_array_at(array, i), &text));
    return text;
}

static int64_t
number_of(const struct json *j, const char *key)
{
    int64_t v = 0;
    assert_true(json_i64(json_get(j, key), &v));
    return v;
}

static void
hex_of(const struct json *j, const char *key, struct buf *out)
{
    const char *text = NULL;
    assert_true(json_text(json_get(j, key), &text));
    buf_clear(out);
    put_hex(out, text);
}

static struct bytes
entry_of(const struct block *b, tsdb_ref ref)
{
    return index_at(b, (uint64_t)ref * TSDB_INDEX_SERIES_ALIGN);
}

static void
check_labels(const struct block *b, const struct tsdb_series *s,
             const struct json *expected)
{
    assert_int_equal(s->label_count, json_array_len(expected));
    for (size_t i = 0; i < s->label_count; i++) {
        const struct json *pair = json_array_at(expected, i);
        assert_in_range(s->labels[i].name, 0, b->symbol_count - 1);
        assert_in_range(s->labels[i].value, 0, b->symbol_count - 1);
        assert_bytes(b->symbols[s->labels[i].name], bytes_of_str(text_at(pair, 0)));
        assert_bytes(b->symbols[s->labels[i].value], bytes_of_str(text_at(pair, 1)));
    }
}

static struct bytes
record_of(const struct block *b, const struct tsdb_chunk_meta *meta)
{
    uint32_t offset = tsdb_chunk_ref_offset(meta->ref);
    assert_int_equal(tsdb_chunk_ref_segment(meta->ref), 0);
    assert_in_range(offset, TSDB_SEGMENT_HEADER_SIZE, b->segment.len);
    return bytes_of(b->segment.at + offset, b->segment.len - offset);
}

static void
check_samples(struct bytes data, const struct json *expected)
{
    CLEANUP(buf_fini) struct buf bits = {0};
    CLEANUP(buf_fini) struct buf again = {0};
    struct tsdb_xor_reader reader;
    struct tsdb_xor_writer writer;
    struct err err;
    assert_done(tsdb_xor_reader_init(&reader, data, &err), &err);
    assert_int_equal(tsdb_xor_reader_count(&reader), json_array_len(expected));
    tsdb_xor_writer_init(&writer, &again);
    for (size_t i = 0;; i++) {
        struct tsdb_sample sample;
        bool end;
        assert_done(tsdb_xor_next(&reader, &sample, &end, &err), &err);
        if (end)
            break;
        const struct json *j = json_array_at(expected, i);
        hex_of(j, "V", &bits);
        assert_int_equal(sample.t_ms, number_of(j, "T"));
        assert_int_equal(sample.value_bits, be64_load(bits.at));
        tsdb_xor_append(&writer, sample);
    }
    tsdb_xor_finish(&writer);
    assert_bytes(buf_bytes(&again), data);
}

static void
check_chunk(const struct block *b, const struct tsdb_chunk_meta *meta,
            const struct json *expected)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_chunk chunk;
    struct err err;
    uint64_t size;
    struct bytes record = record_of(b, meta);
    assert_int_equal(meta->mint_ms, number_of(expected, "Min"));
    assert_int_equal(meta->maxt_ms, number_of(expected, "Max"));
    assert_done(tsdb_chunk_parse(&chunk, record, &err), &err);
    assert_int_equal(chunk.encoding, number_of(expected, "Enc"));
    hex_of(expected, "Hex", &data);
    assert_bytes(chunk.data, buf_bytes(&data));
    assert_true(tsdb_chunk_size(record, &size));
    CLEANUP(guard_fini) struct guard exact = guard_new(bytes_of(record.at, size));
    assert_done(tsdb_chunk_parse(&chunk, exact.bytes, &err), &err);
    if (chunk.encoding == TSDB_CHUNK_XOR)
        check_samples(chunk.data, json_get(expected, "S"));
}

static void
check_series(const struct block *b, tsdb_ref ref, const struct json *expected)
{
    CLEANUP(room_fini) struct room room;
    struct tsdb_series series;
    struct err err;
    uint64_t size;
    struct bytes entry = entry_of(b, ref);
    room_init(&room, SIZE_MAX);
    assert_true(tsdb_series_size(entry, &size));
    CLEANUP(guard_fini) struct guard exact = guard_new(bytes_of(entry.at, size));
    assert_done(tsdb_series_parse(&series, exact.bytes, INT64_MIN, INT64_MAX,
                                  &room.arena, &err),
                &err);
    const struct json *chunks = json_get(expected, "C");
    check_labels(b, &series, json_get(expected, "L"));
    assert_int_equal(series.chunk_count, json_array_len(chunks));
    for (size_t i = 0; i < series.chunk_count; i++)
        check_chunk(b, &series.chunks[i], json_array_at(chunks, i));
}

static void
every_series_and_chunk_is_read(void **state)
{
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
        CLEANUP(block_close) struct block b;
        block_open(&b, folders[f]);
        read_symbols(&b);
        read_postings_table(&b, keep_all_series, &b);
        assert_int_equal(b.all.count, b.expected_count);
        for (size_t i = 0; i < b.all.count; i++)
            check_series(&b, b.all.at[i], b.expected[i]);
    }
}

struct row_check {
    struct block *block;
    size_t rows;
};

static bool
has_label(const struct json *series, struct bytes name, struct bytes value)
{
    const struct json *labels = json_get(series, "L");
    for (size_t i = 0; i < json_array_len(labels); i++) {
        const struct json *pair = json_array_at(labels, i);
        if (bytes_eq(name, bytes_of_str(text_at(pair, 0))) &&
            bytes_eq(value, bytes_of_str(text_at(pair, 1))))
            return true;
    }
    return false;
}

static bool
check_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct row_check *check = arg;
    const struct block *b = check->block;
    struct tsdb_postings list;
    tsdb_ref ref;
    assert_in_range(row->offset, b->toc.postings, tsdb_index_postings_end(&b->toc));
    assert_done(tsdb_postings_parse(&list, index_at(b, row->offset), err), err);
    for (size_t i = 0; i < b->all.count; i++) {
        if (row->name.len > 0 && !has_label(b->expected[i], row->name, row->value))
            continue;
        assert_true(tsdb_postings_next(&list, 0, &ref));
        assert_int_equal(ref, b->all.at[i]);
    }
    assert_false(tsdb_postings_next(&list, 0, &ref));
    check->rows++;
    return true;
}

static void
every_postings_list_is_read(void **state)
{
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
        CLEANUP(block_close) struct block b;
        block_open(&b, folders[f]);
        read_postings_table(&b, keep_all_series, &b);
        struct row_check check = {.block = &b};
        read_postings_table(&b, check_row, &check);
        assert_true(check.rows > b.expected_count);
    }
}

static void
every_meta_is_read(void **state)
{
    (void)state;
    static const struct tsdb_label external[] = {{BYTES("cluster"), BYTES("eu1")},
                                                 {BYTES("replica"), BYTES("a")}};
    for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
        CLEANUP(block_close) struct block b;
        CLEANUP(tsdb_meta_fini) struct tsdb_meta m = {0};
        struct err err;
        block_open(&b, folders[f]);
        assert_done(tsdb_meta_parse(&m, buf_bytes(&b.meta_text), &err), &err);
        assert_int_equal(m.num_series, b.expected_count);
        assert_int_equal(m.level, 1);
        assert_int_equal(tsdb_labels_cmp(m.external, (struct tsdb_labels){external, 2}),
                         0);
        assert_int_equal(m.resolution_ms, 0);
    }
}

/* A symbol table or postings table that lost its end or had a bit turned. */
struct broken_table {
    void (*begin)(struct tsdb_index_table *t);
};

static bool
ignore_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
              struct err *err)
{
    (void)arg, (void)ordinal, (void)position, (void)symbol, (void)err;
    return true;
}

static bool
ignore_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    (void)arg, (void)row, (void)err;
    return true;
}

static void
begin_symbols(struct tsdb_index_table *t)
{
    tsdb_index_symbols_begin(t, ignore_symbol, NULL, NULL);
}

static void
begin_postings(struct tsdb_index_table *t)
{
    tsdb_index_postings_begin(t, ignore_row, NULL, NULL);
}

static void
expect_corrupt_table(void *arg, struct bytes section)
{
    const struct broken_table *table = arg;
    struct err err;
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table t;
    table->begin(&t);
    assert_failed(tsdb_index_table_feed(&t, section, &err) &&
                      tsdb_index_table_end(&t, &err),
                  &err, ERR_CORRUPT);
}

/* A whole section with "BE32 length" in front and a CRC behind. */
static struct bytes
section_at(const struct block *b, uint64_t offset)
{
    struct bytes section = index_at(b, offset);
    section.len = 4 + (size_t)be32_load(section.at) + 4;
    return section;
}

static void
broken_tables_are_refused(void **state)
{
    (void)state;
    CLEANUP(block_close) struct block b;
    block_open(&b, folders[0]);
    const struct {
        struct broken_table table;
        uint64_t offset;
    } cases[] = {{{begin_symbols}, b.toc.symbols},
                 {{begin_postings}, b.toc.postings_table}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct broken_table table = cases[i].table;
        struct bytes section = section_at(&b, cases[i].offset);
        for_each_truncation(section, expect_corrupt_table, &table);
        for_each_bit_flip(section, expect_corrupt_table, &table);
    }
}

static void
expect_corrupt_toc(void *arg, struct bytes tail)
{
    const struct block *b = arg;
    struct tsdb_index_toc toc;
    struct err err;
    assert_failed(tsdb_index_toc_parse(&toc, tail, b->index.len, &err), &err,
                  ERR_CORRUPT);
}

static void
expect_corrupt_series(void *arg, struct bytes entry)
{
    (void)arg;
    CLEANUP(room_fini) struct room room;
    struct tsdb_series series;
    struct err err;
    room_init(&room, SIZE_MAX);
    assert_failed(
        tsdb_series_parse(&series, entry, INT64_MIN, INT64_MAX, &room.arena, &err),
        &err, ERR_CORRUPT);
}

static void
expect_corrupt_postings(void *arg, struct bytes section)
{
    (void)arg;
    struct tsdb_postings list;
    struct err err;
    assert_failed(tsdb_postings_parse(&list, section, &err), &err, ERR_CORRUPT);
}

static void
expect_corrupt_chunk(void *arg, struct bytes record)
{
    (void)arg;
    struct tsdb_chunk chunk;
    struct err err;
    assert_failed(tsdb_chunk_parse(&chunk, record, &err), &err, ERR_CORRUPT);
}

static void
break_in_every_way(struct bytes bytes, guard_fn *fn, void *arg)
{
    for_each_truncation(bytes, fn, arg);
    for_each_bit_flip(bytes, fn, arg);
}

/* The first chunk of some series: the others are alike. */
static void
broken_entries_and_chunks_are_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
        CLEANUP(block_close) struct block b;
        block_open(&b, folders[f]);
        break_in_every_way(tail_of(&b), expect_corrupt_toc, &b);
        read_postings_table(&b, keep_all_series, &b);
        for (size_t i = f; i < b.all.count; i += BREAK_EACH) {
            CLEANUP(room_fini) struct room room;
            struct tsdb_series series;
            struct err err;
            uint64_t size;
            room_init(&room, SIZE_MAX);
            struct bytes entry = entry_of(&b, b.all.at[i]);
            assert_done(tsdb_series_parse(&series, entry, INT64_MIN, INT64_MAX,
                                          &room.arena, &err),
                        &err);
            assert_true(tsdb_series_size(entry, &size));
            break_in_every_way(bytes_of(entry.at, size), expect_corrupt_series, NULL);
            struct bytes record = record_of(&b, &series.chunks[0]);
            assert_true(tsdb_chunk_size(record, &size));
            break_in_every_way(bytes_of(record.at, size), expect_corrupt_chunk, NULL);
        }
    }
}

static bool
break_list(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    (void)err;
    break_in_every_way(section_at(arg, row->offset), expect_corrupt_postings, NULL);
    return true;
}

static void
broken_postings_are_refused(void **state)
{
    (void)state;
    CLEANUP(block_close) struct block b;
    block_open(&b, folders[0]);
    read_postings_table(&b, break_list, &b);
}

/* XOR data has no checksum of its own: broken data is read as the slow decoder does. */
static void
expect_as_reference(void *arg, struct bytes data)
{
    static struct tsdb_sample reference[XOR_REFERENCE_MAX];
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    struct err err;
    size_t count, seen = 0;
    bool end = false;
    (void)arg;
    bool expected = xor_reference_decode(data, reference, &count);
    bool ok = tsdb_xor_reader_init(&reader, data, &err);
    while (ok && (ok = tsdb_xor_next(&reader, &sample, &end, &err)) && !end) {
        assert_memory_equal(&sample, &reference[seen], sizeof sample);
        seen++;
    }
    assert_int_equal(ok, expected);
    if (ok)
        assert_int_equal(seen, count);
    else
        assert_int_equal(err.code, ERR_CORRUPT);
}

static void
broken_xor_data_is_read_as_the_reference_does(void **state)
{
    (void)state;
    CLEANUP(block_close) struct block b;
    block_open(&b, "xor");
    for (size_t i = 0; i < b.expected_count; i += BREAK_EACH) {
        const struct json *chunk = json_array_at(json_get(b.expected[i], "C"), 0);
        CLEANUP(buf_fini) struct buf data = {0};
        if (number_of(chunk, "Enc") != TSDB_CHUNK_XOR)
            continue;
        hex_of(chunk, "Hex", &data);
        break_in_every_way(buf_bytes(&data), expect_as_reference, NULL);
    }
}

static void
expect_meta_or_error(void *arg, struct bytes text)
{
    (void)arg;
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m = {0};
    struct err err;
    if (!tsdb_meta_parse(&m, text, &err))
        assert_int_equal(err.code, ERR_INVALID);
}

static void
broken_metas_do_no_harm(void **state)
{
    (void)state;
    CLEANUP(block_close) struct block b;
    block_open(&b, folders[0]);
    break_in_every_way(buf_bytes(&b.meta_text), expect_meta_or_error, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_series_and_chunk_is_read),
        cmocka_unit_test(every_postings_list_is_read),
        cmocka_unit_test(every_meta_is_read),
        cmocka_unit_test(broken_tables_are_refused),
        cmocka_unit_test(broken_entries_and_chunks_are_refused),
        cmocka_unit_test(broken_postings_are_refused),
        cmocka_unit_test(broken_xor_data_is_read_as_the_reference_does),
        cmocka_unit_test(broken_metas_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
