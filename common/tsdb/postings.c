/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/postings.h"

#include <inttypes.h>

#include "common/base/cursor.h"
#include "common/codec/crc32c.h"

enum { REF_SIZE = sizeof(tsdb_ref) };

bool
tsdb_postings_parse(struct tsdb_postings *p, struct bytes section, struct err *err)
{
    struct cursor outer = cursor_of(section);
    uint32_t payload_len = cursor_be32(&outer);
    struct bytes payload = cursor_take(&outer, payload_len);
    uint32_t stored_crc = cursor_be32(&outer);
    struct cursor inner = cursor_of(payload);
    uint32_t count = cursor_be32(&inner);

    if (outer.bad || inner.bad)
        return err_set(err, ERR_CORRUPT, "postings list is cut at %zu bytes",
                       section.len);
    if (crc32c(payload) != stored_crc)
        return err_set(err, ERR_CORRUPT, "postings list: checksum differs");
    /* In 64 bits: the count comes from the file, its product can wrap 32. */
    if (inner.rest.len != (uint64_t)count * REF_SIZE)
        return err_set(err, ERR_CORRUPT,
                       "postings list: %zu bytes hold not %" PRIu32 " references",
                       inner.rest.len, count);
    p->rest = inner.rest;
    return true;
}

bool
tsdb_postings_next(struct tsdb_postings *p, tsdb_ref at_least, tsdb_ref *ref)
{
    size_t low = 0;
    size_t high = p->rest.len / REF_SIZE; /* the answer is in [low, high] */
    if (high > 0 && be32_load(p->rest.at) >= at_least)
        high = 0;
    /* Gallop: in an intersection the answer is usually near. */
    for (size_t step = 1; low + step < high; step *= 2) {
        if (be32_load(p->rest.at + (low + step) * REF_SIZE) >= at_least) {
            high = low + step;
            break;
        }
        low += step;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (be32_load(p->rest.at + middle * REF_SIZE) < at_least)
            low = middle + 1;
        else
            high = middle;
    }
    bytes_skip(&p->rest, low * REF_SIZE);
    if (p->rest.len == 0)
        return false;
    *ref = be32_load(p->rest.at);
    bytes_skip(&p->rest, REF_SIZE);
    return true;
}
