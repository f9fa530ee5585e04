/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that asks Prometheus for its external labels, again and again.
 *
 * It keeps the last set it was told, so that uploads go on while Prometheus is down,
 * and it decides readiness: ready while Prometheus answers and has labels. Nothing ends
 * the wait for Prometheus but a stop. */
#ifndef SIDECAR_HEARTBEAT_H
#define SIDECAR_HEARTBEAT_H

#include "common/app/admin.h"
#include "sidecar/prom_client.h"

struct sidecar_heartbeat;

/* All is borrowed and must outlive the heartbeat. */
struct sidecar_heartbeat_options {
    struct sidecar_prom_client *client;
    struct app_admin *admin;
    struct metrics_registry *metrics;
    int64_t interval_ns;        /* between two beats */
    int64_t timeout_ns;         /* of one beat */
    int64_t ready_timeout_ns;   /* past it failures are errors; 0: never */
    void (*changed)(void *arg); /* on the heartbeat's thread: new labels are there */
    void *changed_arg;
};

/* Start the thread; the first beat follows at once. */
NODISCARD bool sidecar_heartbeat_start(struct sidecar_heartbeat **out,
                                       const struct sidecar_heartbeat_options *options,
                                       struct err *err);

/* Copy of the labels last told, empty if none were. Any thread. */
struct sidecar_ext_labels sidecar_heartbeat_labels(struct sidecar_heartbeat *h);

/* Cancel a running request, end the thread, release. Accepts NULL. */
void sidecar_heartbeat_stop(struct sidecar_heartbeat **h);

#endif
