/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/index.h"
#include "tests/unit/common/tsdb/fixture.h"

static void
checks_magic_and_version(void **state)
{
    (void)state;
    static const struct {
        struct bytes header;
        enum err_code code;
        int version;
    } cases[] = {
        {BYTES("\xba\xaa\xd7\x00\x01"), ERR_NONE, 1},
        {BYTES("\xba\xaa\xd7\x00\x02"), ERR_NONE, 2},
        {BYTES("\xba\xaa\xd7\x00\x03"), ERR_NONE, 3},
        {BYTES("\xba\xaa\xd7\x00\x04"), ERR_UNSUPPORTED, 0},
        {BYTES("\xba\xaa\xd7\x00\x00"), ERR_CORRUPT, 0},
        {BYTES("\xba\xaa\xd7\x01\x02"), ERR_CORRUPT, 0},
        {BYTES("\xba\xaa\xd7\x00"), ERR_CORRUPT, 0},
        {BYTES(""), ERR_CORRUPT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        int version = 0;
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].header);
        assert_int_equal(tsdb_index_header_parse(g.bytes, &version, &err),
                         cases[i].code == ERR_NONE);
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(version, cases[i].version);
    }
}

enum { FILE_SIZE = 1000, TOC_AT = FILE_SIZE - TSDB_INDEX_TOC_SIZE };

/* symbols, series, label indices, label index table, postings, postings table */
typedef uint64_t toc_fields[6];

static void
put_toc(struct buf *b, const toc_fields fields)
{
    size_t from = b->len;
    for (size_t i = 0; i < 6; i++)
        buf_put_be64(b, fields[i]);
    put_crc_from(b, from);
}

static void
finds_the_sections(void **state)
{
    (void)state;
    static const struct {
        toc_fields fields;
        uint64_t series_end, postings_end;
    } cases[] = {
        {{5, 100, 300, 500, 400, 600}, 300, 500}, /* with obsolete sections */
        {{5, 100, 300, 600, 304, 600}, 300, 600}, /* as written today */
        {{5, 100, 0, 0, 400, 600}, 400, 600},     /* they may be absent */
        {{5, 17, 17, 17, 17, 17}, 17, 17},        /* nothing in there */
        {{5, 100, 300, 936, 400, TOC_AT - 12}, 300, 936},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf tail = {0};
        struct tsdb_index_toc toc;
        struct err err;
        put_toc(&tail, cases[i].fields);
        assert_done(tsdb_index_toc_parse(&toc, buf_bytes(&tail), FILE_SIZE, &err),
                    &err);
        assert_int_equal(toc.symbols, cases[i].fields[0]);
        assert_int_equal(toc.series, cases[i].fields[1]);
        assert_int_equal(toc.label_indices, cases[i].fields[2]);
        assert_int_equal(toc.label_index_table, cases[i].fields[3]);
        assert_int_equal(toc.postings, cases[i].fields[4]);
        assert_int_equal(toc.postings_table, cases[i].fields[5]);
        assert_int_equal(tsdb_index_series_end(&toc), cases[i].series_end);
        assert_int_equal(tsdb_index_postings_end(&toc), cases[i].postings_end);
    }
}

static void
refuses_sections_in_impossible_places(void **state)
{
    (void)state;
    static const toc_fields cases[] = {
        {4, 100, 300, 500, 400, 600},         /* inside the header */
        {5, 16, 300, 500, 400, 600},          /* no room for symbols */
        {5, 100, 99, 500, 400, 600},          /* label indices before series */
        {5, 100, 401, 500, 400, 600},         /* ... and behind postings */
        {5, 100, 300, 399, 400, 600},         /* label table before postings */
        {5, 100, 300, 601, 400, 600},         /* ... and behind their table */
        {5, 100, 300, 500, 99, 600},          /* postings before series */
        {5, 100, 300, 500, 601, 600},         /* ... and behind their table */
        {5, 100, 300, 500, 400, TOC_AT - 11}, /* table into the TOC */
        {5, 100, 300, 500, 400, TOC_AT + 1},
        {5, 100, 300, 500, 400, UINT64_MAX},
        {UINT64_MAX, 100, 300, 500, 400, 600},
        {5, UINT64_MAX, 0, 0, UINT64_MAX, UINT64_MAX},
        {UINT64_MAX - 4, 10, 0, 0, 400, 600},
        {0, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf tail = {0};
        struct tsdb_index_toc toc;
        struct err err;
        put_toc(&tail, cases[i]);
        assert_failed(tsdb_index_toc_parse(&toc, buf_bytes(&tail), FILE_SIZE, &err),
                      &err, ERR_CORRUPT);
    }
}

static void
expect_corrupt_toc(void *arg, struct bytes tail)
{
    (void)arg;
    struct tsdb_index_toc toc;
    struct err err;
    assert_failed(tsdb_index_toc_parse(&toc, tail, FILE_SIZE, &err), &err, ERR_CORRUPT);
}

static void
refuses_truncated_and_flipped_tocs(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf tail = {0};
    struct tsdb_index_toc toc;
    struct err err;
    put_toc(&tail, (toc_fields){5, 100, 300, 500, 400, 600});
    for_each_truncation(buf_bytes(&tail), expect_corrupt_toc, NULL);
    for_each_bit_flip(buf_bytes(&tail), expect_corrupt_toc, NULL);
    assert_failed(tsdb_index_toc_parse(&toc, buf_bytes(&tail), 51, &err), &err,
                  ERR_CORRUPT);
}

/* What the callbacks were given, one line an entry. */
struct record {
    struct buf lines;
    int stop_at; /* entry whose callback fails; -1 for none */
};

static bool
end_line(struct record *r, struct err *err)
{
    buf_put_u8(&r->lines, '\n');
    if (r->stop_at-- == 0)
        return err_set(err, ERR_CANCELLED, "stopped");
    return true;
}

static bool
record_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
              struct err *err)
{
    struct record *r = arg;
    buf_printf(&r->lines, "%u@%u ", ordinal, position);
    buf_put(&r->lines, symbol);
    return end_line(r, err);
}

