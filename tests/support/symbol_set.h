/* SPDX-License-Identifier: Apache-2.0 */
/* The distinct strings of a block: each gets a number when it is first seen. */
#ifndef TESTS_SUPPORT_SYMBOL_SET_H
#define TESTS_SUPPORT_SYMBOL_SET_H

#include <stdint.h>

#include "common/base/bytes.h"

struct symbol {
    struct bytes text; /* owned by the set */
    uint32_t id;
};

struct symbol_set;

struct symbol_set *symbol_set_new(void);
void symbol_set_free(struct symbol_set **s);

/* Id of text, which is copied if it is new. Ids count from 0. Amortised O(text.len). */
uint32_t symbol_set_add(struct symbol_set *s, struct bytes text);

uint32_t symbol_set_count(const struct symbol_set *s);

/* All symbols in byte order. Borrowed from the set; nothing may be added any more. */
const struct symbol *symbol_set_sort(struct symbol_set *s);

#endif
