/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the data directory that nobody needs any more. One that cannot be removed is
 * logged and counted. */
#ifndef STORE_LEFTOVERS_H
#define STORE_LEFTOVERS_H

#include "store/block_catalog.h"

/* Remove what a killed process did not get to rename, and what earlier versions kept.
 * O(files). Errors those of listing the directory. */
NODISCARD bool store_leftovers_remove_unfinished(const char *data_dir,
                                                 struct metrics_value *failures,
                                                 struct err *err);

/* Remove index headers of blocks that are not in the catalog. O(files log blocks).
 * Errors those of listing the directory. */
NODISCARD bool store_leftovers_remove_vanished(const char *data_dir,
                                               struct store_catalog *catalog,
                                               struct metrics_value *failures,
                                               struct err *err);

#endif
