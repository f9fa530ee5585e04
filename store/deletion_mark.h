/* SPDX-License-Identifier: Apache-2.0 */
/* <ULID>/deletion-mark.json: the compactor's note that a block will be deleted.
 *
 * Format: Thanos pkg/block/metadata/markers.go DeletionMark. */
#ifndef STORE_DELETION_MARK_H
#define STORE_DELETION_MARK_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum { STORE_DELETION_MARK_MAX_BYTES = 1024 * 1024 };

/* Time of the mark in milliseconds since the epoch.
 * Errors ERR_INVALID: not JSON, no time, another version. */
NODISCARD bool store_deletion_mark_parse(struct bytes text, int64_t *marked_ms,
                                         struct err *err);

#endif
