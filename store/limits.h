/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of one request, counted as the query goes on, each before the data that would
 * exceed it are read. */
#ifndef STORE_LIMITS_H
#define STORE_LIMITS_H

#include <stdint.h>

#include "common/base/err.h"

/* Thanos counts samples as chunks of this many. */
enum { STORE_LIMITS_SAMPLES_PER_CHUNK = 120 };

struct store_limits {
    uint64_t max_series;  /* 0: none */
    uint64_t max_samples; /* 0: none; rounded up to whole chunks */
    uint64_t max_bytes;   /* 0: none */
    /* counted so far */
    uint64_t series;
    uint64_t chunks;
    uint64_t bytes;
    const char *refused; /* which limit refused the request, as metrics call it; NULL:
                            none */
};

/* Count n more, before their data is read.
 * Errors ERR_BUDGET, naming the flag and its value. */
NODISCARD bool store_limits_add_series(struct store_limits *l, uint64_t n,
                                       struct err *err);
NODISCARD bool store_limits_add_chunks(struct store_limits *l, uint64_t n,
                                       struct err *err);
/* Of bytes both those that are fetched and those that a cache has. */
NODISCARD bool store_limits_add_bytes(struct store_limits *l, uint64_t n,
                                      struct err *err);

#endif
