/* SPDX-License-Identifier: Apache-2.0 */
/* Label sets: pairs sorted by name, names unique and not empty. A set borrows its
 * bytes. The order of sets is that of series in a block and in an answer. */
#ifndef COMMON_TSDB_LABELS_H
#define COMMON_TSDB_LABELS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/bytes.h"

struct tsdb_label {
    struct bytes name;
    struct bytes value;
};

struct tsdb_labels {
    const struct tsdb_label *at;
    size_t len;
};

/* Compare pair by pair, name then value, as bytes; a strict prefix sorts first. */
int tsdb_labels_cmp(struct tsdb_labels a, struct tsdb_labels b);

/* Whether a's pairs are the first pairs of b. */
NODISCARD bool tsdb_labels_is_prefix(struct tsdb_labels a, struct tsdb_labels b);

/* Value of a label, the empty slice if absent. */
struct bytes tsdb_labels_get(struct tsdb_labels l, struct bytes name);

/* own plus external; where both have a name the external value wins. The result lives
 * in the arena, the bytes stay borrowed. Returns an empty set if the arena failed. */
struct tsdb_labels tsdb_labels_with_external(struct tsdb_labels own,
                                             struct tsdb_labels external,
                                             struct arena *arena);

/* Sort by name in place. Returns false if two names are equal or one is empty. */
NODISCARD bool tsdb_labels_sort(struct tsdb_label *at, size_t len);

/* The label name that Prometheus escaped for places which take no UTF-8, as in
 * "U__k8s_2e_pod" for "k8s.pod"; a name of another form stays as it is. The result
 * lives in arena or is name itself. */
struct bytes tsdb_labels_unescape_name(struct bytes name, struct arena *arena);

/* Append name, operator and value of a pair, as of tsdb_labels_print. */
void tsdb_labels_print_pair(const struct tsdb_label *pair, const char *operator,
                            struct buf * out);

/* Append {a="1", b="2"} in PromQL notation; names that need it are quoted, values are
 * escaped, long values cut, so that it fits an error or a log line. */
void tsdb_labels_print(struct tsdb_labels l, struct buf *out);

#endif
