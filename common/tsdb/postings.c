/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/postings.h"

#include <inttypes.h>

#include "common/base/cursor.h"
#include "common/codec/crc32c.h"

enum { REF_SIZE = sizeof(tsdb_ref) };

bool
tsdb_postings_parse(struct tsdb_postings *p, struct bytes section, struct err *err)
{
    /* A cursor goes bad at the first short read and stays bad: one test covers all. */
    struct cursor outer = cursor_of(section);
    uint32_t body_len = cursor_be32(&outer);
    struct bytes body = cursor_take(&outer, body_len);
    uint32_t stored_crc = cursor_be32(&outer);
    struct cursor inner = cursor_of(body);
    uint32_t count = cursor_be32(&inner);

    if (outer.bad || inner.bad)
        return err_set(err, ERR_CORRUPT, "postings cut at %zu bytes", section.len);
    if (crc32c(body) != stored_crc)
        return err_set(err, ERR_CORRUPT, "postings checksum mismatch");
    /* In 64 bits: count comes from the file and count * REF_SIZE can wrap 32. */
    if (inner.rest.len != (uint64_t)count * REF_SIZE)
        return err_set(err, ERR_CORRUPT, "postings: %zu bytes hold no %" PRIu32 " refs",
                       inner.rest.len, count);

    p->rest = inner.rest;
    return true;
}

bool
tsdb_postings_next(struct tsdb_postings *p, tsdb_ref at_least, tsdb_ref *ref)
{
    size_t count = p->rest.len / REF_SIZE;
    size_t lo = 0, hi = 0; /* the answer is in [lo, hi] */
    /* Usually it is near: the step doubles until it is passed. */
    for (size_t step = 1;
         hi < count && be32_load(p->rest.at + hi * REF_SIZE) < at_least; step *= 2) {
        lo = hi + 1;
        hi = step < count - hi ? hi + step : count;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (be32_load(p->rest.at + mid * REF_SIZE) < at_least)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > 0)
        bytes_skip(&p->rest, lo * REF_SIZE);
    if (p->rest.len == 0)
        return false;
    *ref = be32_load(p->rest.at);
    bytes_skip(&p->rest, REF_SIZE);
    return true;
}
