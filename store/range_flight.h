/* SPDX-License-Identifier: Apache-2.0 */
/* Reads in flight: of several queries that want the same range at the same time one
 * reads it, the leader, and the others follow. A read is in flight while it runs, not
 * while it is queued: nobody waits behind the queue of another query. Following takes
 * no thread. */
#ifndef STORE_RANGE_FLIGHT_H
#define STORE_RANGE_FLIGHT_H

#include "store/range_cache.h"

struct store_range_flights;

/* One who wants a range; embedded in its read. The zero value wants nothing. */
struct store_range_flight {
    struct store_range_flight *next; /* in what landing yields */
    /* private */
    struct store_range range;
    /* guarded by the lock of the flights */
    struct store_range_flight *other;     /* leader in the same chain */
    struct store_range_flight *followers; /* of a leader */
    struct store_range_flight *leader;    /* of a follower; NULL: it follows nobody */
};

struct store_range_flights *store_range_flights_new(void);

/* Nothing is in flight. *f becomes NULL; accepts NULL. */
void store_range_flights_free(struct store_range_flights **f);

/* Whether f leads: nobody reads the range now, so it has to, and to land after that.
 * Else it follows, until its leader has landed or it leaves; it may be handed on from
 * another thread before this returns. The key of range outlives that. O(1). */
NODISCARD bool store_range_flights_join(struct store_range_flights *flights,
                                        struct store_range_flight *f,
                                        const struct store_range *range);

/* f, a leader, has read, well or not. Returns who followed it, as a list that is the
 * caller's now: each of them has to be told. */
struct store_range_flight *store_range_flights_land(struct store_range_flights *flights,
                                                    struct store_range_flight *f);

/* Whether f followed a leader and does not any more. False: it did not, or its leader
 * has landed and will tell it. O(followers). Any thread. */
NODISCARD bool store_range_flights_leave(struct store_range_flights *flights,
                                         struct store_range_flight *f);

#endif
