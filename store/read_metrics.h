/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the read path, under the names that dashboards of Thanos ask for. */
#ifndef STORE_READ_METRICS_H
#define STORE_READ_METRICS_H

#include "common/metrics/registry.h"
#include "store/read_totals.h"

struct store_gate;

/* What is observed of each kind of data that a query reads. */
enum store_read_amount {
    STORE_READ_TOUCHED,
    STORE_READ_FETCHED,
    STORE_READ_TOUCHED_BYTES,
    STORE_READ_FETCHED_BYTES,
    STORE_READ_AMOUNTS
};

struct store_read_data_metrics {
    struct metrics_histogram *amounts[STORE_READ_AMOUNTS];
    struct metrics_histogram *wait;
    struct metrics_histogram *wait_sum; /* the same; NULL: Thanos has no such name */
    struct metrics_value *asked;        /* of the cache, and what it had */
    struct metrics_value *had;
    struct metrics_value *refetched; /* NULL: lengths of postings are known */
};

struct store_read_metrics {
    /* private */
    struct store_gate *gate;
    struct metrics_value *gate_in_flight;
    struct metrics_value *gate_total;
    struct metrics_histogram *gate_wait;
    struct metrics_histogram *gate_wait_mixin; /* the name that the mixin asks for */
    struct metrics_family *dropped;
    struct metrics_histogram *duration;
    struct metrics_histogram *merge;
    struct metrics_histogram *send;
    struct metrics_histogram *work;
    struct metrics_histogram *blocks;
    struct metrics_histogram *series;
    struct metrics_histogram *sent_chunks;
    struct metrics_histogram *postings_bytes;
    struct metrics_histogram *requests;
    struct store_read_data_metrics data[STORE_DATA_KINDS];
    struct metrics_value *fetched_bytes;
    struct metrics_value *fetches;
    struct metrics_value *shared;
    struct metrics_value *superseded;
};

/* gate and registry outlive *m; slots is the size of the gate. */
void store_read_metrics_init(struct store_read_metrics *m, struct metrics_registry *r,
                             struct store_gate *gate, unsigned slots);

void store_read_metrics_waited(struct store_read_metrics *m, double seconds);

/* A request was dropped: by a limit, or because no slot of the gate became free. */
void store_read_metrics_dropped(struct store_read_metrics *m, const char *reason);
#define STORE_READ_DROPPED_LIMIT "limit"
#define STORE_READ_DROPPED_GATE "gate"

/* How many requests were dropped for a reason. */
double store_read_metrics_dropped_count(struct store_read_metrics *m,
                                        const char *reason);

/* How many reads were left to queries that were making them. */
double store_read_metrics_shared_count(struct store_read_metrics *m);

/* A series was sent, with this many bytes of chunks. */
void store_read_metrics_sent(struct store_read_metrics *m, uint64_t chunk_bytes);

/* A request begins again over newer blocks. */
void store_read_metrics_superseded(struct store_read_metrics *m);

/* A request has ended, well or not. */
void store_read_metrics_done(struct store_read_metrics *m,
                             const struct store_read_totals *totals);

#endif
