/* SPDX-License-Identifier: Apache-2.0 */
/* A flag that one thread raises, once and for good. Others look at it between steps of
 * long work, or wait for it beside a socket. */
#ifndef COMMON_BASE_CANCEL_H
#define COMMON_BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The zero value is not raised and owns nothing; waiting makes the descriptors, so an
 * owner ends with cancel_fini. */
struct cancel {
    /* Raised with it, too; NULL: with none. Set before anybody else sees c; outlives
     * c. */
    const struct cancel *parent;
    /* private */
    atomic_bool raised;
    /* Descriptors + 1; 0 until a waiter needed them. */
    atomic_int event;
    atomic_int either; /* with a parent: readable when one of the two is */
};

/* Release the descriptors, once no other thread waits or raises. *c is the zero value
 * afterwards. */
void cancel_fini(struct cancel *c);

/* Any thread, any number of times. */
void cancel_raise(struct cancel *c);

/* c may be NULL: never raised. */
static inline bool
cancel_is_raised(const struct cancel *c)
{
    for (; c != NULL; c = c->parent)
        if (atomic_load_explicit(&c->raised, memory_order_relaxed))
            return true;
    return false;
}

/* A descriptor that is readable once c is raised: poll it, but do not read it. It is
 * made at the first call and lives until cancel_fini. -1 for a NULL c, and when the
 * process has no descriptor left: then only the flag tells. Any thread. */
int cancel_fd(const struct cancel *c);

/* Sleep for wait_ns of real time, or until c is raised (NULL: never), or a signal is
 * handled. Returns whether c is raised. */
bool cancel_wait(const struct cancel *c, int64_t wait_ns);

/* The same for two of them; returns whether one is raised. */
bool cancel_wait_either(const struct cancel *a, const struct cancel *b,
                        int64_t wait_ns);

/* The longest sleep of who waits for c beside something else: left_ns, or less when
 * there is no descriptor of c to wake it. */
int64_t cancel_max_sleep_ns(const struct cancel *c, int64_t left_ns);

#endif
