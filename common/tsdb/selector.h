/* SPDX-License-Identifier: Apache-2.0 */
/* Series selectors of PromQL: name{label="value", other=~"a|b"}, also with quoted
 * names,
 * {"metric.name", "label.name"!="value"}. */
#ifndef COMMON_TSDB_SELECTOR_H
#define COMMON_TSDB_SELECTOR_H

#include "common/base/arena.h"
#include "common/tsdb/matcher.h"

/* What a matcher is made of. */
struct tsdb_selector_term {
    enum tsdb_matcher_type type;
    struct bytes name;
    struct bytes value;
};

/* All terms must hold; none of them is one, for {}. A metric name is a term on
 * "__name__". */
struct tsdb_selector {
    const struct tsdb_selector_term *at;
    size_t count;
};

/* Parse text as Prometheus parses the argument match[]: comments, strings in double,
 * single and back quotes with the escapes of Go. Keywords are names here. The result
 * lives in arena and may borrow from text.
 * Errors ERR_INVALID, with line and column; ERR_BUDGET. */
NODISCARD bool tsdb_selector_parse(struct tsdb_selector *out, struct bytes text,
                                   struct arena *arena, struct err *err);

#endif