static bool
record_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct record *r = arg;
    buf_put(&r->lines, row->name);
    buf_put_u8(&r->lines, '=');
    buf_put(&r->lines, row->value);
    buf_printf(&r->lines, " %llu", (unsigned long long)row->offset);
    return end_line(r, err);
}

struct table {
    struct tsdb_index_table reader;
    struct record record;
    struct err err;
};

static void
table_begin(struct table *t, enum tsdb_index_table_kind kind, struct budget *budget)
{
    *t = (struct table){.record.stop_at = -1};
    if (kind == TSDB_TABLE_SYMBOLS)
        tsdb_index_symbols_begin(&t->reader, record_symbol, &t->record, budget);
    else
        tsdb_index_postings_begin(&t->reader, record_row, &t->record, budget);
}

static void
table_fini(struct table *t)
{
    tsdb_index_table_fini(&t->reader);
    buf_fini(&t->record.lines);
}

/* Feed section in pieces of len bytes, each flush against an unreadable page. */
static bool
feed(struct table *t, struct bytes section, size_t len)
{
    while (section.len > 0) {
        size_t piece_len = len < section.len ? len : section.len;
        CLEANUP(guard_fini) struct guard g = guard_new(bytes_of(section.at, piece_len));
        if (!tsdb_index_table_feed(&t->reader, g.bytes, &t->err))
            return false;
        bytes_skip(&section, piece_len);
    }
    return tsdb_index_table_end(&t->reader, &t->err);
}

struct sample_table {
    enum tsdb_index_table_kind kind;
    struct bytes payload;
    const char *lines;
};

