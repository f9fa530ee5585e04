/* SPDX-License-Identifier: Apache-2.0 */
/* What series entries and chunk records share: "uvarint length | body | BE32 crc". */
#ifndef COMMON_TSDB_RECORD_PRIV_H
#define COMMON_TSDB_RECORD_PRIV_H

#include "common/codec/varint.h"

enum { TSDB_RECORD_MAX_LENGTH_FIELD = 5, TSDB_RECORD_CRC_SIZE = 4 };

/* Read the length; a field of more than 5 bytes makes the cursor bad. */
static inline uint64_t
tsdb_record_length(struct cursor *c)
{
    size_t before = c->rest.len;
    uint64_t length = varint_u64(c);
    if (before - c->rest.len > TSDB_RECORD_MAX_LENGTH_FIELD)
        c->bad = true;
    return length;
}

#endif
