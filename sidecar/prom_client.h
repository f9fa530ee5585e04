/* SPDX-License-Identifier: Apache-2.0 */
/* What the sidecar asks of Prometheus: its external labels and its flags. */
#ifndef SIDECAR_PROM_CLIENT_H
#define SIDECAR_PROM_CLIENT_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "sidecar/ext_labels.h"
#include "sidecar/prom_flags.h"

struct sidecar_prom_client;

/* Why there is what was asked for, or not; each wants another remedy. */
enum sidecar_prom_state {
    SIDECAR_PROM_UP,
    SIDECAR_PROM_UNREACHABLE, /* no answer: not started, wrong address, network */
    SIDECAR_PROM_REPLAYING,   /* 503: reads its log after a start, wait */
    SIDECAR_PROM_REJECTING,   /* 401, 403: wants other credentials */
    SIDECAR_PROM_CONFUSED,    /* any other answer: probably not a Prometheus */
    SIDECAR_PROM_LOCKED,      /* not asked: our credentials for it cannot be read */
    SIDECAR_PROM_UNLABELED,   /* answers, and has no external labels */
    SIDECAR_PROM_STATES
};

/* A constant sentence about a state, for logs and probes. */
const char *sidecar_prom_state_text(enum sidecar_prom_state state);

/* One word for it, for metrics. */
const char *sidecar_prom_state_name(enum sidecar_prom_state state);

/* url is the base URL; a path prefix and trailing slashes are allowed. config is the
 * YAML of --prometheus.http-client; the files that it names are read at each request.
 * Errors ERR_INVALID of it. */
NODISCARD bool sidecar_prom_client_new(struct sidecar_prom_client **out,
                                       const char *url, struct bytes config,
                                       struct err *err);
void sidecar_prom_client_free(struct sidecar_prom_client **c);

/* Ask once, until deadline_ns or cancel (NULL: never). *labels must be the zero value
 * and is filled, with at least one, when the result is SIDECAR_PROM_UP; else err says
 * what happened and, where it helps, what to do. */
NODISCARD enum sidecar_prom_state
sidecar_prom_client_labels(struct sidecar_prom_client *c, int64_t deadline_ns,
                           const struct cancel *cancel,
                           struct sidecar_ext_labels *labels, struct err *err);

/* In the same way, the flags. One that is too old to tell them (404) is up, and *flags
 * stays the zero value. Never SIDECAR_PROM_UNLABELED. */
NODISCARD enum sidecar_prom_state
sidecar_prom_client_flags(struct sidecar_prom_client *c, int64_t deadline_ns,
                          const struct cancel *cancel, struct sidecar_prom_flags *flags,
                          struct err *err);

#endif
