/* SPDX-License-Identifier: Apache-2.0 */
/* Label matchers: =, !=, =~, !~ with the meaning of Prometheus (an absent label has
 * the value ""). Common regular expressions are recognised and answered without one.
 * Immutable once made; may be shared by threads. */
#ifndef COMMON_TSDB_MATCHER_H
#define COMMON_TSDB_MATCHER_H

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

enum tsdb_matcher_type {
    TSDB_MATCH_EQ = 0,
    TSDB_MATCH_NEQ = 1,
    TSDB_MATCH_RE = 2,
    TSDB_MATCH_NRE = 3
};

struct tsdb_matcher;

/* Take the operator at the start of *text off it; false, with nothing taken: there is
 * none. */
NODISCARD bool tsdb_matcher_take_operator(struct bytes *text,
                                          enum tsdb_matcher_type *type);

/* What is known of the values for which a matcher's positive form (= or =~) holds. */
enum tsdb_matcher_shape {
    TSDB_SHAPE_SET,      /* exactly the values of tsdb_matcher_set */
    TSDB_SHAPE_PREFIX,   /* only values with tsdb_matcher_prefix; test each of them */
    TSDB_SHAPE_NONEMPTY, /* every value but "" (=~".+") */
    TSDB_SHAPE_ALL,      /* every value (=~".*") */
    TSDB_SHAPE_ANY       /* nothing: test each value */
};

/* Make a matcher; name and value are copied.
 * Errors ERR_INVALID: empty name, unknown type, bad expression (its text is named). */
NODISCARD bool tsdb_matcher_new(struct tsdb_matcher **out, enum tsdb_matcher_type type,
                                struct bytes name, struct bytes value, struct err *err);
void tsdb_matcher_free(struct tsdb_matcher **m);

struct bytes tsdb_matcher_name(const struct tsdb_matcher *m);
enum tsdb_matcher_type tsdb_matcher_type(const struct tsdb_matcher *m);
struct bytes tsdb_matcher_value(const struct tsdb_matcher *m);

/* Append name, operator and value in PromQL notation, long ones cut, for people. */
void tsdb_matcher_print(const struct tsdb_matcher *m, struct buf *out);

/* Whether the label value satisfies the matcher; negation included. */
NODISCARD bool tsdb_matcher_matches(const struct tsdb_matcher *m, struct bytes value);

/* Whether a series without the label satisfies it: matches(""), known beforehand. */
NODISCARD bool tsdb_matcher_matches_absent(const struct tsdb_matcher *m);

/* != or !~. */
NODISCARD bool tsdb_matcher_is_negative(const struct tsdb_matcher *m);

/* Shape of the positive form; for = a set of one. */
enum tsdb_matcher_shape tsdb_matcher_shape(const struct tsdb_matcher *m);

/* The set of TSDB_SHAPE_SET, sorted, unique, possibly with ""; *count is its size. */
const struct bytes *tsdb_matcher_set(const struct tsdb_matcher *m, size_t *count);

/* The prefix of TSDB_SHAPE_PREFIX. */
struct bytes tsdb_matcher_prefix(const struct tsdb_matcher *m);

#endif
