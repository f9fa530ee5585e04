/* SPDX-License-Identifier: Apache-2.0 */
/* What a read cost, told to whom it may concern: the client that asked for it, the log,
 * the metrics. The clock is read twice for each piece of an answer; the stages before
 * are timed where they wait (fetch.c, the gate). */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "store/api_read_priv.h"

#define FIGURES "Blockhouse-Figures"

/* Of the selectors of a request, what the log and errors are told. */
enum { SELECTORS_BYTES = 1024 };

void
store_read_figures_begin(struct store_read_request *r)
{
    const char *asked = net_http_exchange_header(r->exchange, FIGURES);
    r->wants_figures = asked != NULL && strcmp(asked, "1") == 0;
    buf_init(&r->selectors, &r->budget);
}

void
store_read_note_selector(struct store_read_request *r,
                         const struct store_matcher_set *set)
{
    struct buf *out = &r->selectors;
    if (out->len > SELECTORS_BYTES)
        return;
    buf_put_str(out, out->len > 0 ? " {" : "{");
    for (size_t i = 0; i < set->count && out->len <= SELECTORS_BYTES; i++) {
        buf_put_str(out, i > 0 ? ", " : "");
        tsdb_matcher_print(set->at[i], out);
    }
    buf_put_str(out, out->len > SELECTORS_BYTES ? "..." : "}");
}

void
store_read_count_series(struct store_read_request *r, const struct store_series *series)
{
    r->totals.series++;
    r->totals.chunks += series->chunk_count;
    for (size_t i = 0; i < series->chunk_count; i++)
        r->totals.chunk_bytes += series->chunks[i].chunk.data.len;
}

/* The totals up to now. */
static struct store_read_totals
totals_of(const struct store_read_request *r)
{
    struct store_read_totals totals = r->totals;
    int64_t now_ns = clock_mono_ns();
    memcpy(totals.data, r->source.data, sizeof totals.data);
    totals.total_ns = now_ns - r->started_ns;
    if (r->is_open)
        totals.blocks += r->query.blocks_queried;
    if (r->is_sending)
        totals.send_ns += now_ns - r->handed_ns;
    return totals;
}

static void
tell(struct store_read_request *r,
     void (*add)(struct net_http_exchange *, const char *, const char *))
{
    CLEANUP(buf_fini) struct buf text = {0};
    const struct store_read_totals totals = totals_of(r);
    store_read_totals_print(&totals, &text);
    add(r->exchange, FIGURES, buf_text(&text));
}

void
store_read_add_figures(struct store_read_request *r)
{
    if (r->wants_figures)
        tell(r, net_http_exchange_add_header);
}

static void
begin_sending(struct store_read_request *r)
{
    r->handed_ns = clock_mono_ns();
    r->is_sending = true;
}

void
store_read_begin_answer(struct store_read_request *r)
{
    begin_sending(r);
    r->totals.first_ns = r->handed_ns - r->started_ns;
    if (r->ended) {
        store_read_add_figures(r);
    } else if (r->wants_figures) {
        net_http_exchange_add_header(r->exchange, "Trailer", FIGURES);
        r->owes_trailer = true;
    }
}

void
store_read_begin_piece(struct store_read_request *r)
{
    r->totals.send_ns += clock_mono_ns() - r->handed_ns;
    r->is_sending = false;
}

void
store_read_end_piece(struct store_read_request *r, bool is_last)
{
    if (is_last && r->owes_trailer)
        tell(r, net_http_exchange_add_trailer);
    begin_sending(r);
}

static void
log_totals(struct store_read_request *r, const struct store_read_totals *totals)
{
    struct store_figure figures[STORE_FIGURE_COUNT];
    enum { BEFORE = 2, BEHIND = 2 };
    struct log_field fields[BEFORE + STORE_FIGURE_COUNT + BEHIND] = {0};
    bool is_cut = r->failure == ERR_NONE && !r->ended;
    size_t count = 0;
    fields[count++] = LOG_STR("op", r->op);
    fields[count++] =
        LOG_STR("code", err_code_name(is_cut ? ERR_CANCELLED : r->failure));
    store_read_totals_figures(totals, figures);
    for (size_t i = 0; i < STORE_FIGURE_COUNT; i++)
        fields[count++] = LOG_INT(figures[i].name, figures[i].value);
    fields[count++] = LOG_STR("matchers", buf_text(&r->selectors));
    LOG_FIELDS_AT(LOG_LEVEL_DEBUG, "read answered", fields);
}

struct store_read_totals
store_read_end_figures(struct store_read_request *r)
{
    const struct store_read_totals totals = totals_of(r);
    if (log_is_on(LOG_LEVEL_DEBUG))
        log_totals(r, &totals);
    buf_fini(&r->selectors);
    return totals;
}
