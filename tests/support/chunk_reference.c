/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "tests/support/chunk_digest.h"
#include "tests/support/slow_bits.h"

#define STALE UINT64_C(0x7ff0000000000002)

struct start {
    int is_known;
    uint64_t change;
    uint64_t ms;
    uint64_t difference;
};

static void
next_start(struct slow_bits *in, struct start *s, uint64_t i, uint64_t t,
           uint64_t before)
{
    if (i == 0 && s->is_known)
        s->ms = t - slow_varint(in);
    if (i == 0 || s->change == 0 || i < s->change)
        return;
    if (i == s->change)
        s->difference = slow_varbit_int(in);
    else
        s->difference += slow_varbit_int(in);
    s->ms = before - s->difference;
}

/* 0: as before; 1: changed in the same window; 2: in a new one; 3: stale. */
static uint64_t
changed_float(struct slow_bits *in, struct slow_float *f, int how)
{
    if (how == 1)
        slow_same_window(in, f);
    if (how == 2)
        slow_new_window(in, f);
    return how == 3 ? STALE : f->value;
}

static uint64_t
xor2_value(struct slow_bits *in, struct slow_float *f)
{
    if (slow_bit(in) == 0)
        return changed_float(in, f, 0);
    if (slow_bit(in) == 0)
        return changed_float(in, f, 1);
    return changed_float(in, f, slow_bit(in) == 0 ? 2 : 3);
}

/* Time and value of a sample behind the second. */
static uint64_t
xor2_sample(struct slow_bits *in, struct slow_float *f, uint64_t *delta)
{
    if (slow_bit(in) == 0)
        return f->value;
    if (slow_bit(in) == 0)
        return changed_float(in, f, slow_bit(in) == 0 ? 1 : 2);
    if (slow_bit(in) == 0)
        *delta += slow_signed(in, 13);
    else if (slow_bit(in) == 0)
        *delta += slow_signed(in, 20);
    else if (slow_bit(in) == 0)
        *delta += slow_bits(in, 64);
    else
        return STALE;
    return xor2_value(in, f);
}

static void
read_xor2(struct slow_bits *in, struct chunk_digest *d)
{
    uint64_t count = slow_bits(in, 16);
    struct start start = {.is_known = slow_bit(in), .change = slow_bits(in, 7)};
    struct slow_float f = {0};
    uint64_t t = 0, delta = 0, value = 0;
    for (uint64_t i = 0; i < count && !in->broken; i++) {
        uint64_t before = t;
        if (i == 0) {
            t = slow_varint(in);
            value = slow_bits(in, 64);
            if (value != STALE)
                f.value = value;
        } else if (i == 1) {
            delta = slow_uvarint(in);
            value = xor2_value(in, &f);
        } else {
            value = xor2_sample(in, &f, &delta);
        }
        if (i > 0)
            t += delta;
        next_start(in, &start, i, t, before);
        chunk_digest_add(d, TSDB_SAMPLE_FLOAT, (struct tsdb_sample){(int64_t)t, value},
                         (int64_t)start.ms, NULL);
    }
}

/* One side of the histograms of a chunk. */
struct side {
    struct tsdb_span *spans;
    uint64_t span_count;
    uint64_t count;
    uint64_t *values;
    uint64_t *deltas;
    struct slow_float *floats;
};

struct reference {
    bool is_float;
    bool has_start;
    uint64_t header;
    struct start start;
    uint64_t threshold;
    int64_t schema;
    struct side sides[2];
    uint64_t *bounds;
    uint64_t bound_count;
};

static void
side_free(struct side *s)
{
    free(s->spans);
    free(s->values);
    free(s->deltas);
    free(s->floats);
}

static uint64_t
bits_behind(const struct slow_bits *in)
{
    return in->data.len * 8 - in->bit;
}

static void
read_spans(struct slow_bits *in, struct side *s)
{
    int64_t end = 0;
    s->span_count = slow_varbit_uint(in);
    if (s->span_count > bits_behind(in)) {
        in->broken = true;
        s->span_count = 0;
    }
    s->spans = xcalloc(s->span_count + 1, sizeof *s->spans);
    for (uint64_t i = 0; i < s->span_count && !in->broken; i++) {
        uint64_t length = slow_varbit_uint(in);
        int64_t offset = (int64_t)slow_varbit_int(in);
        if (length > UINT32_MAX || offset < INT32_MIN || offset > INT32_MAX ||
            (i > 0 && offset < 0)) {
            in->broken = true;
            return;
        }
        end += offset + (int64_t)length;
        s->count += length;
        if (end > INT32_MAX || s->count > bits_behind(in)) {
            in->broken = true;
            return;
        }
        s->spans[i] = (struct tsdb_span){(int32_t)offset, (uint32_t)length};
    }
    s->values = xcalloc(s->count + 1, sizeof *s->values);
    s->deltas = xcalloc(s->count + 1, sizeof *s->deltas);
    s->floats = xcalloc(s->count + 1, sizeof *s->floats);
}

static void
read_bounds(struct slow_bits *in, struct reference *r)
{
    r->bound_count = slow_varbit_uint(in);
    if (r->bound_count > bits_behind(in)) {
        in->broken = true;
        r->bound_count = 0;
    }
    r->bounds = xcalloc(r->bound_count + 1, sizeof *r->bounds);
    for (uint64_t i = 0; i < r->bound_count && !in->broken; i++) {
        uint64_t n = slow_varbit_uint(in);
        double v = (double)(n - 1) / 1000.0;
        if (n == 0)
            r->bounds[i] = slow_bits(in, 64);
        else
            memcpy(&r->bounds[i], &v, sizeof v);
    }
}

