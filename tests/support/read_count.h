/* SPDX-License-Identifier: Apache-2.0 */
/* What is in an answer, so that those of different servers can be compared. */
#ifndef TESTS_SUPPORT_READ_COUNT_H
#define TESTS_SUPPORT_READ_COUNT_H

#include "tests/support/read_request.h"

struct read_totals {
    uint64_t series;
    uint64_t samples;
};

/* Add the series and samples of a whole body to *t. Checks the frames, and with them
 * the checksums where the protocol has any. False: the body is cut, damaged, or carries
 * a warning. */
NODISCARD bool read_count(enum read_protocol protocol, struct bytes body,
                          struct read_totals *t);

/* The same for the frames of a streamed answer that have arrived: *rest becomes what is
 * left of it, the beginning of a frame. False: damaged. */
NODISCARD bool read_count_arrived(struct bytes *rest, struct read_totals *t);

#endif
