/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two samples of one series at the same millisecond is answered: the greater
 * one in the order below. It depends on the samples only, so that an answer does not
 * depend on which blocks hold them, in which chunks, in which encoding.
 *
 *  1. Stale markers are below all others: they say that nothing was known.
 *  2. Histograms are below floats.
 *  3. Floats are ordered as numbers, those that are none below them; then by bits.
 *  4. Histograms by count, then by sum, both as numbers; then by all else they hold,
 *     but for what a hint says of the sample before. */
#ifndef STORE_SAMPLE_ORDER_H
#define STORE_SAMPLE_ORDER_H

#include "common/tsdb/histogram.h"

/* Below, equal to or above 0 as a is below, the same bits as, or above b. */
int store_float_cmp(uint64_t a_bits, uint64_t b_bits);

/* Likewise of two histograms. */
int store_histogram_cmp(const struct tsdb_histogram *a, const struct tsdb_histogram *b);

/* A sample of either kind. */
struct store_any_value {
    uint64_t float_bits;
    const struct tsdb_histogram *histogram; /* borrowed; NULL: it is a float */
};

/* Likewise of two samples of any kind. */
int store_any_value_cmp(struct store_any_value a, struct store_any_value b);

#endif
