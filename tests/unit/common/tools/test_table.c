/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/tools/table.h"
#include "common/tsdb/labels.h"
#include "tests/support/expect.h"

enum { NAME, COUNT, BYTES_HELD, WHEN, HOW_LONG, LABELS, COLUMN_COUNT };

static const struct tools_column columns[COLUMN_COUNT] = {
    [NAME] = {"NAME", "name", TOOLS_TEXT},
    [COUNT] = {"#N", "n", TOOLS_NUMBER},
    [BYTES_HELD] = {"SIZE", "size", TOOLS_SIZE},
    [WHEN] = {"WHEN", "when", TOOLS_TIME},
    [HOW_LONG] = {"LONG", "long", TOOLS_DURATION},
    [LABELS] = {"LABELS", "labels", TOOLS_LABELS},
};

static const struct tsdb_label label = {BYTES("a"), BYTES("x,\"y\"")};

static const struct tools_cell b_row[COLUMN_COUNT] = {
    [NAME] = {.text = BYTES("b\tb")}, [COUNT] = {.number = 12},
    [BYTES_HELD] = {.number = 1536},  [WHEN] = {.number = 1600000000000},
    [HOW_LONG] = {.number = 7200000}, [LABELS] = {.labels = &label, .label_count = 1},
};
static const struct tools_cell a_row[COLUMN_COUNT] = {
    [NAME] = {.text = BYTES("\xc3\xa4")}, [COUNT] = {.number = -7},
    [BYTES_HELD] = {.number = 1023},      [WHEN] = {.number = -1000},
    [HOW_LONG] = {.number = -61250},      [LABELS] = {.is_empty = true},
};
static const struct tools_cell empty_row[COLUMN_COUNT] = {
    [NAME] = {.text = BYTES("c")},     [COUNT] = {.is_empty = true},
    [BYTES_HELD] = {.is_empty = true}, [WHEN] = {.number = INT64_MAX},
    [HOW_LONG] = {.is_empty = true},   [LABELS] = {.is_empty = true},
};

static void
assert_prints(struct tools_table *table, enum tools_output output, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    tools_table_print(table, output, to);
    fclose(to);
    assert_string_equal(text, want);
    free(text);
}

#define TABLE(rows_)                                                       \
    {                                                                      \
        .columns = columns, .column_count = COLUMN_COUNT, .rows = (rows_), \
        .row_count = ARRAY_LEN(rows_)                                      \
    }

static void
prints_for_people_and_programs(void **state)
{
    const struct tools_cell *rows[] = {b_row, a_row, empty_row};
    struct tools_table table = TABLE(rows);
    (void)state;
    assert_prints(&table, TOOLS_TSV,
                  "NAME\t#N\tSIZE\tWHEN\tLONG\tLABELS\n"
                  "b b\t12\t1536\t2020-09-13T12:26:40Z\t2h0m0s\t{a=\"x,\\\"y\\\"\"}\n"
                  "\xc3\xa4\t-7\t1023\t1969-12-31T23:59:59Z\t-1m1.250s\t\n"
                  "c\t\t\t9223372036854775807\t\t\n");
    assert_prints(&table, TOOLS_CSV,
                  "NAME,#N,SIZE,WHEN,LONG,LABELS\n"
                  "b\tb,12,1536,2020-09-13T12:26:40Z,2h0m0s,"
                  "\"{a=\"\"x,\\\"\"y\\\"\"\"\"}\"\n"
                  "\xc3\xa4,-7,1023,1969-12-31T23:59:59Z,-1m1.250s,\n"
                  "c,,,9223372036854775807,,\n");
    assert_prints(&table, TOOLS_JSON,
                  "[\n"
                  "{\"name\":\"b\\tb\",\"n\":12,\"size\":1536,"
                  "\"when\":\"2020-09-13T12:26:40Z\",\"long\":7200000,"
                  "\"labels\":{\"a\":\"x,\\\"y\\\"\"}},\n"
                  "{\"name\":\"\xc3\xa4\",\"n\":-7,\"size\":1023,"
                  "\"when\":\"1969-12-31T23:59:59Z\",\"long\":-61250},\n"
                  "{\"name\":\"c\",\"when\":\"9223372036854775807\"}\n"
                  "]\n");
    table.row_count = 0;
    assert_prints(&table, TOOLS_JSON, "[\n]\n");
}

static void
aligns_columns(void **state)
{
    struct tools_cell nasty[COLUMN_COUNT];
    memcpy(nasty, empty_row, sizeof nasty);
    nasty[NAME].text = BYTES("\x1b[2J");
    const struct tools_cell *rows[] = {a_row, empty_row, nasty};
    struct tools_table table = TABLE(rows);
    (void)state;
    assert_prints(&table, TOOLS_TABLE,
                  "NAME  #N   SIZE  WHEN                  LONG       LABELS\n"
                  "\xc3\xa4     -7  1023B  1969-12-31T23:59:59Z  -1m1.250s  -\n"
                  "c      -      -  9223372036854775807   -          -\n"
                  "?[2J   -      -  9223372036854775807   -          -\n");
}

static void
sorts_by_several_columns(void **state)
{
    struct tools_cell same[COLUMN_COUNT];
    memcpy(same, a_row, sizeof same);
    same[NAME].text = BYTES("first");
    const struct tools_cell *rows[] = {b_row, a_row, empty_row, same};
    struct tools_table table = TABLE(rows);
    (void)state;
    tools_table_sort(&table, (const size_t[]){COUNT, NAME}, 2);
    assert_ptr_equal(rows[0], empty_row);
    assert_ptr_equal(rows[1], same);
    assert_ptr_equal(rows[2], a_row);
    assert_ptr_equal(rows[3], b_row);
    tools_table_sort(&table, (const size_t[]){BYTES_HELD}, 1);
    assert_ptr_equal(rows[1], same); /* what is equal keeps its order */
    tools_table_sort(&table, (const size_t[]){LABELS, WHEN}, 2);
    assert_ptr_equal(rows[3], b_row);
    assert_ptr_equal(rows[2], empty_row);
}

static void
finds_columns_by_title(void **state)
{
    struct tools_table table = {.columns = columns, .column_count = COLUMN_COUNT};
    struct err err;
    size_t column;
    (void)state;
    expect_ok(tools_table_column(&table, "SIZE", &column, &err), err);
    assert_int_equal(column, BYTES_HELD);
    expect_fails(tools_table_column(&table, "size", &column, &err), err, ERR_INVALID);
    assert_string_equal(
        err.text, "\"size\" is no column; there are NAME #N SIZE WHEN LONG LABELS");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_for_people_and_programs),
        cmocka_unit_test(aligns_columns),
        cmocka_unit_test(sorts_by_several_columns),
        cmocka_unit_test(finds_columns_by_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
