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
    _Atomic int flags_status;
    const char *_Atomic flags_body;
    const char
        *_Atomic wants; /* as Authorization, else it answers 401; NULL: nothing */
    atomic_uint refused;
    /* Called when it is asked for a snapshot, before it answers; NULL: nothing. */
    void (*snapshot)(void *arg);
    void *snapshot_arg;
    _Atomic int snapshot_status;
    const char *_Atomic snapshot_body;
    _Atomic int reload_status;
    const char *_Atomic reload_body;
    const char *_Atomic loaded_body; /* what came of the last reload */
    atomic_uint loaded_asked;
    /* private */
    struct budget budget;
    struct net_http_route routes[5];
    struct net_http_server *server;
};

/* The answer of a Prometheus with these external labels (YAML of a flow map). */
#define FAKE_CONFIG(labels)                                                      \
    "{\"status\":\"success\",\"data\":{\"yaml\":\"global:\\n  external_labels: " \
    "{" labels "}\\nscrape_configs:\\n- job_name: x\\n\"}}"

/* The answer with these flags (members of a JSON object). */
#define FAKE_FLAGS(members) "{\"status\":\"success\",\"data\":{" members "}}"

/* The answer with the name of a snapshot. */
#define FAKE_SNAPSHOT(name) "{\"status\":\"success\",\"data\":{\"name\":\"" name "\"}}"

/* The answer about the last reload: true or false, and when one was good. */
#define FAKE_LOADED(is_good, at)                                         \
    "{\"status\":\"success\",\"data\":{\"reloadConfigSuccess\":" is_good \
    ",\"lastConfigTime\":\"" at "\"}}"

/* The answer without --web.enable-admin-api, with status 503. */
#define FAKE_NO_ADMIN_API                                  \
    "{\"status\":\"error\",\"errorType\":\"unavailable\"," \
    "\"error\":\"admin APIs disabled\"}"

/* Listen on a free port; it answers 503 until told otherwise, does not know flags, and
 * has no admin API
 * and no lifecycle API. */
void fake_prometheus_start(struct fake_prometheus *p);
void fake_prometheus_stop(struct fake_prometheus *p);

/* Change the answer, and that about flags. */
void fake_prometheus_say(struct fake_prometheus *p, int status, const char *body);
void fake_prometheus_say_flags(struct fake_prometheus *p, int status, const char *body);
void fake_prometheus_say_snapshot(struct fake_prometheus *p, int status,
                                  const char *body);
void fake_prometheus_say_reload(struct fake_prometheus *p, int status,
                                const char *body);
void fake_prometheus_say_loaded(struct fake_prometheus *p, const char *body);

#endif
