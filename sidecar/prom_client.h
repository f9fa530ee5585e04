/* SPDX-License-Identifier: Apache-2.0 */
/* What the sidecar asks of Prometheus: its external labels. */
#ifndef SIDECAR_PROM_CLIENT_H
#define SIDECAR_PROM_CLIENT_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "sidecar/ext_labels.h"

struct sidecar_prom_client;

/* Why there are labels, or none; each wants another remedy. */
enum sidecar_prom_state {
    SIDECAR_PROM_UP,
    SIDECAR_PROM_UNREACHABLE, /* no answer: not started, wrong address, network */
    SIDECAR_PROM_REPLAYING,   /* 503: reads its log after a start, wait */
    SIDECAR_PROM_REJECTING,   /* 401, 403: wants credentials */
    SIDECAR_PROM_CONFUSED     /* any other answer: probably not a Prometheus */
};

/* A constant sentence about a state, for logs and probes. */
const char *sidecar_prom_state_text(enum sidecar_prom_state state);

/* url is the base URL; a path prefix and trailing slashes are allowed. Copied. */
NODISCARD bool sidecar_prom_client_new(struct sidecar_prom_client **out,
                                       const char *url, struct err *err);
void sidecar_prom_client_free(struct sidecar_prom_client **c);

/* Ask once, until deadline_ns or cancel (NULL: never). *labels must be the zero value
 * and is filled when the result is SIDECAR_PROM_UP; else err says what happened. */
NODISCARD enum sidecar_prom_state
sidecar_prom_client_labels(struct sidecar_prom_client *c, int64_t deadline_ns,
                           const struct cancel *cancel,
                           struct sidecar_ext_labels *labels, struct err *err);

#endif
