/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/utf8.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/tsdb/labels.h"

enum { MS_PER_S = 1000, SECONDS_RFC3339 = 19 };

bool
tools_table_column(const struct tools_table *t, const char *title, size_t *column,
                   struct err *err)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (strcmp(title, t->columns[i].title) == 0) {
            *column = i;
            return true;
        }
    }
    CLEANUP(buf_fini) struct buf known = {0};
    for (size_t i = 0; i < t->column_count; i++)
        buf_printf(&known, " %s", t->columns[i].title);
    return err_set(err, ERR_INVALID, "\"%s\" is no column; there are%s", title,
                   buf_text(&known));
}

static bool
is_number(enum tools_column_kind kind)
{
    return kind != TOOLS_TEXT && kind != TOOLS_LABELS;
}

static int
compare_cells(const struct tools_cell *a, const struct tools_cell *b,
              enum tools_column_kind kind)
{
    if (a->is_empty || b->is_empty)
        return b->is_empty - a->is_empty;
    if (is_number(kind))
        return (a->number > b->number) - (a->number < b->number);
    if (kind == TOOLS_LABELS)
        return tsdb_labels_cmp((struct tsdb_labels){a->labels, a->label_count},
                               (struct tsdb_labels){b->labels, b->label_count});
    return bytes_cmp(a->text, b->text);
}

struct order {
    const struct tools_table *table;
    const size_t *columns;
    size_t count;
};

/* A row and where it stood. */
struct placed {
    const struct tools_cell *cells;
    size_t at;
};

static int
compare_rows(const void *a, const void *b, void *arg)
{
    const struct placed *x = a, *y = b;
    const struct order *order = arg;
    for (size_t i = 0; i < order->count; i++) {
        size_t column = order->columns[i];
        int result = compare_cells(&x->cells[column], &y->cells[column],
                                   order->table->columns[column].kind);
        if (result != 0)
            return result;
    }
    return (x->at > y->at) - (x->at < y->at);
}

void
tools_table_sort(struct tools_table *t, const size_t *columns, size_t count)
{
    struct order order = {t, columns, count};
    CLEANUP(xfree) struct placed *placed = xcalloc(t->row_count + 1, sizeof *placed);
    for (size_t i = 0; i < t->row_count; i++)
        placed[i] = (struct placed){t->rows[i], i};
    qsort_r(placed, t->row_count, sizeof *placed, compare_rows, &order);
    for (size_t i = 0; i < t->row_count; i++)
        t->rows[i] = placed[i].cells;
}

/* "1.4GiB"; below 1 KiB bytes. */
static void
put_size(int64_t size, struct buf *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, unit == 0 ? "%.0f%s" : "%.1f%s", value, units[unit]);
}

static void
put_time(int64_t ms, struct buf *out)
{
    char text[CLOCK_RFC3339_SIZE];
    int64_t ns;
    if (!num_mul(ms, CLOCK_NS_PER_MS, &ns)) {
        buf_printf(out, "%" PRId64, ms); /* of no calendar */
        return;
    }
    clock_rfc3339(ns, text);
    buf_printf(out, "%.*sZ", SECONDS_RFC3339, text);
}

/* "41h30m0s", as Go writes it. */
static void
put_duration(int64_t ms, struct buf *out)
{
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    uint64_t s = left / MS_PER_S, fraction = left % MS_PER_S;
    buf_put_str(out, ms < 0 ? "-" : "");
    if (s >= 3600)
        buf_printf(out, "%" PRIu64 "h", s / 3600);
    if (s >= 60)
        buf_printf(out, "%" PRIu64 "m", s / 60 % 60);
    buf_printf(out, "%" PRIu64, s % 60);
    if (fraction != 0)
        buf_printf(out, ".%03" PRIu64, fraction);
    buf_put_str(out, "s");
}

void
tools_table_put_plain(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        buf_put_u8(out, c < 0x20 || c == 0x7f ? '?' : c);
    }
}

/* Append the text of a cell; what is_machine asks for needs no eye. */
static void
put_cell(const struct tools_cell *cell, enum tools_column_kind kind, bool is_machine,
         struct buf *out)
{
    if (cell->is_empty) {
        buf_put_str(out, is_machine ? "" : "-");
        return;
    }
    switch (kind) {
    case TOOLS_TEXT:
        if (is_machine)
            buf_put(out, cell->text);
        else
            tools_table_put_plain(cell->text, out);
        break;
    case TOOLS_LABELS:
        tsdb_labels_print((struct tsdb_labels){cell->labels, cell->label_count}, out);
        break;
    case TOOLS_NUMBER:
        buf_printf(out, "%" PRId64, cell->number);
        break;
    case TOOLS_SIZE:
        if (is_machine)
            buf_printf(out, "%" PRId64, cell->number);
        else
            put_size(cell->number, out);
        break;
    case TOOLS_TIME:
        put_time(cell->number, out);
        break;
    case TOOLS_DURATION:
        put_duration(cell->number, out);
        break;
    }
}

/* Columns on a terminal that a text takes; each character counts as one. */
static size_t
width_of(struct bytes text)
{
    size_t width = 0;
    for (; text.len > 0; width++)
        bytes_skip(&text, NUM_MAX(utf8_len(text), (size_t)1));
    return width;
}

static void
print_padded(struct bytes text, size_t width, bool is_right, FILE *to)
{
    int pad = (int)(width - NUM_MIN(width, width_of(text)));
    fprintf(to, "%*s%.*s%*s", is_right ? pad : 0, "", BYTES_FMT(text),
            is_right ? 0 : pad, "");
}

