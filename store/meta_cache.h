/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of meta.json in the data directory, so that a restart does not fetch them all
 * again. A copy counts only while its size and its time of change are those of the
 * listed object; whatever goes wrong is a miss. */
#ifndef STORE_META_CACHE_H
#define STORE_META_CACHE_H

#include "common/base/buf.h"
#include "store/block_listing.h"

/* Append the copy for block (its ULID) to text; false when there is no valid one. */
NODISCARD bool store_meta_cache_get(const char *data_dir, const char *block,
                                    struct store_stamp stamp, struct buf *text);

void store_meta_cache_put(const char *data_dir, const char *block,
                          struct store_stamp stamp, struct bytes text);

#define STORE_META_CACHE_SUFFIX ".meta.json"

#endif
