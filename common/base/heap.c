/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/heap.h"

void
heap_push(struct heap *h, size_t source)
{
    size_t at = h->count++;
    while (at > 0 && h->is_before(h->arg, source, h->at[(at - 1) / 2])) {
        h->at[at] = h->at[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->at[at] = source;
}

size_t
heap_pop(struct heap *h)
{
    size_t top = h->at[0];
    size_t moved = h->at[--h->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count &&
            h->is_before(h->arg, h->at[child + 1], h->at[child]))
            child++;
        if (!h->is_before(h->arg, h->at[child], moved))
            break;
        h->at[at] = h->at[child];
        at = child;
    }
    h->at[at] = moved;
    return top;
}
