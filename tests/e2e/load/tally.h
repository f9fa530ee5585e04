/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the requests of one kind. */
#ifndef TESTS_E2E_LOAD_TALLY_H
#define TESTS_E2E_LOAD_TALLY_H

#include <pthread.h>

#include "common/codec/json.h"

enum tally_outcome {
    TALLY_WHOLE,     /* status 200, to the last byte */
    TALLY_WRONG,     /* the same, with other bytes than expected */
    TALLY_REFUSED,   /* another status, to the last byte */
    TALLY_ABORTED,   /* status 200, but the answer was cut */
    TALLY_NO_ANSWER, /* no status at all */
    TALLY_LEFT,      /* by the client's own will */
    TALLY_OUTCOMES
};

enum { TALLY_STATUSES = 600, TALLY_TEXTS = 40, TALLY_TEXT = 200 };

struct tally {
    pthread_mutex_t lock;
    /* guarded by lock */
    uint64_t outcomes[TALLY_OUTCOMES];
    uint64_t statuses[TALLY_STATUSES];
    struct {
        char text[TALLY_TEXT];
        uint64_t times;
    } texts[TALLY_TEXTS];
    uint64_t bytes; /* of bodies */
    int64_t *took_ns;
    size_t took_count;
    size_t took_cap;
};

void tally_init(struct tally *t);
void tally_fini(struct tally *t);

/* status: 0 is none. text, what a refusal or a failure says, may be empty; numbers in
 * it do not tell texts apart. Any thread. */
void tally_add(struct tally *t, enum tally_outcome outcome, long status,
               const char *text, int64_t took_ns);

void tally_add_bytes(struct tally *t, uint64_t bytes);

/* Its numbers as a member of parent. Times are of whole answers. */
void tally_print(struct tally *t, const char *name, struct json *parent);

#endif
