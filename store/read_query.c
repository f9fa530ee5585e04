/* SPDX-License-Identifier: Apache-2.0 */
/* One query of a read request: its matchers made and charged, the engine opened and
 * closed. */
#include "store/api_read_priv.h"

static bool
make_matchers(struct store_read_request *r, const struct wire_query *q, struct err *err)
{
    if (!store_matcher_set_init(&r->matchers, q->matcher_count, &r->arena, &r->budget,
                                err))
        return false;
    for (size_t i = 0; i < q->matcher_count; i++) {
        const struct wire_matcher *m = &q->matchers[i];
        if (!store_matcher_set_add(&r->matchers, m->type, m->name, m->value, err))
            return false;
    }
    if (!r->is_repeat)
        store_read_note_selector(r, &r->matchers);
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
store_read_wants_labels_only(const struct store_read_request *r,
                             const struct wire_query *q)
{
    return r->wire.response == WIRE_SAMPLES && bytes_eq(q->hints.func, BYTES("series"));
}

/* All but its matchers and what it reads with. */
static struct store_query_options
options_of(const struct store_read_request *r, const struct wire_query *q)
{
    struct store_query_options o = {
        .blocks = r->blocks,
        .hints = {q->hints.step_ms, q->hints.range_ms, q->hints.func},
        .dropped = *r->api->options.replica_labels,
        .labels_only = store_read_wants_labels_only(r, q),
    };
    store_read_range(q, &o.mint_ms, &o.maxt_ms);
    return o;
}

bool
store_read_choose(struct store_read_request *r, const struct wire_query *q,
                  struct store_block_choice *choice, struct err *err)
{
    const struct store_query_options options = options_of(r, q);
    return store_query_choose(choice, &options, &r->arena, err);
}

bool
store_read_open(struct store_read_request *r, struct err *err)
{
    const struct wire_query *q = &r->wire.queries[r->at];
    struct store_query_options options = options_of(r, q);
    options.source = &r->source;
    options.limits = &r->limits;
    options.budget = &r->budget;
    options.lookahead_bytes = store_read_lookahead(r);
    r->query = (struct store_query){0};
    r->is_open = true;
    if (!make_matchers(r, q, err))
        return false;
    options.matchers = (const struct tsdb_matcher *const *)r->matchers.at;
    options.matcher_count = r->matchers.count;
    return store_query_open(&r->query, &options, err);
}

void
store_read_close(struct store_read_request *r)
{
    if (!r->is_open)
        return;
    store_query_fini(&r->query);
    if (!r->is_repeat)
        r->totals.blocks += r->query.blocks_queried;
    store_matcher_set_fini(&r->matchers);
    r->is_open = false;
    r->at++;
}

void
store_read_repeat(struct store_read_request *r)
{
    r->at = 0;
    r->is_repeat = true;
    r->limits = (struct store_limits){0};
    r->source.damage.is_repeat = true;
}
