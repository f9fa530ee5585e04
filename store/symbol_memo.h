/* SPDX-License-Identifier: Apache-2.0 */
/* Memo of resolved symbols of one query: most series share their label names and many
 * values, and a look-up in an index header costs a dozen copies. Direct-mapped, fixed
 * size; long texts are not kept. One thread. */
#ifndef STORE_SYMBOL_MEMO_H
#define STORE_SYMBOL_MEMO_H

#include "store/block.h"

struct store_symbol_memo;

/* In arena; NULL with the arena's failure latched. */
struct store_symbol_memo *store_symbol_memo_new(struct arena *arena);

/* Text of a symbol of the block, copied into arena.
 * Errors as store_index_header_symbol. */
NODISCARD bool store_symbol_memo_get(struct store_symbol_memo *memo,
                                     const struct store_block *block, uint32_t ref,
                                     struct arena *arena, struct bytes *text,
                                     struct err *err);

#endif
