/* SPDX-License-Identifier: Apache-2.0 */
/* One read request on its way through: shared by the files of the read endpoint. */
#ifndef STORE_API_READ_PRIV_H
#define STORE_API_READ_PRIV_H

#include "common/wire/remote_read.h"
#include "store/api_read.h"
#include "store/gate.h"
#include "store/matcher_set.h"
#include "store/query.h"
#include "store/read_metrics.h"
#include "store/read_samples.h"

struct store_api_read {
    struct store_api_read_options options;
    struct store_gate gate;
    struct store_damage_policy damage;
    struct store_read_metrics metrics;
};

struct store_read_request {
    struct store_api_read *api;
    struct net_http_exchange *exchange;
    int64_t started_ns;
    struct budget budget;
    struct arena arena; /* the decoded request */
    struct wire_read_request wire;
    bool admitted; /* holds a slot of the gate */
    struct store_block_set *blocks;
    struct store_fetch_source source;
    struct store_limits limits;
    /* The query that is being answered: wire.queries[at]. */
    size_t at;
    bool is_open;
    bool is_repeat; /* the queries run once more: nothing is counted again */
    struct store_matcher_set matchers;
    struct store_query query;
    uint64_t series;                    /* yielded so far */
    uint64_t blocks_queried;            /* by the queries that are closed */
    struct store_read_samples *samples; /* NULL: the answer is not sampled */
    struct buf out; /* a piece of the answer: frames, or of the snappy block */
    size_t sent;    /* bytes of out that went to the reader */
    bool ended;
};

/* What any front door does with a request: give it budget, deadline and limits; wait
 * for a slot of the gate and take the served blocks; release all; log and count what
 * did not succeed, or only count it. r stays where it is. */
void store_read_request_init(struct store_read_request *r, struct store_api_read *api,
                             struct net_http_exchange *x);
NODISCARD bool store_read_admit(struct store_read_request *r, struct err *err);
void store_read_request_fini(struct store_read_request *r);
void store_read_failed(const struct store_read_request *r, const struct err *err);
void store_read_count_failure(const struct store_read_request *r,
                              const struct err *err);
void store_read_add_skipped(struct store_read_request *r);

/* Open the query at r->at. */
NODISCARD bool store_read_open(struct store_read_request *r, struct err *err);

/* Close it, if one is open, and move to the following one. */
void store_read_close(struct store_read_request *r);

/* Go back to the first query, none being open, to run all once more over the same
 * blocks: against no limit and counted nowhere, because they were already. */
void store_read_repeat(struct store_read_request *r);

/* Range of samples that a query asks for: its hints where it has them. Both ends
 * inclusive. */
void store_read_range(const struct wire_query *q, int64_t *mint_ms, int64_t *maxt_ms);

/* Whether a query asks which series there are, and for no sample. Streamed answers
 * always have chunks: a series without one could not be told there. */
NODISCARD bool store_read_wants_labels_only(const struct store_read_request *r);

/* Fill r->out with frames: some, or none at the end (r->ended). */
NODISCARD bool store_read_stream_fill(struct store_read_request *r, struct err *err);

/* Count what the sampled answer holds, then fill r->out with its beginning, or with all
 * of it if it is small (r->ended). Errors of the request are found when it is counted.
 */
NODISCARD bool store_read_samples_begin(struct store_read_request *r, struct err *err);

/* Fill r->out with more of it, until r->ended. */
NODISCARD bool store_read_samples_fill(struct store_read_request *r, struct err *err);

#endif
