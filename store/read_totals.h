/* SPDX-License-Identifier: Apache-2.0 */
/* What one read cost: counted while it runs, told at its end in the log, the metrics,
 * and the answer. The zero value is a read that has not begun. */
#ifndef STORE_READ_TOTALS_H
#define STORE_READ_TOTALS_H

#include "common/base/buf.h"

/* What is fetched of a block. */
enum store_data {
    STORE_DATA_POSTINGS,
    STORE_DATA_SERIES,
    STORE_DATA_CHUNKS,
    STORE_DATA_KINDS
};

struct store_data_totals {
    uint64_t touched; /* lists, entries or chunks that were needed */
    uint64_t touched_bytes;
    uint64_t fetched;       /* those of them that the cache had not */
    uint64_t fetched_bytes; /* of requests, gaps between what is needed included */
    uint64_t requests;      /* to the bucket */
    uint64_t cached_reads;  /* that the cache answered */
    uint64_t cached_bytes;
    uint64_t shared_reads; /* that other queries made at the same time */
    uint64_t shared_bytes;
    uint64_t refetched; /* that were longer than was guessed, and read again */
    int64_t wait_ns;
};

struct store_read_totals {
    uint64_t blocks; /* that were looked into */
    uint64_t series; /* in the answer */
    uint64_t chunks; /* of these series, whether they are sent or only decoded */
    uint64_t chunk_bytes;
    struct store_data_totals data[STORE_DATA_KINDS];
    /* Stages, in which a read is one at a time; what is left of the whole is work. */
    int64_t gate_ns;  /* waiting for a slot */
    int64_t send_ns;  /* from a piece being ready until the next one is asked for */
    int64_t first_ns; /* from the request until the first piece was ready; 0: never */
    int64_t total_ns;
};

/* All kinds of data together. */
struct store_data_totals
store_data_totals_sum(const struct store_data_totals data[STORE_DATA_KINDS]);

/* The part of the time in which neither a slot, the bucket nor the reader was waited
 * for. Never negative. */
int64_t store_read_totals_work_ns(const struct store_read_totals *totals);

/* The figures by name; times in microseconds. */
struct store_figure {
    const char *name;
    int64_t value;
};
enum { STORE_FIGURE_COUNT = 22 };
void store_read_totals_figures(const struct store_read_totals *totals,
                               struct store_figure figures[STORE_FIGURE_COUNT]);

/* Append them as a list "name=value, name=value": a dictionary of RFC 8941. */
void store_read_totals_print(const struct store_read_totals *totals, struct buf *out);

#endif
