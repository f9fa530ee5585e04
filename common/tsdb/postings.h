/* SPDX-License-Identifier: Apache-2.0 */
/* Postings: the sorted series references that carry one label pair, read in place.
 *
 * A list may hold millions of references of which a query visits a few, so nothing is
 * copied: an iterator is one slice, on the caller's stack, of bytes it does not own. */
#ifndef COMMON_TSDB_POSTINGS_H
#define COMMON_TSDB_POSTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/err.h"

/* Reference of a series entry: its file offset in units of 16 bytes (index version 1:
 * in bytes). Never 0. */
typedef uint32_t tsdb_ref;

struct tsdb_postings {
    struct bytes rest; /* entries not yet returned, 4 bytes each; borrowed */
};

/* Check a postings section and set *p to its start. O(section.len), no allocation.
 *
 * section  from its length field to its CRC32C, both included. Borrowed: it must
 *          outlive *p. Bytes after the CRC32C are ignored.
 * Order    not checked. A list that is not ascending yields wrong references, but
 *          never a read outside section.
 * Errors   ERR_CORRUPT: truncated, checksum differs, or count does not match length.
 *          *p is then untouched.
 * Threads  *p belongs to one thread; section may be shared.
 * Format   Prometheus tsdb/docs/format/index.md "Postings". */
NODISCARD bool tsdb_postings_parse(struct tsdb_postings *p, struct bytes section,
                                   struct err *err);

/* References left. */
static inline size_t
tsdb_postings_count(const struct tsdb_postings *p)
{
    return p->rest.len / sizeof(tsdb_ref);
}

/* Step to the next reference that is >= at_least (0: simply the next one).
 *
 * O(log n) where n entries are skipped. Returns false at the end
 * of the list, with *ref untouched. An all-zero *p is an empty list. */
NODISCARD bool tsdb_postings_next(struct tsdb_postings *p, tsdb_ref at_least,
                                  tsdb_ref *ref);

#endif
