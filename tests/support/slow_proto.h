/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of protobuf messages, written and read one by one as the format is written
 * down, to compare the real writers and readers with.
 *
 * Format: https://protobuf.dev/programming-guides/encoding */
#ifndef TESTS_SUPPORT_SLOW_PROTO_H
#define TESTS_SUPPORT_SLOW_PROTO_H

#include "common/base/buf.h"

enum slow_proto_type {
    SLOW_PROTO_VARINT = 0,
    SLOW_PROTO_FIXED64 = 1,
    SLOW_PROTO_BYTES = 2,
    SLOW_PROTO_FIXED32 = 5
};

struct slow_proto_field {
    uint64_t number;
    enum slow_proto_type type;
    uint64_t value;    /* of numbers */
    struct bytes text; /* of bytes; borrowed */
};

void slow_proto_put_varint(struct buf *out, uint64_t value);
void slow_proto_put_number(struct buf *out, unsigned field, uint64_t value);
void slow_proto_put_bytes(struct buf *out, unsigned field, struct bytes text);

/* Take the next field. False at the end; what is no field ends the program. */
bool slow_proto_next(struct bytes *in, struct slow_proto_field *field);

/* Take a field that is there, of this number and type. */
struct slow_proto_field slow_proto_take(struct bytes *in, unsigned number,
                                        enum slow_proto_type type);

/* Take a number or a text that is left out when it is zero or empty. */
uint64_t slow_proto_number(struct bytes *in, unsigned number,
                           enum slow_proto_type type);
struct bytes slow_proto_text(struct bytes *in, unsigned number);

#endif
