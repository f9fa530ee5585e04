/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a bucket as a sync would publish them. */
#ifndef TESTS_SUPPORT_SERVED_BLOCKS_H
#define TESTS_SUPPORT_SERVED_BLOCKS_H

#include "store/block_set.h"

/* Load all blocks of the bucket; their headers are files in data_dir, read through
 * pages. Bucket and pages outlive the set. */
NODISCARD bool served_blocks(struct store_block_set **set,
                             struct objstore_bucket *bucket, const char *data_dir,
                             struct store_page_cache *pages, struct err *err);

#endif
