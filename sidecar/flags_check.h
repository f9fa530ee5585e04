/* SPDX-License-Identifier: Apache-2.0 */
/* Asks Prometheus for its flags, again and again, and says when they do not go with
 * shipping: in the log, in a metric, and to a status page. Nothing is stopped by it. */
#ifndef SIDECAR_FLAGS_CHECK_H
#define SIDECAR_FLAGS_CHECK_H

#include "common/metrics/registry.h"
#include "sidecar/prom_client.h"

struct sidecar_flags_check;

/* The texts of wanted are borrowed. */
struct sidecar_flags_check *
sidecar_flags_check_new(const struct sidecar_prom_flags_wanted *wanted,
                        struct metrics_registry *metrics);
void sidecar_flags_check_free(struct sidecar_flags_check **k);

/* Ask once and report; a verdict is logged when it changes, and an error once a minute.
 * Without an answer the last verdict stands. One thread. */
void sidecar_flags_check_run(struct sidecar_flags_check *k,
                             struct sidecar_prom_client *client, int64_t deadline_ns,
                             const struct cancel *cancel);

/* The verdict now. Any thread. */
struct sidecar_prom_flags_verdict
sidecar_flags_check_verdict(struct sidecar_flags_check *k);

#endif
