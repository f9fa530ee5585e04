/* SPDX-License-Identifier: Apache-2.0 */
/* One read request on its way through: shared by the files of the read endpoint. */
#ifndef STORE_API_READ_PRIV_H
#define STORE_API_READ_PRIV_H

#include "common/wire/remote_read.h"
#include "store/api_read.h"
#include "store/estimate.h"
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
    atomic_bool is_worth_trimming; /* large queries have ended */
};

struct store_read_request {
    struct store_api_read *api;
    struct net_http_exchange *exchange;
    int64_t started_ns;
    struct budget budget;
    struct arena arena; /* the decoded request */
    struct wire_read_request wire;
    enum tsdb_chunk_encoding newest_encoding; /* that the reader knows */
    struct store_block_set *blocks;
    struct store_estimate estimate;
    int64_t queue_until_ns;
    bool is_admitted; /* holds a slot of the gate */
    bool is_begun;    /* has what it needs to begin */
    enum store_lane lane;
    struct budget_member member; /* waits for memory */
    struct store_fetch_source source;
    struct store_limits limits;
    size_t lookahead_bytes; /* that were given when a query was opened; 0: none yet */
    /* The query that is being answered: wire.queries[at]. */
    size_t at;
    bool is_open;
    bool is_repeat; /* the queries run once more: nothing is counted again */
    struct store_matcher_set matchers;
    struct store_query query;
    struct store_read_samples *samples; /* NULL: the answer is not sampled */
    struct buf out; /* a piece of the answer: frames, or of the snappy block */
    size_t sent;    /* bytes of out that went to the reader */
    bool ended;     /* all of the answer is, or was, in out */
    /* What is told of the request (read_figures.c). */
    const char *op; /* how the log calls it */
    bool wants_figures;
    bool owes_trailer;
    bool is_sending; /* the last piece, since handed_ns */
    int64_t handed_ns;
    enum err_code failure;           /* ERR_NONE: none */
    struct buf selectors;            /* for the log */
    struct store_read_totals totals; /* blocks: of the queries that are closed; data and
                                      * total_ns: at the end */
};

/* What any front door does with a request: give it budget, deadline and limits; take
 * the served blocks; estimate each of its queries; wait for a slot of the gate; part
 * from it, when all memory was given back; release all; log and count what did not
 * succeed, or only count it, naming in err the query that asked for too much. r stays
 * where it is. */
void store_read_request_init(struct store_read_request *r, struct store_api_read *api,
                             struct net_http_exchange *x);
NODISCARD bool store_read_take_blocks(struct store_read_request *r, struct err *err);
void store_read_part(struct store_read_request *r);
NODISCARD bool store_read_admit(struct store_read_request *r, struct err *err);
void store_read_request_fini(struct store_read_request *r);
void store_read_failed(struct store_read_request *r, struct err *err);
void store_read_count_failure(struct store_read_request *r, struct err *err);
void store_read_add_skipped(struct store_read_request *r);

/* r failed with err before anything was sent: whether to begin it again, because a
 * block that it wanted was compacted and deleted, and the set that is served now has
 * what became of it. Then that is logged and counted. */
NODISCARD bool store_read_is_superseded(struct store_read_request *r,
                                        const struct err *err);

/* r fails with err: if that is because a block has vanished, say so in err, which is
 * transient then, and ask the sync for a look. */
void store_read_note_vanished(struct store_read_request *r, struct err *err);

/* Bytes that a query of r that is opened now may read ahead. Others share what there is
 * with it as they come and go: see store_read_share. */
size_t store_read_lookahead(struct store_read_request *r);

/* For store_fetch_source.share; arg is the request. */
double store_read_share(void *arg);

/* The figures of a request: begin, after its budget, and end, before its source goes,
 * which logs them and yields the totals; between them what they are made of. */
void store_read_figures_begin(struct store_read_request *r);
struct store_read_totals store_read_end_figures(struct store_read_request *r);
void store_read_note_selector(struct store_read_request *r,
                              const struct store_matcher_set *set);
void store_read_count_series(struct store_read_request *r,
                             const struct store_series *series);

/* The first piece is there, the reply follows: as a header go the figures of an answer
 * that has ended, others get a trailer. */
void store_read_begin_answer(struct store_read_request *r);

/* Around the making of each piece of a stream, but a failed one. The last piece is the
 * empty one. */
void store_read_begin_piece(struct store_read_request *r);
void store_read_end_piece(struct store_read_request *r, bool is_last);

/* Add the figures as a header, when they were asked for. */
void store_read_add_figures(struct store_read_request *r);

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
NODISCARD bool store_read_wants_labels_only(const struct store_read_request *r,
                                            const struct wire_query *q);

/* Which blocks will answer a query. The choice lives in the arena of the request. */
NODISCARD bool store_read_choose(struct store_read_request *r,
                                 const struct wire_query *q,
                                 struct store_block_choice *choice, struct err *err);

/* Fill r->out with frames: some, or none at the end (r->ended). */
NODISCARD bool store_read_stream_fill(struct store_read_request *r, struct err *err);

/* Count what the sampled answer holds, then fill r->out with its beginning, or with all
 * of it if it is small (r->ended). Errors of the request are found when it is counted.
 */
NODISCARD bool store_read_samples_begin(struct store_read_request *r, struct err *err);

/* Fill r->out with more of it, until r->ended. */
NODISCARD bool store_read_samples_fill(struct store_read_request *r, struct err *err);

#endif
