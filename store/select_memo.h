/* SPDX-License-Identifier: Apache-2.0 */
/* What a selection of a block came to, kept in the range cache: the same matchers, in
 * any order, need no postings the next time. With it is kept what it had cost, because
 * limits count what is cached, too. */
#ifndef STORE_SELECT_MEMO_H
#define STORE_SELECT_MEMO_H

#include "store/fetch.h"
#include "store/select.h"

/* What can tell one selection of a block from another. */
struct store_select_question {
    const struct store_block *block;
    struct store_matchers matchers;
    const struct store_replica_labels *dropped; /* NULL: the selection is exact */
};

/* Take memo's key and the order of its matchers from arena. There is none for matchers
 * that are too long for a key. Errors ERR_BUDGET. */
NODISCARD bool store_select_memo_init(struct store_select_memo *memo,
                                      const struct store_select_question *question,
                                      struct arena *arena, struct err *err);

/* Find what is kept. It lives in arena; filters are those of the question. *found is
 * false also for what turns out to be damaged. Errors ERR_BUDGET. */
NODISCARD bool store_select_memo_get(struct store_select_memo *memo,
                                     struct store_fetch_source *source,
                                     struct arena *arena,
                                     struct store_selection *selection, bool *found,
                                     struct err *err);

/* Keep a selection that was made without an error and had the costs of the memo. Best
 * effort: not what is large, or not in order. */
void store_select_memo_put(const struct store_select_memo *memo,
                           const struct store_fetch_source *source,
                           struct budget *budget,
                           const struct store_selection *selection);

#endif
