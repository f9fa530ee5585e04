/* SPDX-License-Identifier: Apache-2.0 */
/* The Histogram message: a native histogram with its time, as a series of a sampled
 * answer holds it beside its samples (format: prometheus prompb/types.proto). */
#ifndef COMMON_WIRE_HISTOGRAM_H
#define COMMON_WIRE_HISTOGRAM_H

#include "common/base/buf.h"
#include "common/tsdb/histogram.h"

/* Bytes that the layout of h takes in its message: spans, bounds, schema, threshold. It
 * is the same for all histograms of a chunk but the stale ones, which have none, and
 * may have more members than these histograms have bits. */
uint64_t wire_histogram_layout_size(const struct tsdb_histogram *h);

/* Bytes that wire_histogram_put writes, the field's tag and length included;
 * layout_size is that of h. O(buckets). */
uint64_t wire_histogram_size(int64_t t_ms, const struct tsdb_histogram *h,
                             uint64_t layout_size);

/* Append h as a field of a series. Its two counts are written even if they are 0: which
 * of the fields for them is there tells floats from integers. All other floats keep
 * their bits. Failures are latched in out. */
void wire_histogram_put(int64_t t_ms, const struct tsdb_histogram *h,
                        uint64_t layout_size, struct buf *out);

#endif
