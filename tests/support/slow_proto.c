/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/slow_proto.h"

#include "common/base/check.h"

void
slow_proto_put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_put_u8(out, (uint8_t)(value | 0x80));
    buf_put_u8(out, (uint8_t)value);
}

static void
put_tag(struct buf *out, unsigned field, enum slow_proto_type type)
{
    slow_proto_put_varint(out, (uint64_t)field << 3 | type);
}

void
slow_proto_put_number(struct buf *out, unsigned field, uint64_t value)
{
    put_tag(out, field, SLOW_PROTO_VARINT);
    slow_proto_put_varint(out, value);
}

void
slow_proto_put_bytes(struct buf *out, unsigned field, struct bytes text)
{
    put_tag(out, field, SLOW_PROTO_BYTES);
    slow_proto_put_varint(out, text.len);
    buf_put(out, text);
}

static uint8_t
take_byte(struct bytes *in)
{
    CHECK(in->len > 0);
    uint8_t byte = in->at[0];
    bytes_skip(in, 1);
    return byte;
}

static uint64_t
take_varint(struct bytes *in)
{
    uint64_t value = 0;
    uint64_t byte = 0x80;
    for (unsigned shift = 0; byte >= 0x80; shift += 7) {
        CHECK(shift < 64);
        byte = take_byte(in);
        value |= (byte & 0x7f) << shift;
    }
    return value;
}

static uint64_t
take_fixed(struct bytes *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)take_byte(in) << (8 * i);
    return value;
}

bool
slow_proto_next(struct bytes *in, struct slow_proto_field *field)
{
    if (in->len == 0)
        return false;
    uint64_t tag = take_varint(in);
    *field = (struct slow_proto_field){.number = tag >> 3,
                                       .type = (enum slow_proto_type)(tag & 7)};
    CHECK(field->number > 0);
    switch (field->type) {
    case SLOW_PROTO_VARINT:
        field->value = take_varint(in);
        return true;
    case SLOW_PROTO_FIXED64:
        field->value = take_fixed(in, 8);
        return true;
    case SLOW_PROTO_FIXED32:
        field->value = take_fixed(in, 4);
        return true;
    case SLOW_PROTO_BYTES:
        break;
    }
    CHECK(field->type == SLOW_PROTO_BYTES);
    uint64_t len = take_varint(in);
    CHECK(len <= in->len);
    field->text = bytes_of(in->at, (size_t)len);
    bytes_skip(in, (size_t)len);
    return true;
}

struct slow_proto_field
slow_proto_take(struct bytes *in, unsigned number, enum slow_proto_type type)
{
    struct slow_proto_field field;
    CHECK(slow_proto_next(in, &field));
    CHECK(field.number == number && field.type == type);
    return field;
}

static bool
is_next(struct bytes in, unsigned number)
{
    struct slow_proto_field field;
    return slow_proto_next(&in, &field) && field.number == number;
}

uint64_t
slow_proto_number(struct bytes *in, unsigned number, enum slow_proto_type type)
{
    if (!is_next(*in, number))
        return 0;
    uint64_t value = slow_proto_take(in, number, type).value;
    CHECK(value != 0);
    return value;
}

struct bytes
slow_proto_text(struct bytes *in, unsigned number)
{
    if (!is_next(*in, number))
        return (struct bytes){0};
    struct bytes text = slow_proto_take(in, number, SLOW_PROTO_BYTES).text;
    CHECK(text.len > 0);
    return text;
}
