/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two meta.json speak of the same block, whoever wrote them. */
#ifndef SIDECAR_META_DIFFERENCE_H
#define SIDECAR_META_DIFFERENCE_H

#include "common/tsdb/meta.h"

/* Compare what the metas say, not how they say it: formatting, upload time, hashes and
 * unknown keys do not count, nor do files that theirs does not list at all. Returns the
 * name of the first difference ("files"), NULL if there is none. */
const char *sidecar_meta_difference(const struct tsdb_meta *theirs,
                                    const struct tsdb_meta *ours);

#endif
