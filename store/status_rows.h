/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of the bucket as people look at them: those that are not served first, the
 * rest from the newest down; found by words, and cut into pages. */
#ifndef STORE_STATUS_ROWS_H
#define STORE_STATUS_ROWS_H

#include "store/block_headers.h"
#include "store/block_report.h"

enum { STORE_STATUS_LIMIT = 100, STORE_STATUS_MOST = 1000 };

/* Which of them: those that have each of the words, divided by blanks, somewhere in
 * "<ULID> <state> level=1 resolution=5m <label>=<value> ...". */
struct store_status_query {
    struct bytes words; /* borrowed */
    uint64_t offset;    /* of those that have them */
    uint64_t limit;     /* at most STORE_STATUS_MOST */
};

/* One block. All is borrowed from the rows. */
struct store_status_row {
    struct tsdb_ulid id;
    bool is_served;
    enum store_block_state state;
    struct store_block *block; /* NULL: its meta was never read */
    int64_t marked_ms;         /* INT64_MAX: not marked, or served in spite of it */
    const struct err *failure; /* NULL: none */
};

/* The zero value is empty. Release with fini. */
struct store_status_rows {
    struct store_block_report *report; /* referenced, as is the set; either may be */
    struct store_block_set *set;       /* NULL */
    uint64_t total;                    /* blocks of the bucket */
    uint64_t matched;                  /* of these, those with the words */
    size_t count;
    struct store_status_row *at; /* the page */
};

/* Fill *rows, which has report and set and is zero otherwise. O(blocks); no lock. */
void store_status_rows_select(struct store_status_rows *rows,
                              const struct store_status_query *query);

void store_status_rows_fini(struct store_status_rows *rows);

/* The name of a state, as metrics have it, and what it means: why such a block is not
 * served; "" if it is. Constants. */
const char *store_status_state_name(enum store_block_state state);
const char *store_status_state_reason(enum store_block_state state);

/* "ready", "building", "failed", "none". A constant. */
const char *store_status_header_name(enum store_header_state state);

/* "raw", "5m"; else the number of milliseconds, in text. */
enum { STORE_STATUS_RESOLUTION_SIZE = 24 };
const char *store_status_resolution(int64_t ms,
                                    char text[STORE_STATUS_RESOLUTION_SIZE]);

/* Bytes of the index and the chunks of a block. */
uint64_t store_status_size(const struct store_block *b);

#endif
