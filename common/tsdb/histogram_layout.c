/* SPDX-License-Identifier: Apache-2.0 */
/* Every count is compared with the bits that are left before anything is allocated: a
 * span takes two bits at least, a custom bound five. */
#include "common/tsdb/histogram_layout.h"

#include <inttypes.h>

#include "common/base/num.h"
#include "common/codec/varbit.h"

enum {
    LOWEST_SCHEMA = -9,
    HIGHEST_SCHEMA = 52,
    SPAN_BITS = 2,
    BOUND_BITS = 5,
    /* A zero threshold of 2^(z-244) is the one byte z, 1..254. */
    THRESHOLD_BITS = 8,
    THRESHOLD_RAW = 255,
    THRESHOLD_EXPONENT = 244,
    /* of an IEEE 754 double */
    EXPONENT_BIAS = 1023,
    MANTISSA_BITS = 52
};

/* Custom bounds up to this many thousandths are stored as their number. */
#define MAX_THOUSANDTHS 33554430.0

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t
read_threshold(struct bits_reader *bits)
{
    uint64_t z = bits_read(bits, THRESHOLD_BITS);
    if (z == 0)
        return 0;
    if (z == THRESHOLD_RAW)
        return bits_read(bits, 64);
    return (z + EXPONENT_BIAS - THRESHOLD_EXPONENT) << MANTISSA_BITS;
}

static bool
read_schema(int32_t *schema, struct bits_reader *bits, struct err *err)
{
    int64_t v = varbit_read_i64(bits);
    bool is_exponential = v >= LOWEST_SCHEMA && v <= HIGHEST_SCHEMA;
    if (!is_exponential && v != TSDB_HISTOGRAM_CUSTOM_SCHEMA)
        return err_set(err, ERR_CORRUPT, "histogram schema %" PRId64, v);
    *schema = (int32_t)v;
    return true;
}

/* Whether so many things can follow, each of at least so many bits. */
static bool
has_room(uint64_t count, const struct bits_reader *bits, unsigned bits_each,
         const char *things, struct err *err)
{
    if (count > NUM_MIN(bits_left(bits) / bits_each, UINT32_MAX))
        return err_set(err, ERR_CORRUPT, "histogram: no room for %" PRIu64 " %s", count,
                       things);
    return true;
}

static bool
read_count(uint32_t *count, struct bits_reader *bits, unsigned bits_each,
           const char *things, struct err *err)
{
    uint64_t v = varbit_read_u64(bits);
    if (!has_room(v, bits, bits_each, things, err))
        return false;
    *count = (uint32_t)v;
    return true;
}

/* One span; *end is the index behind the spans before. */
static bool
read_span(struct tsdb_span *span, bool is_first, int64_t *end, struct bits_reader *bits,
          struct err *err)
{
    uint64_t length = varbit_read_u64(bits);
    int64_t offset = varbit_read_i64(bits);
    if (length > UINT32_MAX || offset < INT32_MIN || offset > INT32_MAX)
        return err_set(err, ERR_CORRUPT,
                       "histogram span of %" PRIu64 " buckets at %" PRId64, length,
                       offset);
    if (!is_first && offset < 0)
        return err_set(err, ERR_CORRUPT, "histogram spans overlap by %" PRId64,
                       -offset);
    *end += offset + (int64_t)length;
    if (*end > INT32_MAX)
        return err_set(err, ERR_CORRUPT, "histogram bucket %" PRId64, *end);
    *span = (struct tsdb_span){(int32_t)offset, (uint32_t)length};
    return true;
}

static bool
read_spans(struct tsdb_buckets *b, struct bits_reader *bits, unsigned bucket_bits,
           struct arena *arena, struct err *err)
{
    uint64_t buckets = 0;
    int64_t end = 0;
    uint32_t count;
    if (!read_count(&count, bits, SPAN_BITS, "spans", err))
        return false;
    struct tsdb_span *spans = arena_calloc(arena, count, sizeof *spans);
    if (spans == NULL)
        return arena_ok(arena, err);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_span(&spans[i], i == 0, &end, bits, err))
            return false;
        buckets += spans[i].length;
        if (!has_room(buckets, bits, bucket_bits, "buckets", err))
            return false;
    }
    b->spans = spans;
    b->span_count = count;
    b->count = (uint32_t)buckets;
    return true;
}

