/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/histogram.h"

static bool
same_memory(const void *a, const void *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

static bool
same_spans(const struct tsdb_buckets *a, const struct tsdb_buckets *b)
{
    return a->span_count == b->span_count &&
           same_memory(a->spans, b->spans, a->span_count * sizeof *a->spans);
}

bool
tsdb_histogram_same_layout(const struct tsdb_histogram *a,
                           const struct tsdb_histogram *b)
{
    if (a->layout_id != 0 && a->layout_id == b->layout_id)
        return true;
    return a->schema == b->schema && a->zero_threshold_bits == b->zero_threshold_bits &&
           same_spans(&a->positive, &b->positive) &&
           same_spans(&a->negative, &b->negative) &&
           a->custom_count == b->custom_count &&
           same_memory(a->custom_bits, b->custom_bits,
                       a->custom_count * sizeof *a->custom_bits);
}

static double
float_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static bool
is_below(bool is_float, uint64_t a, uint64_t b)
{
    return is_float ? float_of(a) < float_of(b) : a < b;
}

static bool
has_bucket_reset(bool is_float, const struct tsdb_buckets *before,
                 const struct tsdb_buckets *now)
{
    uint64_t count_before = 0, count_now = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        count_before = before->values[i] + (is_float ? 0 : count_before);
        count_now = now->values[i] + (is_float ? 0 : count_now);
        /* Counts of integer buckets are signed. */
        bool is_reset = is_float ? is_below(true, count_now, count_before)
                                 : (int64_t)count_now < (int64_t)count_before;
        if (is_reset)
            return true;
    }
    return false;
}

bool
tsdb_histogram_has_reset(const struct tsdb_histogram *before,
                         const struct tsdb_histogram *now)
{
    bool is_float = now->is_float;
    return is_below(is_float, now->count, before->count) ||
           is_below(is_float, now->zero_count, before->zero_count) ||
           has_bucket_reset(is_float, &before->positive, &now->positive) ||
           has_bucket_reset(is_float, &before->negative, &now->negative);
}
