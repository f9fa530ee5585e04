/* SPDX-License-Identifier: Apache-2.0 */
/* Splits the series of a block whose order breaks when a label of their own is dropped,
 * so that each part keeps its order.
 *
 * Series have the same value of that label (select.h). Then two change their order in
 * one case only: without it the one is a strict prefix of the other; so nothing but
 * dropped labels stands behind its last label, and the other one goes on with a name
 * that sorts before the dropped one. It has come first, and now is the later one. So
 * the series that end with a dropped label are split by how many labels they have; the
 * others stay together. It takes reading all of them twice; but an external label that
 * sorts behind the dropped ones makes it needless, as blocks usually have one. */
#ifndef STORE_TAIL_SPLIT_H
#define STORE_TAIL_SPLIT_H

#include "store/series_batch.h"

/* Whether series of a block have such labels at all, and no external label helps. */
NODISCARD bool store_tail_split_is_needed(const struct store_block *block,
                                          const struct store_replica_labels *dropped,
                                          bool *is_needed, struct err *err);

/* Read the entries of refs and split them. c is that of labels only and has an empty
 * range; the parts live in arena. */
NODISCARD bool store_tail_split(struct store_stream_context *c, struct store_refs refs,
                                size_t share_bytes, struct arena *arena,
                                struct store_ref_lists *parts, struct err *err);

#endif
