/* SPDX-License-Identifier: Apache-2.0 */
/* What all histograms of a chunk share: width of the zero bucket, schema, which buckets
 * there are, and custom bounds. It stands once, in front of the samples.
 *
 * Format: Prometheus tsdb/chunkenc/histogram_meta.go. */
#ifndef COMMON_TSDB_HISTOGRAM_LAYOUT_H
#define COMMON_TSDB_HISTOGRAM_LAYOUT_H

#include "common/base/arena.h"
#include "common/tsdb/histogram.h"

/* Read a layout into h, whose other fields stay; spans and bounds live in arena and
 * take at most 32 times the bits' bytes. There are no more buckets than bits hold if
 * each takes bucket_bits (1 or more) of them. Errors ERR_CORRUPT: cut, a schema that is
 * none, spans that overlap or lie outside the range of an index, more spans, buckets or
 * bounds than bits hold. ERR_BUDGET. */
NODISCARD bool tsdb_histogram_layout_read(struct tsdb_histogram *h,
                                          struct bits_reader *bits,
                                          unsigned bucket_bits, struct arena *arena,
                                          struct err *err);

/* Append the layout of h. */
void tsdb_histogram_layout_write(const struct tsdb_histogram *h,
                                 struct bits_writer *bits);

#endif
