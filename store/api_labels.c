/* SPDX-License-Identifier: Apache-2.0 */
/* The first piece of an answer is computed before the status line is sent, so that an
 * error up to there is a status and a JSON object. Later errors abort the connection.
 */
#include "store/api_labels.h"

#include <stdlib.h>

#include "common/app/api_reply.h"
#include "common/base/utf8.h"
#include "common/base/xmalloc.h"
#include "common/codec/json_writer.h"
#include "store/api_read_priv.h"
#include "store/label_arguments.h"
#include "store/label_query.h"
#include "store/query_union.h"

/* The body is handed to the socket in pieces of about this size. */
enum { PIECE_BYTES = 64 * 1024 };

enum kind { NAMES, VALUES, SERIES };

struct request {
    struct store_read_request
        read; /* its budget, source, limits, and place in the gate */
    enum kind kind;
    struct store_label_arguments arguments;
    struct store_label_query labels;
    struct store_query_union series;
    uint64_t count; /* written so far */
};

static void
request_init(struct request *r, struct store_api_read *api, struct net_http_exchange *x,
             enum kind kind)
{
    static const char *const ops[] = {
        [NAMES] = "label_names", [VALUES] = "label_values", [SERIES] = "series"};
    memset(r, 0, sizeof *r); /* larger than a frame may be */
    store_read_request_init(&r->read, api, x);
    r->kind = kind;
    r->read.op = ops[kind];
}

static void
request_fini(struct request *r)
{
    store_label_query_fini(&r->labels);
    store_query_union_fini(&r->series);
    store_label_arguments_fini(&r->arguments);
    store_read_request_fini(&r->read);
}

static void
request_free(void *arg)
{
    request_fini(arg);
    free(arg);
}

/* Of a request that looks for values; others have none. */
static bool
read_name(struct request *r, struct bytes *name, struct err *err)
{
    struct bytes part = net_http_exchange_parameter(r->read.exchange);
    *name = tsdb_labels_unescape_name(part, &r->read.arena);
    if (r->kind == VALUES && (name->len == 0 || !utf8_is_valid(*name)))
        return err_set(err, ERR_INVALID, "invalid label name: \"%.*s\"",
                       BYTES_FMT(part));
    return arena_ok(&r->read.arena, err);
}

static bool
open_labels(struct request *r, struct bytes name, struct err *err)
{
    const struct store_label_arguments *a = &r->arguments;
    struct store_matchers *sets =
        arena_calloc(&r->read.arena, a->set_count, sizeof *sets);
    if (sets == NULL)
        return arena_ok(&r->read.arena, err);
    for (size_t i = 0; i < a->set_count; i++)
        sets[i] = (struct store_matchers){
            (const struct tsdb_matcher *const *)a->sets[i].at, a->sets[i].count};
    const struct store_label_query_options options = {
        .blocks = r->read.blocks,
        .name = name,
        .sets = sets,
        .set_count = a->set_count,
        .dropped = *r->read.api->options.replica_labels,
        .mint_ms = a->mint_ms,
        .maxt_ms = a->maxt_ms,
        .source = &r->read.source,
        .limits = &r->read.limits,
        .budget = &r->read.budget,
        .lookahead_bytes = store_read_lookahead(&r->read),
    };
    bool ok = store_label_query_open(&r->labels, &options, err);
    r->read.totals.blocks = r->labels.blocks_queried;
    return ok;
}

static bool
open_series(struct request *r, struct err *err)
{
    const struct store_label_arguments *a = &r->arguments;
    const struct store_query_options options = {
        .blocks = r->read.blocks,
        .dropped = *r->read.api->options.replica_labels,
        .mint_ms = a->mint_ms,
        .maxt_ms = a->maxt_ms,
        .source = &r->read.source,
        .limits = &r->read.limits,
        .budget = &r->read.budget,
        .lookahead_bytes = store_read_lookahead(&r->read),
    };
    bool ok = store_query_union_open(&r->series, &options, a->sets, a->set_count, err);
    for (size_t i = 0; i < r->series.count; i++)
        r->read.totals.blocks += r->series.queries[i].blocks_queried;
    return ok;
}

