/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP client with its connection, and its manners. */
#ifndef TESTS_E2E_LOAD_ASKER_H
#define TESTS_E2E_LOAD_ASKER_H

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/cancel.h"
#include "tests/e2e/load/tally.h"

enum asker_manner {
    ASKER_READS,        /* as fast as it can */
    ASKER_READS_SLOWLY, /* a kilobyte a second, through a small window */
    ASKER_LEAVES_AT_FIRST_BYTE,
    ASKER_LEAVES_BEFORE, /* some milliseconds after it has asked */
};

struct asker {
    enum asker_manner manner;
    const struct cancel *stop; /* everything ends at once */
    struct tally *tally;
    bool keeps;      /* the body of an answer, in body */
    struct buf body; /* also the beginning of what a refusal says */
    /* private */
    CURL *curl;
    struct curl_slist *read_headers;
    uint64_t received;
    unsigned turn;
};

struct asker_request {
    const char *url;
    struct bytes post; /* of remote read; empty: a GET */
};

struct asker_answer {
    enum tally_outcome outcome;
    long status;
    int64_t took_ns;
    char text[TALLY_TEXT]; /* why it is not whole */
};

/* The first four fields are set by the caller. Ends the program without memory. */
void asker_init(struct asker *a);
void asker_fini(struct asker *a);

/* Ask once. False: it was told to stop, which counts nowhere. */
NODISCARD bool asker_ask(struct asker *a, const struct asker_request *r,
                         struct asker_answer *answer);

#endif
