/* SPDX-License-Identifier: Apache-2.0 */
#include "store/status_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/resolution.h"

const char *
store_status_state_name(enum store_block_state state)
{
    static const char *const names[] = {
#define X(name, label) [name] = label,
        STORE_BLOCK_STATES(X)
#undef X
    };
    return names[state];
}

const char *
store_status_state_reason(enum store_block_state state)
{
    switch (state) {
    case STORE_BLOCK_SERVED:
    case STORE_BLOCK_STATE_COUNT:
        break;
    case STORE_BLOCK_NO_META:
        return "its meta.json is not in the bucket: its upload has not ended, or was "
               "given up";
    case STORE_BLOCK_BAD_META:
        return "its meta.json cannot be read";
    case STORE_BLOCK_FAILED:
        return "it cannot be read";
    case STORE_BLOCK_DOWNSAMPLED:
        return "it is downsampled more coarsely than --store.max-resolution";
    case STORE_BLOCK_OUTSIDE:
        return "it is outside of --min-time and --max-time";
    case STORE_BLOCK_UNSELECTED:
        return "--selector.relabel-config does not keep it";
    case STORE_BLOCK_FRESH:
        return "it is younger than --consistency-delay";
    case STORE_BLOCK_MARKED:
        return "it was marked for deletion longer ago than "
               "--ignore-deletion-marks-delay";
    case STORE_BLOCK_DUPLICATE:
        return "another block has all of its sources";
    }
    return "";
}

const char *
store_status_header_name(enum store_header_state state)
{
    static const char *const names[] = {
        [STORE_HEADER_READY] = "ready",
        [STORE_HEADER_BUILDING] = "building",
        [STORE_HEADER_FAILED] = "failed",
        [STORE_HEADER_NONE] = "none",
    };
    return names[state];
}

const char *
store_status_resolution(int64_t ms, char text[STORE_STATUS_RESOLUTION_SIZE])
{
    static const char *const names[] = {
#define X(name, width_ms, people) people,
        STORE_RESOLUTIONS(X)
#undef X
    };
    enum store_resolution resolution;
    if (store_resolution_find(ms, &resolution))
        return names[resolution];
    snprintf(text, STORE_STATUS_RESOLUTION_SIZE, "%" PRId64, ms);
    return text;
}

uint64_t
store_status_size(const struct store_block *b)
{
    uint64_t size = b->index_size;
    for (size_t i = 0; i < b->segment_count; i++)
        if (!num_add(size, b->segments[i].size, &size))
            return UINT64_MAX;
    return size;
}

static uint64_t
count_of(const struct store_status_rows *rows)
{
    return (rows->report != NULL ? rows->report->count : 0) +
           (rows->set != NULL ? rows->set->count : 0);
}

/* Of all blocks in their order. */
static struct store_status_row
row_at(const struct store_status_rows *rows, uint64_t i)
{
    size_t unserved = rows->report != NULL ? rows->report->count : 0;
    if (i < unserved) {
        const struct store_unserved *u = &rows->report->blocks[unserved - 1 - i];
        return (struct store_status_row){.id = u->id,
                                         .state = u->state,
                                         .block = u->block,
                                         .marked_ms = u->marked_ms,
                                         .failure = u->failure};
    }
    struct store_block *b = rows->set->blocks[rows->set->count - 1 - (i - unserved)];
    return (struct store_status_row){.id = b->id,
                                     .is_served = true,
                                     .state = STORE_BLOCK_SERVED,
                                     .block = b,
                                     .marked_ms = INT64_MAX};
}

static void
describe(const struct store_status_row *row, struct buf *out)
{
    char resolution[STORE_STATUS_RESOLUTION_SIZE];
    buf_clear(out);
    buf_printf(out, "%s %s", tsdb_ulid_print(&row->id).text,
               store_status_state_name(row->state));
    if (row->block == NULL)
        return;
    const struct store_block_meta *m = &row->block->meta;
    buf_printf(out, " level=%" PRIu32 " resolution=%s", m->level,
               store_status_resolution(m->resolution_ms, resolution));
    for (size_t i = 0; i < m->external.len; i++) {
        buf_put_u8(out, ' ');
        buf_put(out, m->external.at[i].name);
        buf_put_u8(out, '=');
        buf_put(out, m->external.at[i].value);
    }
}

static bool
has_words(struct bytes text, struct bytes words)
{
    while (words.len > 0) {
        const uint8_t *blank = memchr(words.at, ' ', words.len);
        size_t len = blank != NULL ? (size_t)(blank - words.at) : words.len;
        if (len > 0 && memmem(text.at, text.len, words.at, len) == NULL)
            return false;
        bytes_skip(&words, len + (blank != NULL));
    }
    return true;
}

void
store_status_rows_select(struct store_status_rows *rows,
                         const struct store_status_query *query)
{
    CLEANUP(buf_fini) struct buf text = {0};
    rows->total = count_of(rows);
    rows->at =
        xcalloc((size_t)NUM_MIN(query->limit, rows->total) + 1, sizeof *rows->at);
    for (uint64_t i = 0; i < rows->total; i++) {
        struct store_status_row row = row_at(rows, i);
        if (query->words.len > 0) {
            describe(&row, &text);
            if (!has_words(buf_bytes(&text), query->words))
                continue;
        }
        if (rows->matched >= query->offset && rows->count < query->limit)
            rows->at[rows->count++] = row;
        rows->matched++;
    }
}

void
store_status_rows_fini(struct store_status_rows *rows)
{
    free(rows->at);
    store_block_report_unref(&rows->report);
    store_block_set_unref(&rows->set);
    *rows = (struct store_status_rows){0};
}
