/* SPDX-License-Identifier: Apache-2.0 */
#include "store/symbol_memo.h"

enum { SLOTS = 4096, TEXT_BYTES = 51 };

struct slot {
    const struct store_block *block; /* NULL: free */
    uint32_t ref;
    uint8_t len;
    uint8_t text[TEXT_BYTES];
};

_Static_assert(sizeof(struct slot) == 64, "a slot is a cache line");

struct store_symbol_memo {
    struct slot slots[SLOTS];
};

struct store_symbol_memo *
store_symbol_memo_new(struct arena *arena)
{
    return arena_calloc(arena, 1, sizeof(struct store_symbol_memo));
}

static struct slot *
slot_of(struct store_symbol_memo *memo, const struct store_block *block, uint32_t ref)
{
    uint64_t hash = ((uint64_t)(uintptr_t)block >> 4) ^ ref;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return &memo->slots[hash >> 52];
}

_Static_assert(SLOTS == 1 << (64 - 52), "the hash is cut to a slot number");

bool
store_symbol_memo_get(struct store_symbol_memo *memo, const struct store_block *block,
                      uint32_t ref, struct arena *arena, struct bytes *text,
                      struct err *err)
{
    struct slot *slot = slot_of(memo, block, ref);
    if (slot->block == block && slot->ref == ref) {
        *text = arena_copy(arena, bytes_of(slot->text, slot->len));
        return arena_ok(arena, err);
    }
    if (!store_index_header_symbol(block->header, ref, arena, text, err))
        return false;
    if (text->len <= TEXT_BYTES) {
        *slot = (struct slot){.block = block, .ref = ref, .len = (uint8_t)text->len};
        if (text->len > 0)
            memcpy(slot->text, text->at, text->len);
    }
    return true;
}
