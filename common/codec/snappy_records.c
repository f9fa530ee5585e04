/* SPDX-License-Identifier: Apache-2.0 */
/* Format: google/snappy format_description.txt. */
#include "common/codec/snappy_records.h"

#include "common/base/check.h"
#include "common/codec/compress.h"

enum { TAG_LITERAL = 0, TAG_COPY_1 = 1, TAG_COPY_2 = 2 };

enum {
    WORD = 8,
    WINDOW = 2 * WORD,
    SHORTEST_COPY = 4,       /* shorter ones save nothing */
    LONGEST_SHORT_COPY = 11, /* whose element has two bytes, else three */
    LONGEST_COPY = 64,
    LONGEST_SHORT_LITERAL = 60, /* whose length fits the tag */
    WORST_GROWTH = 32 /* of a literal's head; each further one follows a copy */
};

static uint64_t
load(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* A bit for each of 8 bytes, the first the lowest: set where they are equal. */
static unsigned
equal_bytes(const uint8_t *a, const uint8_t *b)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t differ = load(a) ^ load(b);
    /* The top bit of each byte: whether it is zero. */
    uint64_t zero = ~(((differ & low) + low) | differ | low);
    return (unsigned)((zero >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

static uint8_t *
put_literal(uint8_t *to, const uint8_t *from, size_t len, const uint8_t *end)
{
    if (len == 0)
        return to;
    size_t n = len - 1;
    if (n < LONGEST_SHORT_LITERAL) {
        *to++ = (uint8_t)(n << 2 | TAG_LITERAL);
    } else { /* with two more bytes of length: a portion has 64 KiB at most */
        *to++ = (LONGEST_SHORT_LITERAL + 1) << 2 | TAG_LITERAL;
        *to++ = (uint8_t)n;
        *to++ = (uint8_t)(n >> 8);
    }
    if (len <= WINDOW && end - from >= WINDOW)
        memcpy(to, from, WINDOW); /* what is too much is overwritten */
    else
        memcpy(to, from, len);
    return to + len;
}

static uint8_t *
put_copy_2(uint8_t *to, size_t offset, size_t len)
{
    *to++ = (uint8_t)((len - 1) << 2 | TAG_COPY_2);
    *to++ = (uint8_t)offset;
    *to++ = (uint8_t)(offset >> 8);
    return to;
}

static uint8_t *
put_copy(uint8_t *to, size_t offset, size_t len)
{
    for (; len >= LONGEST_COPY + SHORTEST_COPY; len -= LONGEST_COPY)
        to = put_copy_2(to, offset, LONGEST_COPY);
    if (len > LONGEST_COPY) { /* so that SHORTEST_COPY or more are left */
        to = put_copy_2(to, offset, LONGEST_COPY - SHORTEST_COPY);
        len -= LONGEST_COPY - SHORTEST_COPY;
    }
    if (len > LONGEST_SHORT_COPY)
        return put_copy_2(to, offset, len);
    *to++ = (uint8_t)(offset >> 8 << 5 | (len - SHORTEST_COPY) << 2 | TAG_COPY_1);
    *to++ = (uint8_t)offset;
    return to;
}

/* How many bytes at equal those before them. */
static size_t
match_length(const uint8_t *at, size_t stride, const uint8_t *end)
{
    const uint8_t *p = at;
    for (; end - p >= WORD; p += WORD) {
        unsigned differ = ~equal_bytes(p, p - stride);
        if ((differ & 0xff) != 0)
            return (size_t)(p - at) + (unsigned)__builtin_ctz(differ);
    }
    while (p < end && *p == *(p - stride))
        p++;
    return (size_t)(p - at);
}

/* Yields the end of what was written. */
static uint8_t *
compress(struct bytes portion, size_t stride, uint8_t *to)
{
    const uint8_t *literal = portion.at, *end = portion.at + portion.len;
    const uint8_t *p = portion.at + stride;
    while (portion.len > stride && end - p >= WINDOW) {
        unsigned same = equal_bytes(p, p - stride) |
                        equal_bytes(p + WORD, p + WORD - stride) << WORD;
        unsigned four = same & same >> 1 & same >> 2 & same >> 3;
        if (four == 0) {
            p += WINDOW - SHORTEST_COPY + 1;
            continue;
        }
        unsigned skip = (unsigned)__builtin_ctz(four);
        size_t len = (unsigned)__builtin_ctz(~(same >> skip));
        p += skip;
        if (skip + len == WINDOW)
            len += match_length(p + len, stride, end);
        to = put_literal(to, literal, (size_t)(p - literal), end);
        to = put_copy(to, stride, len);
        p += len;
        literal = p;
    }
    return put_literal(to, literal, (size_t)(end - literal), end);
}

/* One literal's length has two bytes at most. */
static bool
append_piece(struct bytes piece, size_t stride, struct buf *out, struct err *err)
{
    uint8_t *to = buf_reserve(out, piece.len + piece.len / 8 + WORST_GROWTH);
    if (to == NULL)
        return buf_ok(out, err);
    size_t len = (size_t)(compress(piece, stride, to) - to);
    if (len > piece.len - piece.len / 8)
        return compress_snappy_append(piece, out, err);
    out->len += len;
    return true;
}

bool
snappy_records_append(struct bytes portion, size_t stride, struct buf *out,
                      struct err *err)
{
    CHECK(stride > 0 && stride <= SNAPPY_RECORDS_MOST);
    while (portion.len > 0) {
        size_t len = portion.len < COMPRESS_SNAPPY_PORTION ? portion.len
                                                           : COMPRESS_SNAPPY_PORTION;
        if (!append_piece(bytes_of(portion.at, len), stride, out, err))
            return false;
        bytes_skip(&portion, len);
    }
    return true;
}
