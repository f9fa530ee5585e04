/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people and for programs: aligned columns, tab- or comma-separated lines, or
 * a JSON array of objects. */
#ifndef COMMON_TOOLS_TABLE_H
#define COMMON_TOOLS_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

enum tools_output { TOOLS_TABLE, TOOLS_JSON, TOOLS_TSV, TOOLS_CSV };

enum tools_column_kind {
    TOOLS_TEXT,
    TOOLS_LABELS, /* a set of labels; an object in JSON */
    TOOLS_NUMBER,
    TOOLS_SIZE,    /* bytes; with a unit in the table only */
    TOOLS_TIME,    /* milliseconds since the epoch; RFC 3339 */
    TOOLS_DURATION /* milliseconds; with units but in JSON */
};

struct tools_column {
    const char *title; /* "#SERIES", in the table and the lines */
    const char *key;   /* "series", in JSON */
    enum tools_column_kind kind;
};

struct tsdb_label;

struct tools_cell {
    bool is_empty;
    struct bytes text;
    const struct tsdb_label *labels;
    size_t label_count;
    int64_t number; /* of the kinds that are numbers */
};

/* A table; rows are arrays of a cell for each column. Cells borrow what they show. */
struct tools_table {
    const struct tools_column *columns;
    size_t column_count;
    const struct tools_cell **rows;
    size_t row_count;
};

/* Number of the column with this title.
 * Errors ERR_INVALID: there is none; the text lists them. */
NODISCARD bool tools_table_column(const struct tools_table *t, const char *title,
                                  size_t *column, struct err *err);

/* Order the rows by these columns, the first one first; what is equal in all keeps its
 * order. Empty cells come first. */
void tools_table_sort(struct tools_table *t, const size_t *columns, size_t count);

/* Append a text that comes from the bucket, for a terminal: control characters, which
 * could rewrite what is on it, become "?". */
void tools_table_put_plain(struct bytes text, struct buf *out);

void tools_table_print(const struct tools_table *t, enum tools_output output, FILE *to);

#endif
