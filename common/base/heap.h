/* SPDX-License-Identifier: Apache-2.0 */
/* Binary heap of numbers that stand for sources to be merged, the one that comes first
 * on top. */
#ifndef COMMON_BASE_HEAP_H
#define COMMON_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap {
    size_t *at; /* the caller's, with room for all that are pushed */
    size_t count;
    /* Whether source a comes before source b. */
    bool (*is_before)(const void *arg, size_t a, size_t b);
    const void *arg;
};

void heap_push(struct heap *h, size_t source);

/* Remove and return the top; the heap is not empty. */
size_t heap_pop(struct heap *h);

#endif
