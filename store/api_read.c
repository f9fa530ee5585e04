/* SPDX-License-Identifier: Apache-2.0 */
/* A request is decoded, admitted, and its first part computed before the status line is
 * sent, so that an error up to there is a status and a text. Later errors abort the
 * connection: a reader takes a clean end of the body for a whole answer. */
#include "store/api_read.h"

#include <stdlib.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/codec/compress.h"
#include "store/api_read_priv.h"

enum {
    /* A quarter of what Prometheus takes: it is held while the request waits. */
    MAX_DECODED = STORE_API_READ_MAX_BODY,
    /* Bounds of what one request may ask; Prometheus sends one query. */
    MAX_QUERIES = 100,
    MAX_MATCHERS = 1000, /* of which pairs are compared, for each block */
    WAITING_PER_SLOT = 4
};

struct store_api_read *
store_api_read_new(const struct store_api_read_options *options)
{
    struct store_api_read *api = xcalloc(1, sizeof *api);
    api->options = *options;
    store_gate_init(&api->gate, options->concurrency,
                    options->concurrency * WAITING_PER_SLOT);
    store_damage_policy_init(&api->damage, options->skip_bad_blocks, options->metrics);
    store_read_metrics_init(&api->metrics, options->metrics, &api->gate,
                            options->concurrency);
    return api;
}

void
store_api_read_free(struct store_api_read **out)
{
    struct store_api_read *api = TAKE(*out);
    if (api == NULL)
        return;
    store_gate_fini(&api->gate);
    free(api);
}

struct store_api_load
store_api_read_load(struct store_api_read *r)
{
    struct store_read_metrics *m = &r->metrics;
    return (struct store_api_load){
        .running = store_gate_running(&r->gate),
        .waiting = store_gate_waiting(&r->gate),
        .slots = r->options.concurrency == 0 ? 0 : store_gate_slots(&r->gate),
        .refused =
            (uint64_t)store_read_metrics_dropped_count(m, STORE_READ_DROPPED_GATE),
        .beyond_limit =
            (uint64_t)store_read_metrics_dropped_count(m, STORE_READ_DROPPED_LIMIT),
        .shared_reads = (uint64_t)store_read_metrics_shared_count(m),
    };
}

static bool
is_gone(void *arg)
{
    const struct store_read_request *r = arg;
    return net_http_exchange_gone(r->exchange);
}

void
store_read_request_init(struct store_read_request *r, struct store_api_read *api,
                        struct net_http_exchange *x)
{
    memset(r, 0, sizeof *r); /* larger than a frame may be */
    r->api = api;
    r->exchange = x;
    r->started_ns = clock_mono_ns();
    budget_init(&r->budget, "query (--store.query-memory-limit)",
                api->options.query_memory_limit, api->options.budget);
    arena_init(&r->arena, &r->budget);
    buf_init(&r->out, &r->budget);
    r->op = "read";
    store_read_figures_begin(r);
    r->limits.max_series = api->options.max_series;
    r->limits.max_samples = api->options.max_samples;
    r->limits.max_bytes = api->options.max_bytes;
    r->source.limits = &r->limits;
    r->source.cache = api->options.cache;
    r->source.flights = api->options.flights;
    r->source.disk = api->options.disk;
    r->source.damage.policy = &api->damage;
    r->source.pool = api->options.fetch_pool;
    r->source.bucket = api->options.bucket;
    r->source.deadline_ns = clock_deadline(api->options.query_timeout_ns);
    r->source.is_abandoned = is_gone;
    r->source.abandoned_arg = r;
    r->source.share = store_read_share;
    r->source.share_arg = r;
}

void
store_read_request_fini(struct store_read_request *r)
{
    struct store_api_read *api = r->api;
    store_read_close(r);
    store_read_samples_fini(r->samples);
    const struct store_read_totals totals = store_read_end_figures(r);
    store_block_set_unref(&r->blocks);
    store_fetch_source_fini(&r->source);
    buf_fini(&r->out);
    arena_fini(&r->arena);
    store_read_part(r);
    store_read_metrics_done(&api->metrics, &totals);
}

static void
request_free(void *arg)
{
    struct store_read_request *r = arg;
    store_read_request_fini(r);
    free(r);
}

static bool
check_size(const struct wire_read_request *wire, struct err *err)
{
    size_t matchers = 0;
    if (wire->query_count > MAX_QUERIES)
        return err_set(err, ERR_INVALID,
                       "%zu queries in one request, at most %d allowed",
                       wire->query_count, MAX_QUERIES);
    for (size_t i = 0; i < wire->query_count; i++)
        matchers += wire->queries[i].matcher_count;
    if (matchers > MAX_MATCHERS)
        return err_set(err, ERR_INVALID,
                       "%zu matchers in one request, at most %d allowed", matchers,
                       MAX_MATCHERS);
    return true;
}

static bool
decode_request(struct store_read_request *r, struct err *err)
{
    CLEANUP(buf_fini) struct buf plain;
    buf_init(&plain, &r->budget);
    if (!compress_snappy_decode(net_http_exchange_body(r->exchange), MAX_DECODED,
                                &plain, err))
        return err_wrap(err, "read request");
    /* Texts of the request borrow from the body: keep it as long as they live. */
    struct bytes body = arena_copy(&r->arena, buf_bytes(&plain));
    if (!arena_ok(&r->arena, err))
        return false;
    if (!wire_read_request_parse(&r->wire, body, &r->arena, err))
        return err_wrap(err, "read request");
    return check_size(&r->wire, err);
}

