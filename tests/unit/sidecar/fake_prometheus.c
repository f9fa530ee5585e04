/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/unit/sidecar/fake_prometheus.h"

/* Whether the request may pass; if not, it is answered. */
static bool
admit(struct fake_prometheus *p, struct net_http_exchange *x)
{
    const char *header = net_http_exchange_header(x, "authorization");
    const char *wants = atomic_load(&p->wants);
    if (wants == NULL || (header != NULL && strcmp(wants, header) == 0))
        return true;
    atomic_fetch_add(&p->refused, 1);
    net_http_reply(x, 401, "text/plain", BYTES("Unauthorized"));
    return false;
}

static void
answer_flags(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    if (admit(p, x))
        net_http_reply(x, atomic_load(&p->flags_status), "application/json",
                       bytes_of_str(atomic_load(&p->flags_body)));
}

static void
answer(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    atomic_fetch_add(&p->asked, 1);
    if (admit(p, x))
        net_http_reply(x, atomic_load(&p->status), "application/json",
                       bytes_of_str(atomic_load(&p->body)));
}

static void
answer_snapshot(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    if (!admit(p, x))
        return;
    if (p->snapshot != NULL)
        p->snapshot(p->snapshot_arg);
    net_http_reply(x, atomic_load(&p->snapshot_status), "application/json",
                   bytes_of_str(atomic_load(&p->snapshot_body)));
}

static void
answer_reload(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    if (admit(p, x))
        net_http_reply(x, atomic_load(&p->reload_status), "text/plain",
                       bytes_of_str(atomic_load(&p->reload_body)));
}

static void
answer_loaded(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    atomic_fetch_add(&p->loaded_asked, 1);
    if (admit(p, x))
        net_http_reply(x, 200, "application/json",
                       bytes_of_str(atomic_load(&p->loaded_body)));
}

void
fake_prometheus_start(struct fake_prometheus *p)
{
    struct err err;
    *p = (struct fake_prometheus){
        .routes = {{.method = "GET",
                    .path = "/prom/api/v1/status/config",
                    .name = "config",
                    .handler = answer,
                    .arg = p},
                   {.method = "GET",
                    .path = "/prom/api/v1/status/flags",
                    .name = "flags",
                    .handler = answer_flags,
                    .arg = p},
                   {.method = "POST",
                    .path = "/prom/api/v1/admin/tsdb/snapshot",
                    .name = "snapshot",
                    .handler = answer_snapshot,
                    .arg = p},
                   {.method = "POST",
                    .path = "/prom/-/reload",
                    .name = "reload",
                    .handler = answer_reload,
                    .arg = p},
                   {.method = "GET",
                    .path = "/prom/api/v1/status/runtimeinfo",
                    .name = "runtimeinfo",
                    .handler = answer_loaded,
                    .arg = p}},
    };
    fake_prometheus_say(p, 503, "");
    fake_prometheus_say_flags(p, 404, "");
    fake_prometheus_say_snapshot(p, 503, FAKE_NO_ADMIN_API);
    fake_prometheus_say_reload(p, 403, "Lifecycle API is not enabled.");
    fake_prometheus_say_loaded(p, "");
    budget_init(&p->budget, "test", SIZE_MAX, NULL);
    struct net_http_server_options options = {
        .address = "127.0.0.1:0",
        .routes = p->routes,
        .route_count = ARRAY_LEN(p->routes),
        .budget = &p->budget,
    };
    if (!net_http_server_start(&p->server, &options, &err))
        fail_msg("%s", err.text);
    snprintf(p->url, sizeof p->url, "http://127.0.0.1:%u/prom/",
             (unsigned)net_http_server_port(p->server));
}

void
fake_prometheus_stop(struct fake_prometheus *p)
{
    net_http_server_stop(&p->server, clock_deadline(10 * CLOCK_NS_PER_S));
}

void
fake_prometheus_say(struct fake_prometheus *p, int status, const char *body)
{
    atomic_store(&p->body, body);
    atomic_store(&p->status, status);
}

void
fake_prometheus_say_flags(struct fake_prometheus *p, int status, const char *body)
{
    atomic_store(&p->flags_body, body);
    atomic_store(&p->flags_status, status);
}

void
fake_prometheus_say_snapshot(struct fake_prometheus *p, int status, const char *body)
{
    atomic_store(&p->snapshot_body, body);
    atomic_store(&p->snapshot_status, status);
}

void
fake_prometheus_say_reload(struct fake_prometheus *p, int status, const char *body)
{
    atomic_store(&p->reload_body, body);
    atomic_store(&p->reload_status, status);
}

void
fake_prometheus_say_loaded(struct fake_prometheus *p, const char *body)
{
    atomic_store(&p->loaded_body, body);
}
