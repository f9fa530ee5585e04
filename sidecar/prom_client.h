/* SPDX-License-Identifier: Apache-2.0 */
/* What the sidecar asks of Prometheus: its external labels, its flags, a snapshot of
 * its data, and to read its configuration again. */
#ifndef SIDECAR_PROM_CLIENT_H
#define SIDECAR_PROM_CLIENT_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/clock.h"
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

/* Whether a name is one that Prometheus gives: it leads nowhere else. */
NODISCARD bool sidecar_prom_client_is_snapshot_name(const char *name);

/* Have it make a snapshot of its data directory, head included, and set *name to that
 * of the new folder in snapshots/ there: letters, digits and hyphens; release with
 * free. Asked once: after an error it may still make one, unless it has refused.
 * Errors ERR_UNSUPPORTED: its admin API is off; ERR_UNAVAILABLE: it is gone, or starts;
 * ERR_TIMEOUT; ERR_CANCELLED; ERR_DENIED; ERR_INVALID: no such answer. */
NODISCARD bool sidecar_prom_client_snapshot(struct sidecar_prom_client *c,
                                            int64_t deadline_ns,
                                            const struct cancel *cancel, char **name,
                                            struct err *err);

/* Have it read its configuration and rules again; true: it has taken them.
 * Errors ERR_UNSUPPORTED: that is off; ERR_INVALID: it has refused them and goes on
 * with those from before; otherwise as of a snapshot. */
NODISCARD bool sidecar_prom_client_reload(struct sidecar_prom_client *c,
                                          int64_t deadline_ns,
                                          const struct cancel *cancel, struct err *err);

/* What became of the last time that it read them. */
struct sidecar_prom_loaded {
    bool is_good;
    char at[CLOCK_RFC3339_SIZE]; /* when it has taken some, in its own words; it tells
                                    whole seconds */
};

/* Errors as of a snapshot. */
NODISCARD bool sidecar_prom_client_loaded(struct sidecar_prom_client *c,
                                          int64_t deadline_ns,
                                          const struct cancel *cancel,
                                          struct sidecar_prom_loaded *loaded,
                                          struct err *err);

#endif
