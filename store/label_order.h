/* SPDX-License-Identifier: Apache-2.0 */
/* Puts series back in order after external labels were added, as a stream.
 *
 * Series arrive in the order of their own labels. Adding the same labels to all of them
 * breaks that order in one case only: one label set is a strict prefix of another, and
 * the longer one goes on with a name that sorts before an external label. So a series
 * waits while series that extend it overtake it; those that wait are prefixes of each
 * other, hence no more of them than labels. (External labels that replace labels of the
 * series break the order differently; such blocks are split before, select.h.) */
#ifndef STORE_LABEL_ORDER_H
#define STORE_LABEL_ORDER_H

#include "store/series.h"

/* Waiting series, first in order last in the array. The zero value waits for none. */
struct store_label_order {
    /* private */
    size_t depth;
    size_t cap;
    struct store_entry *waiting;
    bool has_last;
    struct tsdb_labels last; /* of the series appended last, to check the order */
};

/* Where series go that need not wait any more: an array with room for all that are
 * pushed and all that were waiting. */
struct store_entries {
    struct store_entry *at;
    size_t count;
};

/* Take the next series; append those that now have their place to out. New room for the
 * waiting ones comes from arena.
 * Errors ERR_CORRUPT: the series did not come in the order of their labels. ERR_BUDGET.
 */
NODISCARD bool store_label_order_push(struct store_label_order *o,
                                      const struct store_entry *entry,
                                      struct arena *arena, struct store_entries *out,
                                      struct err *err);

/* No more series: append all that wait. Errors ERR_CORRUPT as push. */
NODISCARD bool store_label_order_flush(struct store_label_order *o,
                                       struct store_entries *out, struct err *err);

/* Move what is kept into another arena, because the one it lives in ends. */
NODISCARD bool store_label_order_move(struct store_label_order *o, struct arena *to,
                                      struct err *err);

#endif
