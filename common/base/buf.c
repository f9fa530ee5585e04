/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum { FIRST_CAP = 256 };

void
buf_init(struct buf *b, struct budget *budget)
{
    *b = (struct buf){.budget = budget};
}

void
buf_fini(struct buf *b)
{
    if (b->budget == NULL)
        free(b->at);
    else
        memory_free(b->budget, b->at, b->cap);
    *b = (struct buf){.budget = b->budget};
}

/* The new block is charged while the old one still exists. */
static bool
grow(struct buf *b, size_t need)
{
    size_t cap = NUM_MAX(need, NUM_MAX(b->cap + b->cap / 2, (size_t)FIRST_CAP));
    if (b->budget == NULL) {
        b->at = xrealloc(b->at, cap);
        b->cap = cap;
        return true;
    }
    uint8_t *moved = memory_alloc(b->budget, &cap, &b->failure);
    if (moved == NULL)
        return false;
    if (b->len > 0)
        memcpy(moved, b->at, b->len);
    memory_free(b->budget, b->at, b->cap);
    b->at = moved;
    b->cap = cap;
    return true;
}

uint8_t *
buf_reserve(struct buf *b, size_t n)
{
    size_t need;
    if (b->failure.code != ERR_NONE)
        return NULL;
    if (!num_add(b->len, n, &need)) {
        err_set(&b->failure, ERR_INVALID, "buffer of more than SIZE_MAX bytes");
        return NULL;
    }
    if ((need > b->cap || b->at == NULL) && !grow(b, need))
        return NULL;
    return b->at + b->len;
}

void
buf_put(struct buf *b, struct bytes data)
{
    uint8_t *to = buf_reserve(b, data.len);
    if (to == NULL || data.len == 0)
        return;
    memcpy(to, data.at, data.len);
    b->len += data.len;
}

void
buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put(b, (struct bytes){&v, 1});
}

void
buf_put_be32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    be32_store(raw, v);
    buf_put(b, (struct bytes){raw, sizeof raw});
}

void
buf_put_be64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    be64_store(raw, v);
    buf_put(b, (struct bytes){raw, sizeof raw});
}

void
buf_put_str(struct buf *b, const char *text)
{
    buf_put(b, bytes_of_str(text));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        err_set(&b->failure, ERR_INVALID, "text of more than INT_MAX bytes");
        return;
    }
    uint8_t *to = buf_reserve(b, (size_t)len + 1);
    if (to == NULL)
        return;
    va_start(args, fmt);
    vsnprintf((char *)to, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
}

void
buf_clear(struct buf *b)
{
    b->len = 0;
    b->failure.code = ERR_NONE;
}

bool
buf_ok(const struct buf *b, struct err *err)
{
    if (b->failure.code == ERR_NONE)
        return true;
    *err = b->failure;
    return false;
}

const char *
buf_text(struct buf *b)
{
    uint8_t *end = buf_reserve(b, 1);
    if (end == NULL)
        return "";
    *end = 0;
    return (const char *)b->at;
}
