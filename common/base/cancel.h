/* SPDX-License-Identifier: Apache-2.0 */
/* A flag that one thread raises and another looks at between steps of long work. */
#ifndef COMMON_BASE_CANCEL_H
#define COMMON_BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The zero value is not raised. */
struct cancel {
    atomic_bool raised;
};

static inline void
cancel_raise(struct cancel *c)
{
    atomic_store(&c->raised, true);
}

/* c may be NULL: never raised. */
static inline bool
cancel_is_raised(const struct cancel *c)
{
    return c != NULL && atomic_load_explicit(&c->raised, memory_order_relaxed);
}

#endif
