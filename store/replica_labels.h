/* SPDX-License-Identifier: Apache-2.0 */
/* Labels that tell replicas of one series from each other. They are not in answers;
 * matchers still see them. */
#ifndef STORE_REPLICA_LABELS_H
#define STORE_REPLICA_LABELS_H

#include "common/tsdb/labels.h"

/* Names, ascending and unique. The zero value has none. Borrows their bytes. */
struct store_replica_labels {
    struct bytes *names;
    size_t count;
};

/* Take names from texts, each one or several that are separated by commas; texts must
 * outlive *r. Errors ERR_INVALID: an empty name, or one that is no UTF-8. */
NODISCARD bool store_replica_labels_init(struct store_replica_labels *r,
                                         const char *const *texts, size_t count,
                                         struct err *err);

/* Accepts the zero value. */
void store_replica_labels_fini(struct store_replica_labels *r);

NODISCARD bool store_replica_labels_has(const struct store_replica_labels *r,
                                        struct bytes name);

/* Whether one of the labels is of a replica. */
NODISCARD bool store_replica_labels_in(const struct store_replica_labels *r,
                                       struct tsdb_labels labels);

/* The labels that stay, and those that do not; both live in arena, bytes stay borrowed.
 * Errors ERR_BUDGET. */
NODISCARD bool store_replica_labels_split(const struct store_replica_labels *r,
                                          struct tsdb_labels labels,
                                          struct tsdb_labels *stay,
                                          struct tsdb_labels *replica,
                                          struct arena *arena, struct err *err);

#endif
