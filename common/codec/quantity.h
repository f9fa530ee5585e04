/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, times and sizes as flags and configuration write them. */
#ifndef COMMON_CODEC_QUANTITY_H
#define COMMON_CODEC_QUANTITY_H

#include "common/base/err.h"

#include <stdint.h>

/* Go or Prometheus duration: "1h30m", "500ms", "1.5s", "2d", "1w", "1y", "0"; units ns
 * us ms s m h d w y; an optional leading "-". Result in nanoseconds.
 * Errors ERR_INVALID: no unit, unknown unit, out of range. */
NODISCARD bool quantity_duration(const char *text, int64_t *ns, struct err *err);

/* RFC 3339 time in milliseconds since the epoch, years 0000 to 9999. */
NODISCARD bool quantity_rfc3339(const char *text, int64_t *ms, struct err *err);

/* Byte size with base-2 units: "250MB" and "250MiB" are 250 << 20; "0" needs no unit.
 */
NODISCARD bool quantity_size(const char *text, uint64_t *bytes, struct err *err);

#endif
