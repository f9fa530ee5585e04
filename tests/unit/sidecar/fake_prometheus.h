/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server that answers as a Prometheus, or not. */
#ifndef TESTS_UNIT_SIDECAR_FAKE_PROMETHEUS_H
#define TESTS_UNIT_SIDECAR_FAKE_PROMETHEUS_H

#include <stdatomic.h>

#include "common/net/http_server.h"

struct fake_prometheus {
    char url[64]; /* with the path prefix /prom/ */
    atomic_uint asked;
    _Atomic int status;
    const char *_Atomic body;
    /* private */
    struct budget budget;
    struct net_http_route route;
    struct net_http_server *server;
};

/* The answer of a Prometheus with these external labels (YAML of a flow map). */
#define FAKE_CONFIG(labels)                                                      \
    "{\"status\":\"success\",\"data\":{\"yaml\":\"global:\\n  external_labels: " \
    "{" labels "}\\nscrape_configs:\\n- job_name: x\\n\"}}"

/* Listen on a free port; it answers 503 until told otherwise. */
void fake_prometheus_start(struct fake_prometheus *p);
void fake_prometheus_stop(struct fake_prometheus *p);

/* Change the answer. */
void fake_prometheus_say(struct fake_prometheus *p, int status, const char *body);

#endif
