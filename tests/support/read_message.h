/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of remote read as a client needs them: requests are made, answers are
 * checked and counted. */
#ifndef TESTS_SUPPORT_READ_MESSAGE_H
#define TESTS_SUPPORT_READ_MESSAGE_H

#include "common/base/buf.h"

struct read_query {
    int64_t from_ms;
    int64_t to_ms;
    const char *const *matchers; /* name=value, and likewise with != =~ !~ */
    size_t matcher_count;
};

struct read_totals {
    uint64_t series;
    uint64_t samples;
};

/* Append the compressed ReadRequest that asks the query copies times. False: a matcher
 * has no operator. */
NODISCARD bool read_message_request(const struct read_query *query, size_t copies,
                                    bool is_sampled, struct buf *out);

/* Check each frame of a streamed answer and add what is in it. A chunk counts with all
 * its samples. */
NODISCARD bool read_message_count_frames(struct bytes body, struct read_totals *t);

/* Add what is in a sampled answer. */
NODISCARD bool read_message_count_sampled(struct bytes body, struct read_totals *t);

#endif
