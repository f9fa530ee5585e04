/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/tools/blocks.h"
#include "common/tools/commands.h"

enum { ULID, CREATED, OBJECTS, SIZE, STATE, COLUMN_COUNT };

static const struct tools_column columns[COLUMN_COUNT] = {
    [ULID] = {"ULID", "ulid", TOOLS_TEXT},
    [CREATED] = {"CREATED", "created", TOOLS_TIME},
    [OBJECTS] = {"#OBJECTS", "objects", TOOLS_NUMBER},
    [SIZE] = {"SIZE", "size_bytes", TOOLS_SIZE},
    [STATE] = {"STATE", "state", TOOLS_TEXT},
};

static const struct tools_cell *
row_of(const struct tools_block *b, struct arena *arena)
{
    struct tools_cell *row = arena_calloc(arena, COLUMN_COUNT, sizeof *row);
    if (row == NULL)
        return NULL;
    row[ULID].text = bytes_of_str(b->name.text);
    row[CREATED].number = tsdb_ulid_time_ms(&b->id);
    row[OBJECTS].number = (int64_t)b->object_count;
    row[SIZE].number = (int64_t)b->size;
    row[STATE].text = tools_block_state(b);
    return row;
}

bool
tools_ls(const struct tools_context *c, struct err *err)
{
    CLEANUP(arena_fini) struct arena arena = {0};
    struct tools_blocks blocks = {0};
    struct objstore_call call = {.deadline_ns = clock_deadline(c->options->timeout_ns)};
    arena_init(&arena, c->budget);
    if (!tools_blocks_list(&blocks, c->bucket, &call, (struct bytes){0}, &arena, err))
        return false;
    struct tools_table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .rows = arena_calloc(&arena, blocks.count, sizeof *table.rows)};
    if (table.rows == NULL)
        return arena_ok(&arena, err);
    for (size_t i = 0; i < blocks.count; i++)
        if (!c->options->exclude_delete || !blocks.at[i].is_marked_for_deletion)
            table.rows[table.row_count++] = row_of(&blocks.at[i], &arena);
    if (!arena_ok(&arena, err))
        return false;
    tools_table_print(&table, c->options->output_format, c->out);
    return true;
}
