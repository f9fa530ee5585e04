/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reader over a slice. It goes bad at the first short read and stays bad, so
 * that one test at the end covers a whole structure; a bad cursor yields zeros. */
#ifndef COMMON_BASE_CURSOR_H
#define COMMON_BASE_CURSOR_H

#include "common/base/bytes.h"

struct cursor {
    struct bytes rest;
    bool bad;
};

static inline struct cursor
cursor_of(struct bytes b)
{
    return (struct cursor){.rest = b};
}

/* The next n bytes, or the empty slice if fewer are left. */
static inline struct bytes
cursor_take(struct cursor *c, uint64_t n)
{
    if (c->bad || n > c->rest.len) {
        c->bad = true;
        c->rest.len = 0;
        return (struct bytes){0};
    }
    struct bytes taken = {c->rest.at, (size_t)n};
    bytes_skip(&c->rest, (size_t)n);
    return taken;
}

static inline uint8_t
cursor_u8(struct cursor *c)
{
    struct bytes b = cursor_take(c, 1);
    return b.len ? b.at[0] : 0;
}

static inline uint16_t
cursor_be16(struct cursor *c)
{
    struct bytes b = cursor_take(c, 2);
    return b.len ? be16_load(b.at) : 0;
}

static inline uint32_t
cursor_be32(struct cursor *c)
{
    struct bytes b = cursor_take(c, 4);
    return b.len ? be32_load(b.at) : 0;
}

static inline uint64_t
cursor_be64(struct cursor *c)
{
    struct bytes b = cursor_take(c, 8);
    return b.len ? be64_load(b.at) : 0;
}

#endif
