/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks are meant, by their external labels: name="value", =~, !=, !~. */
#ifndef COMMON_TOOLS_SELECTOR_H
#define COMMON_TOOLS_SELECTOR_H

#include "common/app/flags.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/matcher.h"

/* The zero value selects everything. */
struct tools_selector {
    struct tsdb_matcher *at[APP_FLAG_LIST_MAX];
    size_t count;
};

/* Parse the values of --selector into an empty one. Call fini also after an error.
 * Errors ERR_INVALID, naming the text. */
NODISCARD bool tools_selector_parse(struct tools_selector *s,
                                    const struct app_flag_list *texts, struct err *err);
void tools_selector_fini(struct tools_selector *s);

NODISCARD bool tools_selector_matches(const struct tools_selector *s,
                                      struct tsdb_labels labels);

#endif
