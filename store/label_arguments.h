/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of the discovery endpoints, as Prometheus takes them: match[], start, end,
 * limit, in the query string and, by POST, in a form. */
#ifndef STORE_LABEL_ARGUMENTS_H
#define STORE_LABEL_ARGUMENTS_H

#include "common/net/http_server.h"
#include "store/label_part.h"
#include "store/matcher_set.h"

/* The zero value selects everything. */
struct store_label_arguments {
    int64_t mint_ms; /* both ends inclusive */
    int64_t maxt_ms;
    uint64_t limit; /* 0: none */
    size_t set_count;
    struct store_matcher_set *sets; /* one for each match[] */
};

/* Read the arguments of a request; what they consist of lives in arena and draws on its
 * budget. Call fini also after an error.
 * Errors ERR_INVALID, naming the argument; ERR_BUDGET. */
NODISCARD bool store_label_arguments_read(struct store_label_arguments *a,
                                          const struct net_http_exchange *x,
                                          struct arena *arena, struct err *err);

/* Accepts the zero value. */
void store_label_arguments_fini(struct store_label_arguments *a);

/* A time as seconds since the epoch, with a fraction, or as RFC 3339; times beyond what
 * milliseconds can tell become the first or last one.
 * Errors ERR_INVALID. */
NODISCARD bool store_label_arguments_time(struct bytes text, int64_t *ms,
                                          struct err *err);

#endif
