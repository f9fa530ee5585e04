/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is charged to a budget before it is allocated: what arenas and buffers
 * are made of.
 *
 * Large pieces can be mapped by themselves, so that freeing them gives them back to the
 * system whatever lies around them, and some of them kept for the next one that needs
 * that size, because a fresh page costs about as much as filling it. */
#ifndef COMMON_BASE_MEMORY_H
#define COMMON_BASE_MEMORY_H

#include "common/base/budget.h"
#include "common/base/mutex.h"

/* Sizes of large pieces: four in each doubling, from MEMORY_LARGE to MEMORY_MAX_KEPT.
 */
enum {
    MEMORY_LARGE = 64 * 1024,
    MEMORY_DOUBLINGS = 8,
    MEMORY_STEPS = 4,
    MEMORY_MAX_KEPT = MEMORY_LARGE << MEMORY_DOUBLINGS
};

struct memory_piece;

/* Freed large pieces, charged to the root. */
struct memory_keep {
    /* private */
    struct budget *root;
    size_t most;
    struct mutex lock; /* LOCK_MEMORY */
    /* guarded by lock */
    struct memory_piece *pieces[MEMORY_DOUBLINGS * MEMORY_STEPS];
    size_t kept; /* bytes */
};

/* From now on large pieces that are charged below root are mapped, and at most so many
 * bytes of freed ones kept. Before anything is charged to root, which outlives *k. */
void memory_keep_init(struct memory_keep *k, struct budget *root, size_t most);

/* When everything was given back. */
void memory_keep_fini(struct memory_keep *k);

/* A budget_reclaim_fn; arg is the struct memory_keep. */
size_t memory_keep_reclaim(void *arg, size_t want);

/* Bytes that are kept now. Any thread. */
size_t memory_keep_held(struct memory_keep *k);

/* At least *size bytes, aligned for any object and not initialised; *size becomes what
 * is charged. NULL with err filled: those of budget_take, ERR_NOMEM. Any thread. */
NODISCARD void *memory_alloc(struct budget *b, size_t *size, struct err *err);

/* Free what memory_alloc returned, with the size that it told. Accepts NULL, with 0. */
void memory_free(struct budget *b, void *at, size_t size);

#endif
