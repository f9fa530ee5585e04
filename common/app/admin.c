/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/admin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "common/app/version.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/net/http_accept.h"

/* One probe: what it answers, and the gauge that mirrors it. */
struct probe {
    atomic_bool good;
    struct metrics_value *gauge;
};

struct app_admin {
    struct metrics_registry *metrics;
    struct probe ready;
    const char *_Atomic reason; /* of not being ready */
    struct probe healthy;
};

static void
register_build(struct metrics_registry *metrics)
{
    static const char *const names[] = {"version", "revision", "branch", "goversion",
                                        "goos",    "goarch",   "tags",   NULL};
    const char *const values[] = {app_version(), app_revision(), "", "",
                                  "linux",       APP_MACHINE,    "", NULL};
    struct metrics_family *f =
        metrics_family_new(metrics, METRICS_GAUGE, "thanos_build_info",
                           "Constant 1; the labels describe the build.", names);
    metrics_set(metrics_child(f, values), 1);
}

struct app_admin *
app_admin_new(const char *component, struct metrics_registry *metrics)
{
    static const char *const names[] = {"component", "check", NULL};
    struct app_admin *a = xcalloc(1, sizeof *a);
    struct metrics_family *status =
        metrics_family_new(metrics, METRICS_GAUGE, "thanos_status",
                           "1 if the probe answers OK, 0 if not.", names);
    a->metrics = metrics;
    a->ready.gauge =
        metrics_child(status, (const char *const[]){component, "ready", NULL});
    a->healthy.gauge =
        metrics_child(status, (const char *const[]){component, "healthy", NULL});
    atomic_store(&a->healthy.good, true);
    atomic_store(&a->reason, "starting");
    metrics_set(a->healthy.gauge, 1);
    register_build(metrics);
    metrics_process_register(metrics);
    return a;
}

void
app_admin_free(struct app_admin **a)
{
    free(TAKE(*a));
}

/* Returns whether this changes the probe. */
static bool
set(struct probe *p, bool good)
{
    bool before = atomic_exchange(&p->good, good);
    metrics_set(p->gauge, good);
    return before != good;
}

void
app_admin_set_ready(struct app_admin *a, bool ready, const char *reason)
{
    atomic_store(&a->reason, ready ? "" : reason);
    if (!set(&a->ready, ready))
        return;
    if (ready)
        LOG_INFO("changing probe status", LOG_STR("status", "ready"));
    else
        LOG_WARN("changing probe status", LOG_STR("status", "not-ready"),
                 LOG_STR("reason", reason));
}

bool
app_admin_is_ready(const struct app_admin *a, const char **reason)
{
    *reason = atomic_load(&a->reason);
    return **reason == 0;
}

void
app_admin_set_healthy(struct app_admin *a, bool healthy)
{
    if (set(&a->healthy, healthy))
        LOG_INFO("changing probe status",
                 LOG_STR("status", healthy ? "healthy" : "not-healthy"));
}

static void
on_probe(void *arg, struct net_http_exchange *x)
{
    const struct probe *p = arg;
    if (atomic_load(&p->good))
        net_http_reply(x, 200, "text/plain; charset=utf-8", BYTES("OK"));
    else
        net_http_reply(x, 503, "text/plain; charset=utf-8", BYTES("NOT OK"));
}

static bool
is_one_of(struct bytes text, const char *const *words)
{
    bool found = false;
    for (size_t i = 0; words[i] != NULL && !found; i++)
        found = bytes_eq(text, bytes_of_str(words[i]));
    return found;
}

/* The version of OpenMetrics that a client would rather have than the text format;
 * NULL: none. Of equal weights the first counts, as with Go's exporters. */
static const char *
wanted_openmetrics(const char *accept)
{
    static const char *const ours[] = {"", "1.0.0", "0.0.1", NULL};
    static const char *const texts[] = {"text/plain", "text/*", "*/*", NULL};
    struct bytes rest = bytes_of_str(accept != NULL ? accept : "");
    struct net_http_media_range range;
    const char *wanted = NULL;
    int best = 0;
    while (net_http_accept_next(&rest, &range)) {
        bool is_ours = bytes_eq(range.type, BYTES("application/openmetrics-text")) &&
                       is_one_of(range.version, ours);
        if (range.weight <= best || (!is_ours && !is_one_of(range.type, texts)))
            continue;
        best = range.weight;
        wanted = !is_ours                                  ? NULL
                 : bytes_eq(range.version, BYTES("0.0.1")) ? "0.0.1"
                                                           : "1.0.0";
    }
    return wanted;
}

static void
on_metrics(void *arg, struct net_http_exchange *x)
{
    const struct app_admin *a = arg;
    CLEANUP(buf_fini) struct buf text = {0};
    char type[80] = "text/plain; version=0.0.4; charset=utf-8";
    const char *version = wanted_openmetrics(net_http_exchange_header(x, "Accept"));
    if (version != NULL) {
        snprintf(type, sizeof type,
                 "application/openmetrics-text; version=%s; charset=utf-8", version);
        metrics_print_openmetrics(a->metrics, &text);
    } else {
        metrics_print(a->metrics, &text);
    }
    net_http_exchange_add_header(x, "Vary", "Accept");
    net_http_reply(x, 200, type, buf_bytes(&text));
}

size_t
app_admin_routes(struct app_admin *a, struct net_http_route *at)
{
    const struct net_http_route routes[APP_ADMIN_ROUTES] = {
        {.method = "GET",
         .path = "/-/healthy",
         .name = "healthy",
         .handler = on_probe,
         .arg = &a->healthy},
        {.method = "GET",
         .path = "/-/ready",
         .name = "ready",
         .handler = on_probe,
         .arg = &a->ready},
        {.method = "GET",
         .path = "/metrics",
         .name = "metrics",
         .handler = on_metrics,
         .arg = a,
         .compress = true},
    };
    memcpy(at, routes, sizeof routes);
    return APP_ADMIN_ROUTES;
}
