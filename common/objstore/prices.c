/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/prices.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec/html.h"

static const double DAY_S = 24 * 60 * 60;
static const double GIB = 1024.0 * 1024 * 1024;

/* A number that is not negative. Absent or null leaves *out. */
static bool
read_price(const struct yaml *y, const char *key, double *out, struct err *err)
{
    const char *text = NULL;
    char *end;
    if (!yaml_get_text(y, key, &text, err))
        return false;
    if (text == NULL)
        return true;
    double price = strtod(text, &end);
    if (*text == 0 || *end != 0 || !isfinite(price) || price < 0)
        return yaml_refuse(y, key, err, "\"%s\" is no price: a number such as 0.0004",
                           text);
    *out = price;
    return true;
}

static bool
read_kinds(const struct yaml *y, double per_1000[OBJSTORE_REQUEST_KIND_COUNT],
           struct err *err)
{
    static const char *const KEYS[] = {
#define X(name, label, what) label,
        OBJSTORE_REQUEST_KINDS(X)
#undef X
            NULL};
    if (!yaml_check_keys(y, KEYS, "per_1000", err))
        return false;
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        if (!read_price(y, KEYS[i], &per_1000[i], err))
            return false;
    return true;
}

bool
objstore_prices_read(struct objstore_prices *p, const struct yaml *y, struct err *err)
{
    static const char *const KEYS[] = {"currency", "per_1000", "per_gib_out", NULL};
    struct objstore_prices read = {.is_set = y != NULL && y->kind != YAML_NULL};
    const char *currency = "";
    if (!yaml_check_keys(y, KEYS, "the list of prices", err) ||
        !yaml_get_text(y, "currency", &currency, err) ||
        !read_kinds(yaml_get(y, "per_1000"), read.per_1000, err) ||
        !read_price(y, "per_gib_out", &read.per_gib_out, err))
        return false;
    if (strlen(currency) >= sizeof read.currency)
        return yaml_refuse(y, "currency", err, "it is longer than %zu bytes",
                           sizeof read.currency - 1);
    snprintf(read.currency, sizeof read.currency, "%s", currency);
    *p = read;
    return true;
}

static double
per_day(const struct objstore_request_figures *f, uint64_t recent)
{
    return (double)recent * DAY_S / (double)f->recent_s;
}

static double
cost_of_kind(const struct objstore_prices *p, const struct objstore_request_figures *f,
             size_t kind)
{
    return per_day(f, f->recent.requests[kind]) / 1000 * p->per_1000[kind];
}

static double
cost_of_bytes(const struct objstore_prices *p, const struct objstore_request_figures *f)
{
    return per_day(f, f->recent.received_bytes) / GIB * p->per_gib_out;
}

double
objstore_prices_of_day(const struct objstore_prices *p,
                       const struct objstore_request_figures *f)
{
    double cost = cost_of_bytes(p, f);
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        cost += cost_of_kind(p, f, i);
    return cost;
}

void
objstore_prices_json(const struct objstore_prices *p,
                     const struct objstore_request_figures *f, struct json_writer *w)
{
    json_writer_open(w, "requests", '{');
    json_writer_open(w, "sinceStart", '{');
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        json_writer_put_u64(w, objstore_requests_name(i), f->total.requests[i]);
    json_writer_put_u64(w, "receivedBytes", f->total.received_bytes);
    json_writer_close(w, '{');
    json_writer_open(w, "perDay", '{');
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        json_writer_put_double(w, objstore_requests_name(i),
                               per_day(f, f->recent.requests[i]), 0);
    json_writer_put_double(w, "receivedBytes", per_day(f, f->recent.received_bytes), 0);
    json_writer_close(w, '{');
    json_writer_put_i64(w, "perDayIsOfSeconds", f->recent_s);
    if (p->is_set) {
        json_writer_open(w, "costPerDay", '{');
        json_writer_put_str(w, "currency", p->currency);
        json_writer_put_double(w, "amount", objstore_prices_of_day(p, f), 6);
        json_writer_close(w, '{');
    }
    json_writer_close(w, '{');
}

static void
put_cost(const struct objstore_prices *p, double cost, struct buf *out)
{
    if (!p->is_set) {
        buf_put_str(out, "</tr>\n");
        return;
    }
    buf_printf(out, "<td class=\"n\">%.4f ", cost);
    html_put_text(out, bytes_of_str(p->currency));
    buf_put_str(out, "</td></tr>\n");
}

void
objstore_prices_html(const struct objstore_prices *p,
                     const struct objstore_request_figures *f, struct buf *out)
{
    buf_put_str(out, "<h2>Requests to the bucket</h2>\n<table><tr><th>kind</th><th>"
                     "since start</th><th>per day, at the rate of the last ");
    html_put_duration(out, f->recent_s * 1000);
    buf_printf(out, "</th>%s</tr>\n", p->is_set ? "<th>cost per day</th>" : "");
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++) {
        buf_printf(out,
                   "<tr><td>%s (%s)</td><td class=\"n\">%" PRIu64
                   "</td><td class=\"n\">%.0f</td>",
                   objstore_requests_name(i), objstore_requests_meaning(i),
                   f->total.requests[i], per_day(f, f->recent.requests[i]));
        put_cost(p, cost_of_kind(p, f, i), out);
    }
    buf_put_str(out, "<tr><td>bytes received</td><td class=\"n\">");
    html_put_size(out, f->total.received_bytes);
    buf_put_str(out, "</td><td class=\"n\">");
    html_put_size(out, (uint64_t)per_day(f, f->recent.received_bytes));
    buf_put_str(out, "</td>");
    put_cost(p, cost_of_bytes(p, f), out);
    if (p->is_set) {
        buf_put_str(out, "<tr><td>all</td><td></td><td></td>");
        put_cost(p, objstore_prices_of_day(p, f), out);
    }
    buf_put_str(out, "</table>\n");
}
