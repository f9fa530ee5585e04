/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that cost a store as much as its clients can make it cost. */
#ifndef TESTS_E2E_LOAD_HOSTILE_H
#define TESTS_E2E_LOAD_HOSTILE_H

#include "common/base/buf.h"
#include "tests/e2e/load/asker.h"

enum hostile_kind {
    HOSTILE_STREAMED,
    HOSTILE_REGEX,
    HOSTILE_SAMPLED,
    HOSTILE_SLOW,
    HOSTILE_LEAVES_FIRST,
    HOSTILE_LEAVES_BEFORE,
    HOSTILE_ALL_BLOCKS,
    HOSTILE_DISCOVERY,
    HOSTILE_MANY_QUERIES,
    HOSTILE_KINDS
};

struct hostile_data {
    const char *server; /* http://host:port */
    int64_t from_ms;    /* of the blocks with most of the data */
    int64_t to_ms;
};

const char *hostile_name(enum hostile_kind kind);
enum asker_manner hostile_manner(enum hostile_kind kind);

/* The turn-th request of a client of that kind. url and post are emptied first. */
void hostile_request(const struct hostile_data *d, enum hostile_kind kind,
                     unsigned turn, struct buf *url, struct buf *post);

#endif