static const struct sample_table tables[] = {
    {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\0"), ""},
    {TSDB_TABLE_SYMBOLS,
     BYTES("\0\0\0\x06\x00\x08__name__\x01"
           "a\x03job\x02up\x03\xc3\xa9\n"),
     "0@4 \n1@5 __name__\n2@14 a\n3@16 job\n4@20 up\n5@23 \xc3\xa9\n\n"},
    {TSDB_TABLE_POSTINGS, BYTES("\0\0\0\0"), ""},
    {TSDB_TABLE_POSTINGS,
     BYTES("\0\0\0\x03\x02\x00\x00\xec\x01\x02\x08__name__\x02up\x88\x02\x02\x03job\x01"
           "a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     "= 236\n__name__=up 264\njob=a 18446744073709551615\n"},
};

static void
reads_tables_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        CLEANUP(buf_fini) struct buf section = {0};
        put_section(&section, tables[i].payload);
        buf_put_str(&section, "padding and the next section");
        for (size_t len = 1; len <= section.len; len++) {
            CLEANUP(table_fini) struct table t;
            table_begin(&t, tables[i].kind, NULL);
            assert_done(feed(&t, buf_bytes(&section), len), &t.err);
            assert_string_equal(buf_text(&t.record.lines), tables[i].lines);
        }
    }
}

static void
reads_entries_longer_than_a_piece(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    CLEANUP(buf_fini) struct buf payload = {0};
    CLEANUP(buf_fini) struct buf section = {0};
    buf_put_be32(&payload, 4);
    buf_put(&payload, BYTES("\x01"
                            "a"));
    for (char c = 'b'; c <= 'c'; c++) {
        varint_put_u64(&payload, LONG);
        for (int i = 0; i < LONG; i++)
            buf_put_u8(&payload, (uint8_t)c);
    }
    buf_put(&payload, BYTES("\x01"
                            "d"));
    put_section(&section, buf_bytes(&payload));
    static const size_t pieces[] = {100, 4096, 65536, 150000, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        CLEANUP(table_fini) struct table t;
        table_begin(&t, TSDB_TABLE_SYMBOLS, NULL);
        assert_done(feed(&t, buf_bytes(&section), pieces[i]), &t.err);
        assert_int_equal(t.record.lines.len,
                         2 * LONG + strlen("0@4 a\n1@6 \n2@100009 \n3@200012 d\n"));
    }
}

static void
an_entry_that_is_carried_draws_on_the_budget(void **state)
{
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    budget_init(&budget, "test", 4096, NULL);
    CLEANUP(buf_fini) struct buf section = {0};
    buf_put_be32(&section, 1000000);
    buf_put_be32(&section, 1);
    varint_put_u64(&section, 900000);
    for (int i = 0; i < 10000; i++)
        buf_put_u8(&section, 'x');
    CLEANUP(table_fini) struct table t;
    table_begin(&t, TSDB_TABLE_SYMBOLS, &budget);
    assert_failed(feed(&t, buf_bytes(&section), 1000), &t.err, ERR_BUDGET);
}

static void
an_entry_without_end_is_given_up(void **state)
{
    (void)state;
    static uint8_t filler[1 << 20];
    CLEANUP(buf_fini) struct buf head = {0};
    buf_put_be32(&head, UINT32_MAX);
    buf_put_be32(&head, 1);
    varint_put_u64(&head, UINT32_MAX - 100);
    CLEANUP(table_fini) struct table t;
    table_begin(&t, TSDB_TABLE_SYMBOLS, NULL);
    bool ok = tsdb_index_table_feed(&t.reader, buf_bytes(&head), &t.err);
    for (int i = 0; i < 64 && ok; i++)
        ok = tsdb_index_table_feed(&t.reader, bytes_of(filler, sizeof filler), &t.err);
    assert_failed(ok, &t.err, ERR_CORRUPT);
}

static void
rejects_broken_tables(void **state)
{
    (void)state;
    static const struct {
        enum tsdb_index_table_kind kind;
        struct bytes payload;
        const char *reason;
    } cases[] = {
        {TSDB_TABLE_SYMBOLS, BYTES(""), "length of 0 bytes"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0"), "length of 3 bytes"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\1"), "0 entries instead of 1"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\0\1a"), "behind the last entry"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\1\1a\0"), "behind the last entry"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\1\2a"), "longer than the table"},
        {TSDB_TABLE_SYMBOLS,
         BYTES("\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         "longer than the table"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\2\1b\1a"), "out of order"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\2\1a\1a"), "out of order"},
        {TSDB_TABLE_SYMBOLS, BYTES("\0\0\0\2\0\0"), "out of order"},
        {TSDB_TABLE_POSTINGS, BYTES("\0\0\0\1\1\1a\1b\1"), "1 keys"},
        {TSDB_TABLE_POSTINGS, BYTES("\0\0\0\1\2\1a\1b"), "longer than the table"},
        {TSDB_TABLE_POSTINGS, BYTES("\0\0\0\2\2\1a\1b\1"), "1 entries instead of 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf section = {0};
        put_section(&section, cases[i].payload);
        for (size_t len = 1; len <= section.len; len++) {
            CLEANUP(table_fini) struct table t;
            table_begin(&t, cases[i].kind, NULL);
            assert_failed(feed(&t, buf_bytes(&section), len), &t.err, ERR_CORRUPT);
            if (strstr(t.err.text, cases[i].reason) == NULL)
                fail_msg("\"%s\" does not say %s", t.err.text, cases[i].reason);
        }
    }
}

static void
expect_corrupt_table(void *arg, struct bytes section)
{
    const struct sample_table *table = arg;
    static const size_t pieces[] = {1, 7, SIZE_MAX};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        CLEANUP(table_fini) struct table t;
        table_begin(&t, table->kind, NULL);
        assert_failed(feed(&t, section, pieces[i]), &t.err, ERR_CORRUPT);
    }
}

static void
rejects_truncations_and_bit_flips(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        struct sample_table table = tables[i];
        CLEANUP(buf_fini) struct buf section = {0};
        put_section(&section, table.payload);
        for_each_truncation(buf_bytes(&section), expect_corrupt_table, &table);
        for_each_bit_flip(buf_bytes(&section), expect_corrupt_table, &table);
    }
}

static void
a_callback_can_stop(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf section = {0};
    put_section(&section, tables[1].payload);
    CLEANUP(table_fini) struct table t;
    table_begin(&t, TSDB_TABLE_SYMBOLS, NULL);
    t.record.stop_at = 1;
    assert_failed(feed(&t, buf_bytes(&section), SIZE_MAX), &t.err, ERR_CANCELLED);
    assert_string_equal(buf_text(&t.record.lines), "0@4 \n1@5 __name__\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_magic_and_version),
        cmocka_unit_test(finds_the_sections),
        cmocka_unit_test(refuses_sections_in_impossible_places),
        cmocka_unit_test(refuses_truncated_and_flipped_tocs),
        cmocka_unit_test(reads_tables_in_pieces_of_any_size),
        cmocka_unit_test(reads_entries_longer_than_a_piece),
        cmocka_unit_test(an_entry_that_is_carried_draws_on_the_budget),
        cmocka_unit_test(an_entry_without_end_is_given_up),
        cmocka_unit_test(rejects_broken_tables),
        cmocka_unit_test(rejects_truncations_and_bit_flips),
        cmocka_unit_test(a_callback_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
