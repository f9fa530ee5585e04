/* SPDX-License-Identifier: Apache-2.0 */
/* One query of a read request: its matchers made and charged, the engine opened and
 * closed. */
#include "common/codec/regex.h"
#include "store/api_read_priv.h"

/* What a matcher takes beside a regular expression: its words, if it is a set. */
enum { MATCHER_BYTES = 32 * 1024, MATCHER_BYTES_PER_CHAR = 64 };

/* What a matcher may take, charged before it is made. */
static size_t
matcher_charge(const struct wire_matcher *m)
{
    bool regex = m->type == TSDB_MATCH_RE || m->type == TSDB_MATCH_NRE;
    return MATCHER_BYTES + m->name.len + MATCHER_BYTES_PER_CHAR * m->value.len +
           (regex ? REGEX_MAX_BYTES : 0);
}

/* Give back what was charged for an expression that turned out to need no regex. */
static void
settle_charge(struct store_read_request *r, const struct tsdb_matcher *m)
{
    enum tsdb_matcher_type type = tsdb_matcher_type(m);
    enum tsdb_matcher_shape shape = tsdb_matcher_shape(m);
    bool needed = shape == TSDB_SHAPE_ANY || shape == TSDB_SHAPE_PREFIX;
    if (needed || type == TSDB_MATCH_EQ || type == TSDB_MATCH_NEQ)
        return;
    r->matcher_charge -= REGEX_MAX_BYTES;
    budget_give(&r->budget, REGEX_MAX_BYTES);
}

static bool
make_matchers(struct store_read_request *r, const struct wire_query *q, struct err *err)
{
    r->matchers = arena_calloc(&r->arena, q->matcher_count, sizeof *r->matchers);
    if (r->matchers == NULL)
        return arena_ok(&r->arena, err);
    for (size_t i = 0; i < q->matcher_count; i++) {
        const struct wire_matcher *m = &q->matchers[i];
        size_t charge = matcher_charge(m);
        if (!budget_take(&r->budget, charge, err))
            return false;
        r->matcher_charge += charge;
        if (!tsdb_matcher_new(&r->matchers[i], m->type, m->name, m->value, err))
            return false;
        settle_charge(r, r->matchers[i]);
        r->matcher_count++;
    }
    return true;
}

void
store_read_range(const struct wire_query *q, int64_t *mint_ms, int64_t *maxt_ms)
{
    bool hinted = q->hints.present && (q->hints.start_ms != 0 || q->hints.end_ms != 0);
    *mint_ms = hinted ? q->hints.start_ms : q->start_ms;
    *maxt_ms = hinted ? q->hints.end_ms : q->end_ms;
}

bool
store_read_wants_labels_only(const struct store_read_request *r)
{
    return r->wire.response == WIRE_SAMPLES &&
           bytes_eq(r->wire.queries[r->at].hints.func, BYTES("series"));
}

bool
store_read_open(struct store_read_request *r, struct err *err)
{
    const struct wire_query *q = &r->wire.queries[r->at];
    struct store_query_options options = {
        .blocks = r->blocks,
        .labels_only = store_read_wants_labels_only(r),
        .source = &r->source,
        .limits = &r->limits,
        .budget = &r->budget,
        .lookahead_bytes = r->api->options.lookahead_bytes,
    };
    r->query = (struct store_query){0};
    r->is_open = true;
    store_read_range(q, &options.mint_ms, &options.maxt_ms);
    if (!make_matchers(r, q, err))
        return false;
    options.matchers = (const struct tsdb_matcher *const *)r->matchers;
    options.matcher_count = r->matcher_count;
    return store_query_open(&r->query, &options, err);
}

void
store_read_close(struct store_read_request *r)
{
    if (!r->is_open)
        return;
    store_query_fini(&r->query);
    r->blocks_queried += r->query.blocks_queried;
    for (size_t i = 0; i < r->matcher_count; i++)
        tsdb_matcher_free(&r->matchers[i]);
    budget_give(&r->budget, r->matcher_charge);
    r->matcher_count = 0;
    r->matcher_charge = 0;
    r->is_open = false;
    r->at++;
}
