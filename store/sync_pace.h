/* SPDX-License-Identifier: Apache-2.0 */
/* When the next pass over the bucket is due: one per interval, sooner after a pass that
 * has left something, and soonest where a query has seen that the bucket has changed.
 * Knows neither clock nor thread; all times are spans in ns. One thread at a time. */
#ifndef STORE_SYNC_PACE_H
#define STORE_SYNC_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct store_sync_pace {
    int64_t interval_ns;
    int64_t suggested_ns; /* how long a suggestion waits after a pass, at least */
    /* private */
    int64_t retry_ns;
};

/* What a pass came to. */
struct store_sync_pass {
    bool has_listed;  /* the bucket */
    bool is_complete; /* nothing has failed or is left to be read */
    int64_t took_ns;
    /* How long the newest of what is left has been refused, if all of it is refused in
     * a way that a server means; 0: some of it failed in another way. */
    int64_t refused_ns;
};

void store_sync_pace_init(struct store_sync_pace *p, int64_t interval_ns);

/* Tell why a pass begins: because it was suggested, or not only for that. */
void store_sync_pace_begin(struct store_sync_pace *p, bool is_suggested);

/* How long to wait after a pass: the interval, or less while passes leave something,
 * twice as long each time. What takes long is not tried again at once, and what stays
 * refused ever more rarely: each pass lists the whole bucket. */
int64_t store_sync_pace_end(struct store_sync_pace *p,
                            const struct store_sync_pass *pass);

/* A wait give or take a tenth, which of all is chosen by a random number, so that
 * replicas do not list the bucket together. */
int64_t store_sync_pace_jittered(int64_t wait_ns, uint64_t random);

#endif
