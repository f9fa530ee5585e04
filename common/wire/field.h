/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of protobuf messages that are written by hand: what they take, and writing
 * them where room was reserved. As proto3 demands, a field that has its zero value is
 * not written; the functions here leave it out.
 *
 * Format: protobuf.dev/programming-guides/encoding. */
#ifndef COMMON_WIRE_FIELD_H
#define COMMON_WIRE_FIELD_H

#include "common/base/bytes.h"
#include "common/codec/varint.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2 };

/* Of fields below 16, as are all but those that say so. */
enum { WIRE_TAG_SIZE = 1, WIRE_DOUBLE_SIZE = 8 };

static inline uint8_t
wire_tag(unsigned field, enum wire_type type)
{
    return (uint8_t)(field << 3 | type);
}

/* Sizes in bytes, tag included. */

static inline uint64_t
wire_varint_size(uint64_t v)
{
    return v == 0 ? 0 : WIRE_TAG_SIZE + varint_size_u64(v);
}

/* A double by its bits: a negative zero is not the zero value. */
static inline uint64_t
wire_double_size(uint64_t bits)
{
    return bits == 0 ? 0 : WIRE_TAG_SIZE + WIRE_DOUBLE_SIZE;
}

/* A message of len bytes inside another one: written even if it is empty. */
static inline uint64_t
wire_message_size(uint64_t len)
{
    return WIRE_TAG_SIZE + varint_size_u64(len) + len;
}

static inline uint64_t
wire_text_size(struct bytes text)
{
    return text.len == 0 ? 0 : wire_message_size(text.len);
}

/* Each writes at at, and returns what lies behind. */

static inline uint8_t *
wire_store_message_head(uint8_t *at, unsigned field, uint64_t len)
{
    *at++ = wire_tag(field, WIRE_LENGTH);
    return at + varint_store_u64(at, len);
}

static inline uint8_t *
wire_store_varint(uint8_t *at, unsigned field, uint64_t v)
{
    if (v == 0)
        return at;
    *at++ = wire_tag(field, WIRE_VARINT);
    return at + varint_store_u64(at, v);
}

static inline uint8_t *
wire_store_double(uint8_t *at, unsigned field, uint64_t bits)
{
    if (bits == 0)
        return at;
    *at++ = wire_tag(field, WIRE_FIXED64);
    memcpy(at, &bits, sizeof bits); /* little-endian, as the machine */
    return at + sizeof bits;
}

static inline uint8_t *
wire_store_text(uint8_t *at, unsigned field, struct bytes text)
{
    if (text.len == 0)
        return at;
    at = wire_store_message_head(at, field, text.len);
    memcpy(at, text.at, text.len);
    return at + text.len;
}

#endif
