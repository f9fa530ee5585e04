/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of series references: the working form of a selection. */
#ifndef STORE_REFS_H
#define STORE_REFS_H

#include "common/tsdb/postings.h"

/* Series references in ascending order. */
struct store_refs {
    tsdb_ref *at;
    size_t count;
};

/* Append a list; there is room for it. */
void store_refs_append(struct store_refs *refs, struct tsdb_postings list);

/* Put appended lists in order. In place, O(count) when they already are. */
void store_refs_sort(struct store_refs *refs);

/* Set hits[i] for each reference i that list has, too, and append it to copy (NULL: to
 * nothing), which has room for the shorter of both. Both are in order. Skips on both
 * sides: O(shorter * log longer). */
void store_refs_mark(const struct store_refs *refs, struct tsdb_postings list,
                     bool *hits, struct store_refs *copy);

/* Whether list has one of the references. Both are in order. As fast as marking, and
 * ends at the first. */
NODISCARD bool store_refs_meet(const struct store_refs *refs,
                               struct tsdb_postings list);

/* Keep the references whose hit is wanted. */
void store_refs_keep(struct store_refs *refs, const bool *hits, bool wanted);

#endif