static uint64_t
read_bound(struct bits_reader *bits)
{
    uint64_t thousandths = varbit_read_u64(bits);
    if (thousandths == 0)
        return bits_read(bits, 64);
    return bits_of((double)(thousandths - 1) / 1000);
}

static bool
read_bounds(struct tsdb_histogram *h, struct bits_reader *bits, struct arena *arena,
            struct err *err)
{
    uint32_t count;
    if (!read_count(&count, bits, BOUND_BITS, "custom bounds", err))
        return false;
    uint64_t *bounds = arena_calloc(arena, count, sizeof *bounds);
    if (bounds == NULL)
        return arena_ok(arena, err);
    for (uint32_t i = 0; i < count; i++)
        bounds[i] = read_bound(bits);
    h->custom_bits = bounds;
    h->custom_count = count;
    return true;
}

bool
tsdb_histogram_layout_read(struct tsdb_histogram *h, struct bits_reader *bits,
                           unsigned bucket_bits, struct arena *arena, struct err *err)
{
    h->zero_threshold_bits = read_threshold(bits);
    if (!read_schema(&h->schema, bits, err) ||
        !read_spans(&h->positive, bits, bucket_bits, arena, err) ||
        !read_spans(&h->negative, bits, bucket_bits, arena, err))
        return false;
    if (h->schema == TSDB_HISTOGRAM_CUSTOM_SCHEMA && !read_bounds(h, bits, arena, err))
        return false;
    if (bits->bad)
        return err_set(err, ERR_CORRUPT, "histogram layout is cut");
    return has_room((uint64_t)h->positive.count + h->negative.count, bits, bucket_bits,
                    "buckets", err);
}

static void
write_threshold(struct bits_writer *bits, uint64_t threshold)
{
    uint64_t lowest = EXPONENT_BIAS - THRESHOLD_EXPONENT;
    uint64_t exponent = threshold >> MANTISSA_BITS; /* and the sign in front of it */
    bool is_power = threshold << (64 - MANTISSA_BITS) == 0 && exponent > lowest &&
                    exponent < lowest + THRESHOLD_RAW;
    if (threshold == 0) {
        bits_write(bits, 0, THRESHOLD_BITS);
    } else if (is_power) {
        bits_write(bits, exponent - lowest, THRESHOLD_BITS);
    } else {
        bits_write(bits, THRESHOLD_RAW, THRESHOLD_BITS);
        bits_write(bits, threshold, 64);
    }
}

static void
write_spans(struct bits_writer *bits, const struct tsdb_buckets *b)
{
    varbit_write_u64(bits, b->span_count);
    for (uint32_t i = 0; i < b->span_count; i++) {
        varbit_write_u64(bits, b->spans[i].length);
        varbit_write_i64(bits, b->spans[i].offset);
    }
}

static void
write_bound(struct bits_writer *bits, uint64_t bound)
{
    double v;
    memcpy(&v, &bound, sizeof v);
    double scaled = v * 1000;
    if (scaled >= 0 && scaled <= MAX_THOUSANDTHS) {
        uint64_t thousandths = (uint64_t)(scaled + 0.5);
        if (bits_of((double)thousandths / 1000) == bound) {
            varbit_write_u64(bits, thousandths + 1);
            return;
        }
    }
    varbit_write_u64(bits, 0);
    bits_write(bits, bound, 64);
}

void
tsdb_histogram_layout_write(const struct tsdb_histogram *h, struct bits_writer *bits)
{
    write_threshold(bits, h->zero_threshold_bits);
    varbit_write_i64(bits, h->schema);
    write_spans(bits, &h->positive);
    write_spans(bits, &h->negative);
    if (h->schema != TSDB_HISTOGRAM_CUSTOM_SCHEMA)
        return;
    varbit_write_u64(bits, h->custom_count);
    for (uint32_t i = 0; i < h->custom_count; i++)
        write_bound(bits, h->custom_bits[i]);
}