static void
put_series(struct buf *out, struct tsdb_labels labels)
{
    buf_put_u8(out, '{');
    for (size_t i = 0; i < labels.len; i++) {
        buf_put_str(out, i > 0 ? "," : "");
        json_writer_text(out, labels.at[i].name);
        buf_put_u8(out, ':');
        json_writer_text(out, labels.at[i].value);
    }
    buf_put_u8(out, '}');
}

/* Write the next element, unless there is none or no more are wanted. */
static bool
put_next(struct request *r, bool *end, bool *truncated, struct err *err)
{
    struct buf *out = &r->read.out;
    struct tsdb_labels labels;
    struct bytes text;
    if (r->kind == SERIES ? !store_query_union_next(&r->series, &labels, end, err)
                          : !store_label_query_next(&r->labels, &text, end, err))
        return false;
    *truncated = !*end && r->arguments.limit != 0 && r->count == r->arguments.limit;
    if (*end || *truncated)
        return true;
    buf_put_str(out, r->count++ > 0 ? "," : "");
    r->read.totals.series += r->kind == SERIES;
    if (r->kind == SERIES)
        put_series(out, labels);
    else
        json_writer_text(out, text);
    return buf_ok(out, err);
}

/* What is not in the answer, and why. */
static void
put_warnings(struct request *r, bool truncated)
{
    const struct store_damage *damage = &r->read.source.damage;
    struct buf *out = &r->read.out;
    CLEANUP(buf_fini) struct buf skipped = {0};
    if (truncated)
        buf_put_str(out, ",\"warnings\":[\"results truncated due to limit\"");
    if (damage->skipped > 0) {
        buf_put_str(&skipped, "damaged data left out of blocks ");
        store_damage_print(damage, &skipped);
        buf_put_str(out, truncated ? "," : ",\"warnings\":[");
        json_writer_text(out, buf_bytes(&skipped));
    }
    if (truncated || damage->skipped > 0)
        buf_put_str(out, "]");
}

/* Fill out with a piece of the body; it stays empty behind the last one. */
static bool
fill(struct request *r, struct err *err)
{
    struct buf *out = &r->read.out;
    buf_clear(out);
    if (r->read.ended)
        return true;
    if (r->count == 0)
        buf_put_str(out, "{\"status\":\"success\",\"data\":[");
    while (out->len < PIECE_BYTES) {
        bool end, truncated;
        if (!store_fetch_check(&r->read.source, err) ||
            !put_next(r, &end, &truncated, err))
            return false;
        if (!end && !truncated)
            continue;
        buf_put_str(out, "]");
        put_warnings(r, truncated);
        buf_put_str(out, "}");
        r->read.ended = true;
        break;
    }
    return buf_ok(out, err);
}

static bool
next_piece(void *arg, struct bytes *piece, struct err *err)
{
    struct request *r = arg;
    bool is_sent = r->read.sent == r->read.out.len;
    store_read_begin_piece(&r->read);
    if (is_sent && !fill(r, err)) {
        store_read_count_failure(&r->read, err);
        return false;
    }
    *piece = buf_bytes(&r->read.out);
    r->read.sent = r->read.out.len;
    store_read_end_piece(&r->read, piece->len == 0);
    return true;
}

/* Label queries make no filter of a matcher (select.h): all values of its label are
 * tested. */
