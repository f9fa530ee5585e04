/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/unit/sidecar/fake_prometheus.h"

static void
answer(void *arg, struct net_http_exchange *x)
{
    struct fake_prometheus *p = arg;
    atomic_fetch_add(&p->asked, 1);
    net_http_reply(x, atomic_load(&p->status), "application/json",
                   bytes_of_str(atomic_load(&p->body)));
}

void
fake_prometheus_start(struct fake_prometheus *p)
{
    struct err err;
    *p = (struct fake_prometheus){
        .route = {.method = "GET",
                  .path = "/prom/api/v1/status/config",
                  .name = "config",
                  .handler = answer,
                  .arg = p},
    };
    fake_prometheus_say(p, 503, "");
    budget_init(&p->budget, "test", SIZE_MAX, NULL);
    struct net_http_server_options options = {
        .address = "127.0.0.1:0",
        .routes = &p->route,
        .route_count = 1,
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
