/* SPDX-License-Identifier: Apache-2.0 */
/* Hierarchical byte budget: process -> query. Bytes are taken before they are
 * allocated and given back when they are released. Lock-free; any thread. */
#ifndef COMMON_BASE_BUDGET_H
#define COMMON_BASE_BUDGET_H

#include <stdatomic.h>
#include <stddef.h>

#include "common/base/err.h"

struct budget {
    /* private */
    const char *name;
    struct budget *parent;
    size_t limit;
    atomic_size_t used;
    atomic_size_t peak;
};

/* limit in bytes; SIZE_MAX is no limit of its own. name appears in errors and, like
 * parent (NULL for the root), must outlive *b. */
void budget_init(struct budget *b, const char *name, size_t limit,
                 struct budget *parent);

/* Take n bytes here and from all ancestors, or from none.
 * Errors ERR_BUDGET: it does not fit here, or could never fit into an ancestor;
 * ERR_UNAVAILABLE: others hold too much of an ancestor now. Both name the budget, its
 * limit, what is used and what was asked. */
NODISCARD bool budget_take(struct budget *b, size_t n, struct err *err);

/* Give back n bytes that were taken. */
void budget_give(struct budget *b, size_t n);

size_t budget_used(const struct budget *b);
size_t budget_peak(const struct budget *b);
size_t budget_limit(const struct budget *b);

/* Check that everything was given back. */
void budget_fini(struct budget *b);

#endif
