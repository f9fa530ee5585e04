/* SPDX-License-Identifier: Apache-2.0 */
#include "store/range_flight.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"

/* There are not more leaders than threads that read. */
enum { CHAINS = 64 };

struct store_range_flights {
    struct mutex lock;
    struct store_range_flight *chains[CHAINS]; /* leaders; guarded by lock */
};

struct store_range_flights *
store_range_flights_new(void)
{
    struct store_range_flights *flights = xcalloc(1, sizeof *flights);
    mutex_init(&flights->lock, LOCK_RANGE_FLIGHT);
    return flights;
}

void
store_range_flights_free(struct store_range_flights **out)
{
    struct store_range_flights *flights = TAKE(*out);
    if (flights == NULL)
        return;
    for (size_t i = 0; i < CHAINS; i++)
        CHECK(flights->chains[i] == NULL);
    mutex_fini(&flights->lock);
    free(flights);
}

static struct store_range_flight **
chain_of(struct store_range_flights *flights, const struct store_range *r)
{
    uint64_t place = (r->offset ^ r->len) * UINT64_C(0x9e3779b97f4a7c15);
    mutex_check_held(&flights->lock);
    return &flights->chains[place >> 58];
}

_Static_assert(CHAINS == 1 << (64 - 58), "six bits choose the chain");

static bool
is_same(const struct store_range *a, const struct store_range *b)
{
    return a->offset == b->offset && a->len == b->len && bytes_eq(a->key, b->key);
}

bool
store_range_flights_join(struct store_range_flights *flights,
                         struct store_range_flight *f, const struct store_range *range)
{
    MUTEX_SCOPE(&flights->lock);
    struct store_range_flight **chain = chain_of(flights, range), *leader = *chain;
    *f = (struct store_range_flight){.range = *range};
    while (leader != NULL && !is_same(&leader->range, range))
        leader = leader->other;
    if (leader == NULL) {
        f->other = *chain;
        *chain = f;
        return true;
    }
    f->leader = leader;
    f->next = leader->followers;
    leader->followers = f;
    return false;
}

struct store_range_flight *
store_range_flights_land(struct store_range_flights *flights,
                         struct store_range_flight *f)
{
    MUTEX_SCOPE(&flights->lock);
    struct store_range_flight **link = chain_of(flights, &f->range);
    while (*link != f)
        link = &(*link)->other;
    *link = f->other;
    for (struct store_range_flight *follower = f->followers; follower != NULL;
         follower = follower->next)
        follower->leader = NULL;
    return TAKE(f->followers);
}

bool
store_range_flights_leave(struct store_range_flights *flights,
                          struct store_range_flight *f)
{
    MUTEX_SCOPE(&flights->lock);
    if (f->leader == NULL)
        return false;
    struct store_range_flight **link = &f->leader->followers;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    f->leader = NULL;
    return true;
}
