/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_METRICS_REGISTRY_PRIV_H
#define COMMON_METRICS_REGISTRY_PRIV_H

#include "common/metrics/registry.h"

/* As metrics_on_collect, and release arg with free when the registry is released. */
void metrics_on_collect_owned(struct metrics_registry *r, metrics_collect_fn *fn,
                              void *arg);

#endif
