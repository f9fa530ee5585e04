/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/tools/blocks.h"
#include "common/tools/commands.h"
#include "common/tools/selector.h"

enum {
    ULID,
    FROM,
    UNTIL,
    RANGE,
    UNTIL_DOWN,
    SERIES,
    SAMPLES,
    CHUNKS,
    SIZE,
    LEVEL,
    LABELS,
    RESOLUTION,
    SOURCE,
    STATE,
    COLUMN_COUNT
};

static const struct tools_column columns[COLUMN_COUNT] = {
    [ULID] = {"ULID", "ulid", TOOLS_TEXT},
    [FROM] = {"FROM", "from", TOOLS_TIME},
    [UNTIL] = {"UNTIL", "until", TOOLS_TIME},
    [RANGE] = {"RANGE", "range_ms", TOOLS_DURATION},
    [UNTIL_DOWN] = {"UNTIL-DOWN", "until_downsampling_ms", TOOLS_DURATION},
    [SERIES] = {"#SERIES", "series", TOOLS_NUMBER},
    [SAMPLES] = {"#SAMPLES", "samples", TOOLS_NUMBER},
    [CHUNKS] = {"#CHUNKS", "chunks", TOOLS_NUMBER},
    [SIZE] = {"SIZE", "size_bytes", TOOLS_SIZE},
    [LEVEL] = {"COMP-LEVEL", "compaction_level", TOOLS_NUMBER},
    [LABELS] = {"LABELS", "labels", TOOLS_LABELS},
    [RESOLUTION] = {"RESOLUTION", "resolution_ms", TOOLS_DURATION},
    [SOURCE] = {"SOURCE", "source", TOOLS_TEXT},
    [STATE] = {"STATE", "state", TOOLS_TEXT},
};

/* A compactor of Thanos downsamples raw blocks from this range on, and blocks of five
 * minutes from the second. */
static const int64_t FIVE_MINUTES_MS = 5 * 60 * 1000;
static const int64_t RAW_RANGE_MS = INT64_C(40) * 60 * 60 * 1000;
static const int64_t FIVE_MINUTES_RANGE_MS = INT64_C(10) * 24 * 60 * 60 * 1000;

/* Both ends come from the file: their difference may not fit. */
static struct tools_cell
difference(int64_t a, int64_t b)
{
    struct tools_cell cell = {0};
    cell.is_empty = __builtin_sub_overflow(a, b, &cell.number);
    return cell;
}

static struct tools_cell
until_downsampled(const struct tools_meta *m, struct tools_cell range)
{
    if (range.is_empty || m->resolution_ms > FIVE_MINUTES_MS)
        return (struct tools_cell){.is_empty = true};
    return difference(m->resolution_ms == 0 ? RAW_RANGE_MS : FIVE_MINUTES_RANGE_MS,
                      range.number);
}

static void
fill_from_meta(struct tools_cell *row, const struct tools_meta *m)
{
    row[FROM].number = m->mint_ms;
    row[UNTIL].number = m->maxt_ms;
    row[RANGE] = difference(m->maxt_ms, m->mint_ms);
    row[UNTIL_DOWN] = until_downsampled(m, row[RANGE]);
    row[SERIES].number = m->num_series;
    row[SAMPLES].number = m->num_samples;
    row[CHUNKS].number = m->num_chunks;
    row[LEVEL].number = m->level;
    row[LABELS].labels = m->external.at;
    row[LABELS].label_count = m->external.len;
    row[RESOLUTION].number = m->resolution_ms;
    row[SOURCE].text = m->source;
}

static const struct tools_cell *
row_of(const struct tools_block *b, struct arena *arena)
{
    struct tools_cell *row = arena_calloc(arena, COLUMN_COUNT, sizeof *row);
    if (row == NULL)
        return NULL;
    if (b->meta != NULL)
        fill_from_meta(row, b->meta);
    else
        for (size_t i = 0; i < COLUMN_COUNT; i++)
            row[i].is_empty = true;
    row[ULID] = (struct tools_cell){.text = bytes_of_str(b->name.text)};
    row[SIZE] = (struct tools_cell){.number = (int64_t)b->size};
    row[STATE] = (struct tools_cell){.text = tools_block_state(b)};
    return row;
}

static bool
is_selected(const struct tools_context *c, const struct tools_selector *selector,
            const struct tools_block *b)
{
    if (c->options->exclude_delete && b->is_marked_for_deletion)
        return false;
    if (b->meta == NULL)
        return selector->count == 0;
    return tools_selector_matches(selector, b->meta->external);
}

/* As many columns as there are: more could only repeat some. */
struct order {
    size_t columns[COLUMN_COUNT];
    size_t count;
};

static bool
parse_order(struct order *order, const struct app_flag_list *by, struct err *err)
{
    const struct tools_table table = {.columns = columns, .column_count = COLUMN_COUNT};
    *order = (struct order){.columns = {FROM, UNTIL}, .count = 2};
    if (by->count > COLUMN_COUNT)
        return err_set(err, ERR_INVALID, "--sort-by: more than all %d columns",
                       COLUMN_COUNT);
    for (size_t i = 0; i < by->count; i++) {
        if (!tools_table_column(&table, by->at[i], &order->columns[i], err))
            return err_wrap(err, "--sort-by");
        order->count = i + 1;
    }
    return true;
}

/* What a command was asked for, parsed. */
struct inspection {
    const struct tools_context *context;
    struct tools_selector selector;
    struct order order;
};

static void
inspection_fini(struct inspection *i)
{
    tools_selector_fini(&i->selector);
}

static bool
print(const struct inspection *in, const struct tools_blocks *blocks,
      struct arena *arena, struct err *err)
{
    const struct tools_context *c = in->context;
    struct tools_table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .rows = arena_calloc(arena, blocks->count, sizeof *table.rows)};
    if (table.rows == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < blocks->count; i++)
        if (is_selected(c, &in->selector, &blocks->at[i]))
            table.rows[table.row_count++] = row_of(&blocks->at[i], arena);
    if (!arena_ok(arena, err))
        return false;
    tools_table_sort(&table, in->order.columns, in->order.count);
    tools_table_print(&table, c->options->output_format, c->out);
    return true;
}

/* What was printed is not all that there is. */
static bool
check_problems(const struct tools_blocks *blocks, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < blocks->count; i++)
        count += blocks->at[i].problem.len > 0;
    return count == 0 ||
           err_set(err, ERR_UNAVAILABLE, "%zu of %zu blocks could not be inspected",
                   count, blocks->count);
}

bool
tools_inspect(const struct tools_context *c, struct err *err)
{
    CLEANUP(arena_fini) struct arena arena = {0};
    CLEANUP(inspection_fini) struct inspection in = {.context = c};
    struct tools_blocks blocks = {0};
    struct objstore_call call = {.deadline_ns = clock_deadline(c->options->timeout_ns)};
    arena_init(&arena, c->budget);
    return parse_order(&in.order, &c->options->sort_by, err) &&
           tools_selector_parse(&in.selector, &c->options->selectors, err) &&
           tools_blocks_list(&blocks, c->bucket, &call, (struct bytes){0}, &arena,
                             err) &&
           tools_blocks_read_metas(&blocks, c->bucket, &call, &arena, err) &&
           print(&in, &blocks, &arena, err) && check_problems(&blocks, err);
}
