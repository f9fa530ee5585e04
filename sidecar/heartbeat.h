/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that asks Prometheus for its external labels, again and again, and for its
 * flags if that is of interest.
 *
 * It keeps the last set it was told, so that uploads go on while Prometheus is down; a
 * Prometheus that answers and has no labels ends that set. And it decides readiness:
 * ready while Prometheus answers and has labels. Nothing ends the wait for Prometheus
 * but a stop. */
#ifndef SIDECAR_HEARTBEAT_H
#define SIDECAR_HEARTBEAT_H

#include "common/app/admin.h"
#include "sidecar/flags_check.h"

struct sidecar_heartbeat;

/* All is borrowed and must outlive the heartbeat. */
struct sidecar_heartbeat_options {
    struct sidecar_prom_client *client;
    struct app_admin *admin;
    struct metrics_registry *metrics;
    int64_t interval_ns;      /* between two beats */
    int64_t timeout_ns;       /* of one beat */
    int64_t ready_timeout_ns; /* of having no labels: then it is an error; 0: never */
    /* Copied at the start, without its texts. NULL: the flags do not matter. */
    const struct sidecar_prom_flags_wanted *wanted_flags;
    void (*changed)(void *arg); /* on the heartbeat's thread: new labels are there */
    void *changed_arg;
};

/* Start the thread; the first beat follows at once. */
NODISCARD bool sidecar_heartbeat_start(struct sidecar_heartbeat **out,
                                       const struct sidecar_heartbeat_options *options,
                                       struct err *err);

enum sidecar_labels_state {
    SIDECAR_LABELS_UNKNOWN, /* Prometheus has not answered yet */
    SIDECAR_LABELS_KNOWN,   /* it may be down since */
    SIDECAR_LABELS_NONE     /* it has answered: none, or no longer any */
};

/* Copy the labels that a block found now gets into *out (the zero value), which stays
 * empty unless they are known. Any thread. */
enum sidecar_labels_state sidecar_heartbeat_labels(struct sidecar_heartbeat *h,
                                                   struct sidecar_ext_labels *out);

/* What was found of the flags of Prometheus. Any thread. */
struct sidecar_prom_flags_verdict sidecar_heartbeat_flags(struct sidecar_heartbeat *h);

/* Cancel a running request, end the thread, release. Accepts NULL. */
void sidecar_heartbeat_stop(struct sidecar_heartbeat **h);

#endif
