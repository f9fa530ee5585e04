/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/symbol_set.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"

enum { FIRST_SLOTS = 1024 }; /* a power of two */

/* Open addressing; a slot holds a symbol's id + 1, or 0 when it is free. */
struct symbol_set {
    struct symbol *symbols;
    uint32_t count;
    uint32_t *slots;
    uint32_t slot_count; /* a power of two, more than twice count */
};

struct symbol_set *
symbol_set_new(void)
{
    struct symbol_set *s = xcalloc(1, sizeof *s);
    s->slot_count = FIRST_SLOTS;
    s->slots = xcalloc(s->slot_count, sizeof *s->slots);
    s->symbols = xcalloc(s->slot_count / 2, sizeof *s->symbols);
    return s;
}

void
symbol_set_free(struct symbol_set **pointer)
{
    struct symbol_set *s = TAKE(*pointer);
    if (!s)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        free((void *)(uintptr_t)s->symbols[i].text.at);
    free(s->symbols);
    free(s->slots);
    free(s);
}

/* The slot of text, or the free slot where it belongs. */
static uint32_t *
find_slot(const struct symbol_set *s, struct bytes text)
{
    uint32_t mask = s->slot_count - 1;
    uint32_t at = crc32c(text) & mask;
    while (s->slots[at] != 0 && !bytes_eq(s->symbols[s->slots[at] - 1].text, text))
        at = (at + 1) & mask;
    return &s->slots[at];
}

static void
grow(struct symbol_set *s)
{
    CHECK(s->slot_count <= UINT32_MAX / 2);
    s->slot_count *= 2;
    free(s->slots);
    s->slots = xcalloc(s->slot_count, sizeof *s->slots);
    s->symbols = xrealloc(s->symbols, s->slot_count / 2 * sizeof *s->symbols);
    for (uint32_t id = 0; id < s->count; id++)
        *find_slot(s, s->symbols[id].text) = id + 1;
}

uint32_t
symbol_set_add(struct symbol_set *s, struct bytes text)
{
    uint32_t *slot = find_slot(s, text);
    if (*slot != 0)
        return *slot - 1;
    if (s->count + 1 >= s->slot_count / 2) {
        grow(s);
        slot = find_slot(s, text);
    }
    uint8_t *copy = xcalloc(text.len + 1, 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    s->symbols[s->count] = (struct symbol){{copy, text.len}, s->count};
    *slot = ++s->count;
    return s->count - 1;
}

uint32_t
symbol_set_count(const struct symbol_set *s)
{
    return s->count;
}

static int
symbol_cmp(const void *left, const void *right)
{
    const struct symbol *a = left, *b = right;
    return bytes_cmp(a->text, b->text);
}

const struct symbol *
symbol_set_sort(struct symbol_set *s)
{
    qsort(s->symbols, s->count, sizeof *s->symbols, symbol_cmp);
    return s->symbols;
}
