/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed slice of bytes. The zero value is the empty slice. */
#ifndef COMMON_BASE_BYTES_H
#define COMMON_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t len;
};

/* Slice of a string literal, without its NUL. */
#define BYTES(literal) \
    ((struct bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})

/* Both arguments of a printf "%.*s" that shows a slice. */
#define BYTES_FMT(b) (int)(b).len, (const char *)(b).at

static inline struct bytes
bytes_of(const void *at, size_t len)
{
    return (struct bytes){(const uint8_t *)at, len};
}

static inline struct bytes
bytes_of_str(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* Drop the first n bytes; n is at most b->len. */
static inline void
bytes_skip(struct bytes *b, size_t n)
{
    b->at += n;
    b->len -= n;
}

/* Byte order, shorter prefix first: the order of labels and symbols in Prometheus. */
static inline int
bytes_cmp(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.at, b.at, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool
bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool
bytes_starts_with(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && bytes_eq((struct bytes){b.at, prefix.len}, prefix);
}

/* Big-endian loads and stores of the on-disk formats; any alignment. */
static inline uint16_t
be16_load(const uint8_t *at)
{
    return (uint16_t)((at[0] << 8) | at[1]);
}

static inline uint32_t
be32_load(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t
be64_load(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap64(v);
}

static inline void
be16_store(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void
be32_store(uint8_t *at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(at, &v, sizeof v);
}

static inline void
be64_store(uint8_t *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof v);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the loads above swap bytes: a big-endian machine needs its own"
#endif

#endif