static bool
estimate_set(struct request *r, const struct store_matcher_set *set, struct err *err)
{
    struct arena *arena = &r->read.arena;
    struct arena_mark mark = arena_mark(arena);
    struct tsdb_label *demanded = arena_calloc(arena, set->count, sizeof *demanded);
    struct bytes *scanned = arena_calloc(arena, set->count, sizeof *scanned);
    struct store_estimate_query q = {
        .range = {r->arguments.mint_ms, r->arguments.maxt_ms}};
    struct store_block_choice blocks;
    if (demanded == NULL || scanned == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < set->count; i++) {
        const struct tsdb_matcher *m = set->at[i];
        struct bytes name = tsdb_matcher_name(m);
        size_t values;
        const struct bytes *value = tsdb_matcher_set(m, &values);
        if (tsdb_matcher_type(m) == TSDB_MATCH_EQ && value->len > 0)
            demanded[q.demanded.len++] = (struct tsdb_label){name, *value};
        else
            scanned[q.scanned_count++] = name;
    }
    q.demanded.at = demanded;
    q.scanned = scanned;
    const struct store_block_question question = {q.range, STORE_RESOLUTION_RAW};
    if (!store_block_choose(&blocks, &r->read.blocks->plan, &question, arena, err))
        return false;
    store_estimate_add(&r->read.estimate, &blocks, &q);
    arena_rewind(arena, mark);
    return true;
}

/* Without a selector everything is looked at. */
static bool
estimate(struct request *r, struct err *err)
{
    static const struct store_matcher_set everything;
    const struct store_label_arguments *a = &r->arguments;
    for (size_t i = 0; i < a->set_count; i++)
        if (!estimate_set(r, &a->sets[i], err))
            return false;
    return a->set_count > 0 || estimate_set(r, &everything, err);
}

static bool
begin(struct request *r, struct err *err)
{
    struct bytes name;
    if (!store_label_arguments_read(&r->arguments, r->read.exchange, &r->read.arena,
                                    err) ||
        !read_name(r, &name, err))
        return false;
    if (r->kind == SERIES && r->arguments.set_count == 0)
        return err_set(err, ERR_INVALID, "no match[] parameter provided");
    for (size_t i = 0; i < r->arguments.set_count; i++)
        store_read_note_selector(&r->read, &r->arguments.sets[i]);
    return store_read_take_blocks(&r->read, err) && estimate(r, err) &&
           store_read_admit(&r->read, err) &&
           (r->kind == SERIES ? open_series(r, err) : open_labels(r, name, err)) &&
           fill(r, err);
}

static bool
begin_again(struct request *r, struct err *err)
{
    struct store_api_read *api = r->read.api;
    struct net_http_exchange *x = r->read.exchange;
    enum kind kind = r->kind;
    request_fini(r);
    request_init(r, api, x, kind);
    return begin(r, err);
}

static void
handle(struct store_api_read *api, struct net_http_exchange *x, enum kind kind)
{
    struct err err = {0};
    struct request *r = xcalloc(1, sizeof *r);
    request_init(r, api, x, kind);
    if (begin(r, &err) ||
        (store_read_is_superseded(&r->read, &err) && begin_again(r, &err))) {
        store_read_add_skipped(&r->read);
        store_read_begin_answer(&r->read);
        const struct net_http_stream stream = {next_piece, request_free, r};
        net_http_reply_stream(x, 200, "application/json", NET_HTTP_LENGTH_UNKNOWN,
                              stream);
        return;
    }
    store_read_failed(&r->read, &err);
    request_free(r);
    app_api_reply_err(x, &err);
}

static void
handle_names(void *arg, struct net_http_exchange *x)
{
    handle(arg, x, NAMES);
}

static void
handle_values(void *arg, struct net_http_exchange *x)
{
    handle(arg, x, VALUES);
}

static void
handle_series(void *arg, struct net_http_exchange *x)
{
    handle(arg, x, SERIES);
}

size_t
store_api_labels_routes(struct store_api_read *api, struct net_http_route *at)
{
    static const struct {
        const char *path;
        const char *name;
        net_http_handler_fn *handler;
    } kinds[] = {{"/api/v1/labels", "label_names", handle_names},
                 {"/api/v1/label/:name/values", "label_values", handle_values},
                 {"/api/v1/series", "series", handle_series}};
    static const char *const methods[] = {"GET", "POST"};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (size_t k = 0; k < ARRAY_LEN(methods); k++)
            at[count++] =
                (struct net_http_route){.method = methods[k],
                                        .path = kinds[i].path,
                                        .name = kinds[i].name,
                                        .handler = kinds[i].handler,
                                        .arg = api,
                                        .compress = true,
                                        .max_body = STORE_API_LABELS_MAX_BODY};
    return count;
}