static void
print_aligned_row(const struct tools_table *t, const struct buf *texts,
                  const size_t *widths, FILE *to)
{
    for (size_t i = 0; i < t->column_count; i++) {
        enum tools_column_kind kind = t->columns[i].kind;
        bool is_right = kind == TOOLS_NUMBER || kind == TOOLS_SIZE;
        bool is_last = i + 1 == t->column_count;
        print_padded(buf_bytes(&texts[i]), is_last && !is_right ? 0 : widths[i],
                     is_right, to);
        fputs(is_last ? "\n" : "  ", to);
    }
}

/* The texts of a row, or with NULL the titles. */
static void
fill_texts(const struct tools_table *t, const struct tools_cell *row, struct buf *texts)
{
    for (size_t i = 0; i < t->column_count; i++) {
        buf_clear(&texts[i]);
        if (row == NULL)
            buf_put_str(&texts[i], t->columns[i].title);
        else
            put_cell(&row[i], t->columns[i].kind, false, &texts[i]);
    }
}

static void
print_aligned(const struct tools_table *t, FILE *to)
{
    CLEANUP(xfree) struct buf *texts = xcalloc(t->column_count, sizeof *texts);
    CLEANUP(xfree) size_t *widths = xcalloc(t->column_count, sizeof *widths);
    for (size_t i = 0; i <= t->row_count; i++) {
        fill_texts(t, i == 0 ? NULL : t->rows[i - 1], texts);
        for (size_t k = 0; k < t->column_count; k++)
            widths[k] = NUM_MAX(widths[k], width_of(buf_bytes(&texts[k])));
    }
    for (size_t i = 0; i <= t->row_count; i++) {
        fill_texts(t, i == 0 ? NULL : t->rows[i - 1], texts);
        print_aligned_row(t, texts, widths, to);
    }
    for (size_t i = 0; i < t->column_count; i++)
        buf_fini(&texts[i]);
}

/* A field of a comma-separated line is quoted where it must be; tabs and ends of lines
 * cannot be part of a tab-separated one and become blanks. */
static void
print_field(struct bytes text, enum tools_output output, FILE *to)
{
    bool is_csv = output == TOOLS_CSV, is_quoted = false;
    for (size_t i = 0; i < text.len; i++)
        is_quoted |= is_csv && strchr(",\"\n\r", text.at[i]) != NULL;
    if (is_quoted)
        fputc('"', to);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (is_quoted && c == '"')
            fputc('"', to);
        fputc(!is_csv && (c == '\t' || c == '\n' || c == '\r') ? ' ' : c, to);
    }
    if (is_quoted)
        fputc('"', to);
}

static void
print_lines(const struct tools_table *t, enum tools_output output, FILE *to)
{
    char separator = output == TOOLS_CSV ? ',' : '\t';
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t k = 0; k < t->column_count; k++)
        fprintf(to, "%s%c", t->columns[k].title,
                k + 1 < t->column_count ? separator : '\n');
    for (size_t i = 0; i < t->row_count; i++) {
        for (size_t k = 0; k < t->column_count; k++) {
            buf_clear(&text);
            put_cell(&t->rows[i][k], t->columns[k].kind, true, &text);
            print_field(buf_bytes(&text), output, to);
            fputc(k + 1 < t->column_count ? separator : '\n', to);
        }
    }
}

static struct json *
labels_object(const struct tools_cell *cell)
{
    struct json *object = json_new_object();
    for (size_t i = 0; i < cell->label_count; i++) {
        CLEANUP(buf_fini) struct buf name = {0};
        CLEANUP(buf_fini) struct buf value = {0};
        buf_put(&name, cell->labels[i].name);
        buf_put(&value, cell->labels[i].value);
        json_set_text(object, buf_text(&name), buf_text(&value));
    }
    return object;
}

static void
set_member(struct json *object, const struct tools_column *column,
           const struct tools_cell *cell)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_free) struct json *labels = NULL;
    if (cell->is_empty)
        return;
    switch (column->kind) {
    case TOOLS_NUMBER:
    case TOOLS_SIZE:
    case TOOLS_DURATION:
        json_set_i64(object, column->key, cell->number);
        break;
    case TOOLS_LABELS:
        labels = labels_object(cell);
        json_set(object, column->key, &labels);
        break;
    case TOOLS_TEXT:
    case TOOLS_TIME:
        put_cell(cell, column->kind, true, &text);
        json_set_text(object, column->key, buf_text(&text));
        break;
    }
}

/* An object a line, so that also a large bucket is printed in little memory. */
static void
print_json(const struct tools_table *t, FILE *to)
{
    CLEANUP(buf_fini) struct buf text = {0};
    fputs("[", to);
    for (size_t i = 0; i < t->row_count; i++) {
        CLEANUP(json_free) struct json *object = json_new_object();
        for (size_t k = 0; k < t->column_count; k++)
            set_member(object, &t->columns[k], &t->rows[i][k]);
        buf_clear(&text);
        json_print(object, 0, &text);
        fprintf(to, "%s\n%s", i > 0 ? "," : "", buf_text(&text));
    }
    fputs("\n]\n", to);
}

void
tools_table_print(const struct tools_table *t, enum tools_output output, FILE *to)
{
    switch (output) {
    case TOOLS_TABLE:
        print_aligned(t, to);
        break;
    case TOOLS_JSON:
        print_json(t, to);
        break;
    case TOOLS_TSV:
    case TOOLS_CSV:
        print_lines(t, output, to);
        break;
    }
}