static void
read_layout(struct slow_bits *in, struct reference *r)
{
    uint64_t z = slow_bits(in, 8);
    double threshold = 0;
    if (z == 255) {
        r->threshold = slow_bits(in, 64);
    } else if (z > 0) {
        threshold = 1;
        for (uint64_t i = z; i < 244; i++)
            threshold /= 2;
        for (uint64_t i = 244; i < z; i++)
            threshold *= 2;
        memcpy(&r->threshold, &threshold, sizeof threshold);
    }
    r->schema = (int64_t)slow_varbit_int(in);
    if (r->schema != -53 && (r->schema < -9 || r->schema > 52))
        in->broken = true;
    read_spans(in, &r->sides[0]);
    if (!in->broken)
        read_spans(in, &r->sides[1]);
    if (!in->broken && r->schema == -53)
        read_bounds(in, r);
}

static void
read_buckets(struct slow_bits *in, const struct reference *r, struct side *s,
             uint64_t i)
{
    for (uint64_t k = 0; k < s->count && !in->broken; k++) {
        if (r->is_float && i == 0)
            s->floats[k].value = slow_bits(in, 64);
        else if (r->is_float)
            slow_next_float(in, &s->floats[k]);
        if (r->is_float) {
            s->values[k] = s->floats[k].value;
        } else if (i == 0) {
            s->values[k] = slow_varbit_int(in);
        } else {
            s->deltas[k] += slow_varbit_int(in);
            s->values[k] += s->deltas[k];
        }
    }
}

static struct tsdb_buckets
buckets_of(const struct side *s)
{
    return (struct tsdb_buckets){s->spans, s->values, (uint32_t)s->span_count,
                                 (uint32_t)s->count};
}

static enum tsdb_counter_reset
reset_of(const struct reference *r, uint64_t i)
{
    if (r->header == 3)
        return TSDB_RESET_GAUGE;
    return i == 0 ? TSDB_RESET_UNKNOWN : TSDB_RESET_NO;
}

/* Integers: a number, the change of it; floats: the number with its window. */
struct number {
    struct slow_float f;
    uint64_t delta;
};

static void
next_number(struct slow_bits *in, bool is_float, uint64_t i, struct number *n)
{
    if (is_float && i == 0) {
        n->f.value = slow_bits(in, 64);
    } else if (is_float) {
        slow_next_float(in, &n->f);
    } else if (i == 0) {
        n->f.value = slow_varbit_uint(in);
    } else {
        n->delta += slow_varbit_int(in);
        n->f.value += n->delta;
    }
}

static void
read_histograms(struct slow_bits *in, struct reference *r, uint64_t count,
                struct chunk_digest *d)
{
    struct number total = {0}, zero = {0}, sum = {0};
    uint64_t t = 0, delta = 0;
    for (uint64_t i = 0; i < count && !in->broken; i++) {
        uint64_t before = t;
        if (i == 0) {
            t = slow_varbit_int(in);
        } else {
            delta += slow_varbit_int(in);
            t += delta;
        }
        next_number(in, r->is_float, i, &total);
        next_number(in, r->is_float, i, &zero);
        next_number(in, true, i, &sum);
        bool is_stale = sum.f.value == STALE;
        if (!is_stale || i == 0) {
            read_buckets(in, r, &r->sides[0], i);
            read_buckets(in, r, &r->sides[1], i);
        }
        if (r->has_start)
            next_start(in, &r->start, i, t, before);
        struct tsdb_histogram h = {.is_float = r->is_float, .sum_bits = STALE};
        if (!is_stale)
            h = (struct tsdb_histogram){.is_float = r->is_float,
                                        .reset = reset_of(r, i),
                                        .schema = (int32_t)r->schema,
                                        .zero_threshold_bits = r->threshold,
                                        .count = total.f.value,
                                        .zero_count = zero.f.value,
                                        .sum_bits = sum.f.value,
                                        .positive = buckets_of(&r->sides[0]),
                                        .negative = buckets_of(&r->sides[1]),
                                        .custom_bits = r->bounds,
                                        .custom_count = (uint32_t)r->bound_count};
        chunk_digest_add(d, TSDB_SAMPLE_HISTOGRAM, (struct tsdb_sample){(int64_t)t, 0},
                         (int64_t)r->start.ms, &h);
    }
}

static void
read_histogram_chunk(struct slow_bits *in, struct reference *r, struct chunk_digest *d)
{
    uint64_t count;
    if (r->has_start) {
        r->header = slow_bits(in, 2);
        count = slow_bits(in, 14);
        r->start.is_known = slow_bit(in);
        r->start.change = slow_bits(in, 7);
    } else {
        count = slow_bits(in, 16);
        r->header = slow_bits(in, 2);
        slow_bits(in, 6);
    }
    if (count == 0)
        return;
    read_layout(in, r);
    if (!in->broken)
        read_histograms(in, r, count, d);
}

bool
chunk_reference_digest(struct chunk_digest *d, const struct tsdb_chunk *chunk)
{
    struct slow_bits in = {.data = chunk->data};
    enum tsdb_chunk_encoding encoding = chunk->encoding;
    struct reference r = {.is_float = encoding == TSDB_CHUNK_FLOAT_HISTOGRAM ||
                                      encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST,
                          .has_start = encoding == TSDB_CHUNK_HISTOGRAM_ST ||
                                       encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST};
    *d = (struct chunk_digest){0};
    if (encoding == TSDB_CHUNK_XOR2)
        read_xor2(&in, d);
    else
        read_histogram_chunk(&in, &r, d);
    side_free(&r.sides[0]);
    side_free(&r.sides[1]);
    free(r.bounds);
    return !in.broken;
}
