/* SPDX-License-Identifier: Apache-2.0 */
/* Native histograms as values: what a sample of a histogram chunk holds, and what the
 * Histogram message of Prometheus's protocols says, field by field.
 *
 * Format: Prometheus model/histogram; prompb/types.proto. */
#ifndef COMMON_TSDB_HISTOGRAM_H
#define COMMON_TSDB_HISTOGRAM_H

#include "common/base/bytes.h"
#include "common/tsdb/xor_value.h"

/* Schema of histograms whose bounds are given one by one. */
enum { TSDB_HISTOGRAM_CUSTOM_SCHEMA = -53 };

/* Whether counting began anew since the sample before; numbered as in the protocols. */
enum tsdb_counter_reset {
    TSDB_RESET_UNKNOWN = 0,
    TSDB_RESET_YES = 1,
    TSDB_RESET_NO = 2,
    TSDB_RESET_GAUGE = 3 /* no counter */
};

/* Neighbouring buckets. */
struct tsdb_span {
    int32_t
        offset; /* index of the first one; of later spans: from the end of the last */
    uint32_t length;
};

/* The buckets on one side of zero. */
struct tsdb_buckets {
    const struct tsdb_span *spans;
    /* Integer histograms: the count of the first bucket, then differences to the bucket
     * before, as two's complement. Float histograms: the count of each, its 64 bits. */
    const uint64_t *values;
    uint32_t span_count;
    uint32_t count; /* of buckets: the sum of the spans' lengths */
};

/* A histogram; floats are their 64 bits. What it points to is borrowed. */
struct tsdb_histogram {
    bool is_float;
    enum tsdb_counter_reset reset;
    int32_t schema;
    uint64_t zero_threshold_bits;
    uint64_t count; /* these two are bits when is_float, else numbers */
    uint64_t zero_count;
    uint64_t sum_bits;
    struct tsdb_buckets positive;
    struct tsdb_buckets negative;
    const uint64_t *custom_bits; /* upper bounds, for TSDB_HISTOGRAM_CUSTOM_SCHEMA */
    uint32_t custom_count;
    /* If not 0, all that have the same one have the same layout: a chunk has one, and
     * it may be larger than all its samples. */
    uint64_t layout_id;
};

/* Whether it only says that the series has ended: then nothing but its sum is set. */
static inline bool
tsdb_histogram_is_stale(const struct tsdb_histogram *h)
{
    return h->sum_bits == TSDB_STALE_BITS;
}

/* Whether both have the same buckets, bounds included, so that counts can be compared
 * one by one. */
NODISCARD bool tsdb_histogram_same_layout(const struct tsdb_histogram *a,
                                          const struct tsdb_histogram *b);

/* Whether a count of now is below that of before, both counters of the same kind and
 * layout. */
NODISCARD bool tsdb_histogram_has_reset(const struct tsdb_histogram *before,
                                        const struct tsdb_histogram *now);

#endif
