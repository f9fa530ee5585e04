/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sample_order.h"

#include <math.h>

#include "common/base/num.h"

static int
number_cmp(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(b) != 0) - (isnan(a) != 0);
    return (a > b) - (a < b);
}

static int
bits_cmp(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static double
double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static int
stale_cmp(bool a_is_stale, bool b_is_stale)
{
    return b_is_stale - a_is_stale;
}

int
store_float_cmp(uint64_t a_bits, uint64_t b_bits)
{
    if (a_bits == b_bits)
        return 0;
    int order = stale_cmp(a_bits == TSDB_STALE_BITS, b_bits == TSDB_STALE_BITS);
    if (order == 0)
        order = number_cmp(double_of(a_bits), double_of(b_bits));
    return order != 0 ? order : bits_cmp(a_bits, b_bits);
}

static double
count_of(const struct tsdb_histogram *h)
{
    return h->is_float ? double_of(h->count) : (double)h->count;
}

/* As arrays of bytes; the shorter one first. */
static int
array_cmp(const void *a, size_t a_size, const void *b, size_t b_size)
{
    if (a_size != b_size)
        return a_size < b_size ? -1 : 1;
    return a_size == 0 ? 0 : memcmp(a, b, a_size);
}

static int
buckets_cmp(const struct tsdb_buckets *a, const struct tsdb_buckets *b)
{
    int order = array_cmp(a->spans, a->span_count * sizeof *a->spans, b->spans,
                          b->span_count * sizeof *b->spans);
    if (order != 0)
        return order;
    return array_cmp(a->values, a->count * sizeof *a->values, b->values,
                     b->count * sizeof *b->values);
}

/* By what has one width in all histograms. */
static int
fields_cmp(const struct tsdb_histogram *a, const struct tsdb_histogram *b)
{
    const uint64_t pairs[][2] = {
        {a->is_float, b->is_float},
        {a->reset == TSDB_RESET_GAUGE, b->reset == TSDB_RESET_GAUGE},
        {a->count, b->count},
        {a->sum_bits, b->sum_bits},
        {a->zero_count, b->zero_count},
        {a->zero_threshold_bits, b->zero_threshold_bits},
        {(uint32_t)a->schema, (uint32_t)b->schema},
    };
    int order = 0;
    for (size_t i = 0; order == 0 && i < ARRAY_LEN(pairs); i++)
        order = bits_cmp(pairs[i][0], pairs[i][1]);
    return order;
}

int
store_histogram_cmp(const struct tsdb_histogram *a, const struct tsdb_histogram *b)
{
    bool is_stale = tsdb_histogram_is_stale(a);
    int order = stale_cmp(is_stale, tsdb_histogram_is_stale(b));
    if (order == 0 && is_stale)
        return a->is_float - b->is_float;
    if (order == 0)
        order = number_cmp(count_of(a), count_of(b));
    if (order == 0)
        order = number_cmp(double_of(a->sum_bits), double_of(b->sum_bits));
    if (order == 0)
        order = fields_cmp(a, b);
    if (order == 0)
        order = buckets_cmp(&a->positive, &b->positive);
    if (order == 0)
        order = buckets_cmp(&a->negative, &b->negative);
    return order != 0 ? order
                      : array_cmp(a->custom_bits, a->custom_count * sizeof(uint64_t),
                                  b->custom_bits, b->custom_count * sizeof(uint64_t));
}

static bool
is_stale(struct store_any_value v)
{
    return v.histogram != NULL ? tsdb_histogram_is_stale(v.histogram)
                               : v.float_bits == TSDB_STALE_BITS;
}

int
store_any_value_cmp(struct store_any_value a, struct store_any_value b)
{
    int order = stale_cmp(is_stale(a), is_stale(b));
    if (order == 0)
        order = (a.histogram == NULL) - (b.histogram == NULL);
    if (order != 0)
        return order;
    return a.histogram == NULL ? store_float_cmp(a.float_bits, b.float_bits)
                               : store_histogram_cmp(a.histogram, b.histogram);
}
