/* SPDX-License-Identifier: Apache-2.0 */
/* Hierarchical byte budget: process -> query. Bytes are taken before they are
 * allocated and given back when they are released. Any thread; lock-free until an
 * ancestor is spent. */
#ifndef COMMON_BASE_BUDGET_H
#define COMMON_BASE_BUDGET_H

#include <stdatomic.h>
#include <stddef.h>

#include "common/base/err.h"

struct budget_arbiter;
struct budget_member;
struct memory_keep;

struct budget {
    /* private */
    const char *name;
    struct budget *parent;
    size_t limit;
    struct budget_arbiter *arbiter; /* of a root, NULL for none (budget_arbiter.h) */
    struct memory_keep *keep;       /* of a root, NULL for none (memory.h) */
    struct budget_member *member;   /* who waits when an ancestor is spent; or NULL */
    size_t headroom;                /* bytes of each ancestor that are left to others */
    size_t reserve;                 /* bytes that ancestors lend in any case */
    atomic_size_t used;
    atomic_size_t peak;
};

/* limit in bytes; SIZE_MAX is no limit of its own. name appears in errors and, like
 * parent (NULL for the root), must outlive *b. */
void budget_init(struct budget *b, const char *name, size_t limit,
                 struct budget *parent);

/* From now on leave so many bytes of each ancestor to others. Before another thread
 * takes from b. */
void budget_set_headroom(struct budget *b, size_t n);

/* Have the ancestors lend n bytes in any case, less if the limit is less: b, and what
 * is below it, take them before more is taken from above. As budget_take, but what
 * fails leaves all as it was. b is taken from, here and below, on one thread at a time;
 * it keeps its reserve until budget_fini. */
NODISCARD bool budget_reserve(struct budget *b, size_t n, struct err *err);

/* Take n bytes here and from all ancestors, or from none. When an ancestor is spent,
 * caches give way and members wait, if the root has an arbiter; a waiting thread must
 * hold no lock.
 * Errors ERR_BUDGET: it does not fit here, or could never fit into an ancestor;
 * ERR_UNAVAILABLE: others hold too much of an ancestor now. Both name the budget, its
 * limit, what is used and what was asked. While waiting also those of the member's
 * go_on. */
NODISCARD bool budget_take(struct budget *b, size_t n, struct err *err);

/* The same for what one can do without: nobody gives way, nobody waits. */
NODISCARD bool budget_try(struct budget *b, size_t n);

/* Give back n bytes that were taken. */
void budget_give(struct budget *b, size_t n);

size_t budget_used(const struct budget *b);
size_t budget_peak(const struct budget *b);
size_t budget_limit(const struct budget *b);

/* Check that everything was given back; the reserve is. */
void budget_fini(struct budget *b);

/* For budget_arbiter.c: have the ancestors of b lend n bytes more, or none. */
NODISCARD bool budget_try_above(struct budget *b, size_t n);

#endif