void
store_read_count_failure(struct store_read_request *r, struct err *err)
{
    struct store_read_metrics *metrics = &r->api->metrics;
    store_read_note_vanished(r, err);
    r->failure = err->code;
    if (r->selectors.len > 0 &&
        (err->code == ERR_BUDGET || err_is_transient(err->code)))
        err_wrap(err, "query %.100s", buf_text(&r->selectors));
    if (r->limits.refused != NULL)
        store_read_metrics_dropped(metrics, r->limits.refused);
    else if (err->code == ERR_BUDGET)
        store_read_metrics_dropped(metrics, STORE_READ_DROPPED_LIMIT);
}

void
store_read_failed(struct store_read_request *r, struct err *err)
{
    store_read_count_failure(r, err);
    bool is_theirs = err->code == ERR_INVALID || err->code == ERR_CANCELLED;
    LOG_AT(is_theirs ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "read request failed",
           LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
    store_read_add_figures(r);
}

static bool
is_streamed(const struct store_read_request *r)
{
    return r->wire.response == WIRE_STREAMED_CHUNKS;
}

/* Next piece of the body: what is filled and not sent, then more of it. */
static bool
next_piece(void *arg, struct bytes *piece, struct err *err)
{
    struct store_read_request *r = arg;
    store_read_begin_piece(r);
    if (r->sent == r->out.len && !r->ended) {
        r->sent = 0;
        if (!(is_streamed(r) ? store_read_stream_fill(r, err)
                             : store_read_samples_fill(r, err))) {
            store_read_count_failure(r, err);
            return false;
        }
    }
    *piece = buf_bytes(&r->out);
    bytes_skip(piece, r->sent);
    r->sent = r->out.len;
    store_read_end_piece(r, piece->len == 0);
    return true;
}

void
store_read_add_skipped(struct store_read_request *r)
{
    CLEANUP(buf_fini) struct buf names = {0};
    if (r->source.damage.skipped == 0)
        return;
    store_damage_print(&r->source.damage, &names);
    net_http_exchange_add_header(r->exchange, "Blockhouse-Skipped-Blocks",
                                 buf_text(&names));
}

static void
reply(struct store_read_request *r)
{
    store_read_add_skipped(r);
    store_read_begin_answer(r);
    const struct net_http_stream stream = {next_piece, request_free, r};
    if (is_streamed(r)) {
        net_http_reply_stream(
            r->exchange, 200,
            "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse",
            NET_HTTP_LENGTH_UNKNOWN, stream);
        return;
    }
    net_http_exchange_add_header(r->exchange, "Content-Encoding", "snappy");
    net_http_reply_stream(r->exchange, 200, "application/x-protobuf",
                          r->ended ? r->out.len : NET_HTTP_LENGTH_UNKNOWN, stream);
}

static bool
estimate_query(struct store_read_request *r, const struct wire_query *q,
               struct err *err)
{
    struct store_estimate_query e = {0};
    struct store_block_choice blocks;
    struct arena_mark mark = arena_mark(&r->arena);
    struct tsdb_label *at = arena_calloc(&r->arena, q->matcher_count, sizeof *at);
    if (at == NULL)
        return arena_ok(&r->arena, err);
    for (size_t i = 0; i < q->matcher_count; i++) {
        const struct wire_matcher *m = &q->matchers[i];
        if (m->type == TSDB_MATCH_EQ && m->value.len > 0)
            at[e.demanded.len++] = (struct tsdb_label){m->name, m->value};
        else
            e.alternatives += store_estimate_alternatives(m->value);
    }
    e.demanded.at = at;
    store_read_range(q, &e.range.mint_ms, &e.range.maxt_ms);
    if (!store_read_choose(r, q, &blocks, err))
        return false;
    store_estimate_add(&r->estimate, &blocks, &e);
    arena_rewind(&r->arena, mark);
    return true;
}

static bool
estimate(struct store_read_request *r, struct err *err)
{
    for (size_t i = 0; i < r->wire.query_count; i++)
        if (!estimate_query(r, &r->wire.queries[i], err))
            return false;
    return true;
}

/* Prometheus says snappy; other clients of the protocol may say nothing. */
static bool
check_encoding(const struct net_http_exchange *x, struct err *err)
{
    const char *encoding = net_http_exchange_header(x, "Content-Encoding");
    return encoding == NULL || *encoding == 0 || strcasecmp(encoding, "snappy") == 0 ||
           err_set(err, ERR_INVALID,
                   "Content-Encoding \"%.32s\" of the request: remote read takes "
                   "bodies in snappy only",
                   encoding);
}

static bool
begin(struct store_read_request *r, struct err *err)
{
    if (!check_encoding(r->exchange, err))
        return false;
    r->newest_encoding = store_read_client_newest(
        net_http_exchange_header(r->exchange, "User-Agent"), r->api->options.encodings);
    if (!decode_request(r, err) || !store_read_take_blocks(r, err) ||
        !estimate(r, err) || !store_read_admit(r, err))
        return false;
    return is_streamed(r) ? store_read_stream_fill(r, err)
                          : store_read_samples_begin(r, err);
}

static bool
begin_again(struct store_read_request *r, struct err *err)
{
    struct store_api_read *api = r->api;
    struct net_http_exchange *x = r->exchange;
    store_read_request_fini(r);
    store_read_request_init(r, api, x);
    return begin(r, err);
}

void
store_api_read_handle(void *arg, struct net_http_exchange *x)
{
    struct store_api_read *api = arg;
    struct err err = {0};
    struct store_read_request *r = xcalloc(1, sizeof *r);
    store_read_request_init(r, api, x);
    if (begin(r, &err) || (store_read_is_superseded(r, &err) && begin_again(r, &err))) {
        reply(r);
        return;
    }
    store_read_failed(r, &err);
    request_free(r);
    if (err.code == ERR_DENIED) /* by the bucket, to us: nothing that the reader did */
        err.code = ERR_INTERNAL;
    net_http_reply_err(x, &err);
}
