/* SPDX-License-Identifier: Apache-2.0 */
/* Input for parsers flush against an unreadable page: a read one byte too far is a
 * SIGSEGV in every build, not only under a sanitizer. */
#ifndef TESTS_SUPPORT_GUARD_H
#define TESTS_SUPPORT_GUARD_H

#include "common/base/bytes.h"

struct guard {
    struct bytes bytes; /* the copy; the byte behind it cannot be read */
    /* private */
    void *map;
    size_t map_len;
};

/* A guarded copy of bytes. Aborts when memory cannot be mapped. */
struct guard guard_new(struct bytes bytes);

/* Release the copy. CLEANUP handler; accepts the zero value. */
void guard_fini(struct guard *g);

/* Called with a guarded copy that lives until the call returns. */
typedef void guard_fn(void *arg, struct bytes bytes);

/* Call fn with each proper prefix of bytes, the empty one first. */
void for_each_truncation(struct bytes bytes, guard_fn *fn, void *arg);

/* Call fn with bytes once for each bit of it, that bit inverted. */
void for_each_bit_flip(struct bytes bytes, guard_fn *fn, void *arg);

#endif
