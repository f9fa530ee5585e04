/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms, and their text exposition.
 *
 * Families are made at start and live as long as their registry. A child (one
 * combination of label values) is made once, with value 0, and then updated lock-free
 * by any thread through its pointer; so every combination exists from the start. */
#ifndef COMMON_METRICS_REGISTRY_H
#define COMMON_METRICS_REGISTRY_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/compiler.h"

struct metrics_registry;
struct metrics_family;
struct metrics_value;     /* child of a counter or gauge */
struct metrics_histogram; /* child of a histogram */

struct metrics_registry *metrics_registry_new(void);
void metrics_registry_free(struct metrics_registry **r);

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE };

/* New family. label_names is NULL-terminated, or NULL for no labels. Names and help are
 * borrowed and must outlive the registry (literals). A second family of the same name
 * is a programming error. */
struct metrics_family *metrics_family_new(struct metrics_registry *r,
                                          enum metrics_kind kind, const char *name,
                                          const char *help,
                                          const char *const *label_names);

/* Ascending upper bounds without +Inf; borrowed like the names. */
struct metrics_family *metrics_histogram_family_new(struct metrics_registry *r,
                                                    const char *name, const char *help,
                                                    const char *const *label_names,
                                                    const double *bounds,
                                                    size_t bound_count);

/* The child with these label values (copied; as many as label names), made when it is
 * not there yet. */
struct metrics_value *metrics_child(struct metrics_family *f,
                                    const char *const *label_values);
struct metrics_histogram *metrics_histogram_child(struct metrics_family *f,
                                                  const char *const *label_values);

/* A family without labels and its only child in one step. */
struct metrics_value *metrics_counter(struct metrics_registry *r, const char *name,
                                      const char *help);
struct metrics_value *metrics_gauge(struct metrics_registry *r, const char *name,
                                    const char *help);

void metrics_add(struct metrics_value *v, double delta);
void metrics_set(struct metrics_value *v, double value);
double metrics_get(const struct metrics_value *v);
void metrics_observe(struct metrics_histogram *h, double value);

/* Call fn before each exposition, to set gauges that are read from elsewhere (resident
 * memory, budget). At most 16. */
typedef void metrics_collect_fn(void *arg);
void metrics_on_collect(struct metrics_registry *r, metrics_collect_fn *fn, void *arg);

/* Append the text exposition (version 0.0.4) of all families that have children, in
 * order of creation. */
void metrics_print(struct metrics_registry *r, struct buf *out);

/* The same as OpenMetrics 1.0: counters are named without _total (those that do not end
 * so, or would be named like another family, are of unknown type), bounds are canonical
 * numbers, and the last line says # EOF. Format OpenMetrics 1.0.0, "Text format". */
void metrics_print_openmetrics(struct metrics_registry *r, struct buf *out);

/* Register process_* and the few go_* names that dashboards of Thanos read, filled from
 * /proc at each exposition. */
void metrics_process_register(struct metrics_registry *r);

#endif
