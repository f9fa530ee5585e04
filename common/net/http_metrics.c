/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_metrics_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "common/metrics/registry.h"

struct net_http_metrics {
    struct metrics_family *requests;
    struct metrics_family *seconds;
    struct metrics_family *request_bytes;
    struct metrics_family *response_bytes;
    struct metrics_family *inflight;
};

static const char *const request_labels[] = {"code", "handler", "method", NULL};
static const char *const inflight_labels[] = {"handler", "method", NULL};
static const double seconds_bounds[] = {0.001, 0.01, 0.1, 0.3, 0.6, 1,   3,   6,  9,
                                        20,    30,   60,  90,  120, 240, 360, 720};
/* From an error line to the answer of a whole day. */
static const double bytes_bounds[] = {64,      256,      1024,     4096,
                                      16384,   65536,    262144,   1048576,
                                      4194304, 16777216, 67108864, 268435456};

struct net_http_metrics *
net_http_metrics_new(struct metrics_registry *r)
{
    if (r == NULL)
        return NULL;
    struct net_http_metrics *m = xcalloc(1, sizeof *m);
    m->requests = metrics_family_new(r, METRICS_COUNTER, "http_requests_total",
                                     "HTTP requests answered.", request_labels);
    m->seconds = metrics_histogram_family_new(
        r, "http_request_duration_seconds",
        "Time from the headers of a request to the end of its answer.", request_labels,
        seconds_bounds, ARRAY_LEN(seconds_bounds));
    m->request_bytes = metrics_histogram_family_new(
        r, "http_request_size_bytes", "Size of request bodies.", request_labels,
        bytes_bounds, ARRAY_LEN(bytes_bounds));
    m->response_bytes = metrics_histogram_family_new(
        r, "http_response_size_bytes", "Size of response bodies.", request_labels,
        bytes_bounds, ARRAY_LEN(bytes_bounds));
    m->inflight =
        metrics_family_new(r, METRICS_GAUGE, "http_inflight_requests",
                           "HTTP requests being answered now.", inflight_labels);
    return m;
}

void
net_http_metrics_free(struct net_http_metrics **m)
{
    free(TAKE(*m));
}

/* Methods come from outside: a word that nobody knows must not become a label. */
static const char *
method_label(const char *method)
{
    static const char *const known[][2] = {
        {"GET", "get"},         {"HEAD", "head"}, {"POST", "post"},
        {"OPTIONS", "options"}, {"PUT", "put"},   {"DELETE", "delete"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(method, known[i][0]) == 0)
            return known[i][1];
    return "unknown";
}

void
net_http_metrics_prepare(struct net_http_metrics *m, const char *handler,
                         const char *method)
{
    if (m == NULL)
        return;
    const char *const labels[] = {"200", handler, method_label(method), NULL};
    metrics_child(m->requests, labels);
    metrics_histogram_child(m->seconds, labels);
    metrics_histogram_child(m->request_bytes, labels);
    metrics_histogram_child(m->response_bytes, labels);
    metrics_child(m->inflight, labels + 1);
}

static void
count_inflight(struct net_http_metrics *m, const char *handler, const char *method,
               double delta)
{
    const char *const labels[] = {handler, method_label(method), NULL};
    metrics_add(metrics_child(m->inflight, labels), delta);
}

void
net_http_metrics_begin(struct net_http_metrics *m, const char *handler,
                       const char *method)
{
    if (m != NULL)
        count_inflight(m, handler, method, 1);
}

void
net_http_metrics_end(struct net_http_metrics *m, const struct net_http_sample *s)
{
    char code[16];
    if (m == NULL)
        return;
    snprintf(code, sizeof code, "%d", s->status);
    const char *const labels[] = {code, s->handler, method_label(s->method), NULL};
    metrics_add(metrics_child(m->requests, labels), 1);
    metrics_observe(metrics_histogram_child(m->seconds, labels),
                    (double)s->duration_ns / (double)CLOCK_NS_PER_S);
    metrics_observe(metrics_histogram_child(m->request_bytes, labels),
                    (double)s->request_bytes);
    metrics_observe(metrics_histogram_child(m->response_bytes, labels),
                    (double)s->response_bytes);
    count_inflight(m, s->handler, s->method, -1);
}
