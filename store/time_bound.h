/* SPDX-License-Identifier: Apache-2.0 */
/* An end of the served time range: a time, or a distance from now. */
#ifndef STORE_TIME_BOUND_H
#define STORE_TIME_BOUND_H

#include <stdint.h>

#include "common/base/err.h"

struct store_time_bound {
    bool is_relative;
    int64_t ms; /* since the epoch, or from now on */
};

/* RFC 3339, or a duration like "-2w" (without the sign it lies in the future). The
 * first and the last second that RFC 3339 can tell, which are Thanos's defaults, are no
 * bound: a block may hold any time of 64 bits. Errors ERR_INVALID. */
NODISCARD bool store_time_bound_parse(const char *text, struct store_time_bound *bound,
                                      struct err *err);

/* The time in milliseconds since the epoch. */
int64_t store_time_bound_at(struct store_time_bound bound, int64_t now_ms);

#endif
