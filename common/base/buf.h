/* SPDX-License-Identifier: Apache-2.0 */
/* Growable byte buffer, optionally charged to a budget.
 *
 * The first failure latches in the buffer: later appends do nothing, so that a builder
 * may check once at its end with buf_ok. Without a budget a failed allocation ends the
 * process (xmalloc.h), so such a buffer never fails. */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include "common/base/budget.h"
#include "common/base/bytes.h"

struct buf {
    uint8_t *at;
    size_t len;
    /* private */
    size_t cap;
    struct budget *budget;
    struct err failure;
};

/* budget may be NULL and must outlive *b. */
void buf_init(struct buf *b, struct budget *budget);

/* Release the memory and the charge. Accepts the zero value; *b is empty afterwards. */
void buf_fini(struct buf *b);

/* Room for n more bytes behind b->len, or NULL with the failure latched. The caller
 * writes there and then adds to b->len. */
uint8_t *buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, struct bytes data);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);
void buf_put_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forget the content and a latched failure; keep the memory. */
void buf_clear(struct buf *b);

/* False, with err filled, if any append since init or clear failed. */
NODISCARD bool buf_ok(const struct buf *b, struct err *err);

static inline struct bytes
buf_bytes(const struct buf *b)
{
    return (struct bytes){b->at, b->len};
}

/* The content as a NUL-terminated text; the NUL is not counted in b->len. Never NULL:
 * "" when the buffer is empty or failed. Borrowed until the next change. */
const char *buf_text(struct buf *b);

#endif
