/* SPDX-License-Identifier: Apache-2.0 */
/* The rate at which all threads of a bucket send requests, once its server has refused
 * one because there were too many. Passive: who calls brings the time and waits. */
#ifndef COMMON_OBJSTORE_PACE_H
#define COMMON_OBJSTORE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/mutex.h"

enum { OBJSTORE_PACE_SECONDS = 2 };

struct objstore_pace {
    /* private */
    atomic_bool is_on;
    _Atomic uint64_t accepted[OBJSTORE_PACE_SECONDS]; /* second << 32 | requests */
    struct mutex lock;
    /* guarded by lock */
    double peak;        /* requests a second that were too many, or all that passed */
    bool is_guess;      /* peak, after the first refusal */
    int64_t cut_ns;     /* when the rate was last cut below peak */
    double ticks;       /* what the rate has allowed since it was first set */
    int64_t counted_ns; /* until when */
    double next;        /* tick of the next turn to give away */
    int64_t pause_ns;   /* of the last pause; 0: a request was accepted since */
    int64_t paused_ns;  /* when the last pause began */
    int64_t resume_ns;  /* nothing is allowed before */
    int64_t refused_ns; /* the last refusal */
};

/* now_ns: clock_mono_ns, as all times below. */
void objstore_pace_init(struct objstore_pace *p, int64_t now_ns);
void objstore_pace_fini(struct objstore_pace *p);

/* Whether requests have to wait for a turn. One atomic load. */
bool objstore_pace_is_on(const struct objstore_pace *p);

/* Take the next turn, unless it comes after deadline_ns. Whoever is here first is
 * served first. Returns whether it was taken; *left_ns: how long until it comes. */
bool objstore_pace_take(struct objstore_pace *p, int64_t now_ns, int64_t deadline_ns,
                        double *turn, int64_t *left_ns);

/* How long until a turn comes, 0 if it has: the rate may have changed. */
int64_t objstore_pace_left_ns(struct objstore_pace *p, int64_t now_ns, double turn);

/* Give a turn back that was not used. */
void objstore_pace_return(struct objstore_pace *p);

/* A request sent at sent_ns was answered, in whatever way. */
void objstore_pace_accepted(struct objstore_pace *p, int64_t now_ns, int64_t sent_ns);

/* A request was refused because there were too many, and for how long the server wants
 * none (0: it did not say). Returns whether this began an episode. */
bool objstore_pace_refused(struct objstore_pace *p, int64_t now_ns, int64_t sent_ns,
                           int64_t retry_after_ns);

/* Whether an episode ended just now: nothing was refused for a while. */
bool objstore_pace_forget(struct objstore_pace *p, int64_t now_ns);

/* Requests a second that are allowed now. */
double objstore_pace_rate(struct objstore_pace *p, int64_t now_ns);

#endif
