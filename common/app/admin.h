/* SPDX-License-Identifier: Apache-2.0 */
/* What both daemons answer on their HTTP port: probes and metrics; and the state of
 * readiness behind them. */
#ifndef COMMON_APP_ADMIN_H
#define COMMON_APP_ADMIN_H

#include "common/metrics/registry.h"
#include "common/net/http_server.h"

struct app_admin;

/* component labels thanos_status ("sidecar"). Registers thanos_status,
 * thanos_build_info and the process metrics. Healthy at once, not ready. */
struct app_admin *app_admin_new(const char *component,
                                struct metrics_registry *metrics);
void app_admin_free(struct app_admin **a);

/* Any thread. Logs a change; reason (a constant that is not empty) says why when not
 * ready. */
void app_admin_set_ready(struct app_admin *a, bool ready, const char *reason);
/* Whether it is ready, and why not; *reason is "" if it is. Any thread. */
NODISCARD bool app_admin_is_ready(const struct app_admin *a, const char **reason);
void app_admin_set_healthy(struct app_admin *a, bool healthy);

/* Write the routes /-/healthy, /-/ready, /metrics to at; returns their number, which is
 * APP_ADMIN_ROUTES. */
enum { APP_ADMIN_ROUTES = 3 };
size_t app_admin_routes(struct app_admin *a, struct net_http_route *at);

#endif
