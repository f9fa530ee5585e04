/* SPDX-License-Identifier: Apache-2.0 */
/* Each number of a histogram is a stream of its own: integers are deltas of deltas,
 * floats the bits that differ from the histogram before. Arithmetic is unsigned,
 * because it wraps. A stale marker has no buckets; theirs stay what they were. */
#include "common/tsdb/chunk_histogram.h"

#include <stdatomic.h>

#include "common/tsdb/histogram_layout.h"

enum {
    HEADER_SIZE = 3,
    RESET_SHIFT = 6,        /* the upper two bits of a byte */
    ST_COUNT_MASK = 0x3fff, /* they stand above the count, if with start times */
    FLOAT_BITS = 64,
    BUCKET_BITS = 1
};

/* Bits that count samples take at least. */
static uint64_t
fewest_bits(uint64_t count)
{
    enum { FIRST = 8 + 1 + 1 + 1 + 1 + 1 + 1 + 64, OTHER = 1 + 1 + 1 + 1 };
    return count == 0 ? 0 : FIRST + (count - 1) * OTHER;
}

/* By the two bits of the header. */
static const enum tsdb_counter_reset resets[] = {TSDB_RESET_UNKNOWN, TSDB_RESET_NO,
                                                 TSDB_RESET_YES, TSDB_RESET_GAUGE};

static bool
read_header(struct tsdb_histogram_reader *r, struct bytes data, struct err *err)
{
    if (data.len < HEADER_SIZE)
        return err_set(err, ERR_CORRUPT, "histogram chunk cut at %zu bytes", data.len);
    uint32_t count = be16_load(data.at);
    r->reset = resets[data.at[r->has_start ? 0 : 2] >> RESET_SHIFT];
    r->count = r->has_start ? count & ST_COUNT_MASK : count;
    if (r->has_start)
        r->start = tsdb_start_time_of(data.at[2]);
    bytes_skip(&data, HEADER_SIZE);
    if (fewest_bits(r->count) > (uint64_t)data.len * 8)
        return err_set(err, ERR_CORRUPT,
                       "histogram chunk: %zu bytes hold no %u samples", data.len,
                       r->count);
    r->bits = bits_reader_of(data);
    return true;
}

/* The buckets, one array for both sides. */
static bool
make_buckets(struct tsdb_histogram_reader *r, struct arena *arena, struct err *err)
{
    struct tsdb_histogram *h = &r->now;
    size_t count = (size_t)h->positive.count + h->negative.count;
    r->values = arena_calloc(arena, count, sizeof *r->values);
    if (h->is_float)
        r->windows = arena_calloc(arena, count, sizeof *r->windows);
    else
        r->deltas = arena_calloc(arena, count, sizeof *r->deltas);
    if (!arena_ok(arena, err))
        return false;
    h->positive.values = r->values;
    h->negative.values = r->values + h->positive.count;
    return true;
}

static uint64_t
new_layout_id(void)
{
    static atomic_uint_fast64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

bool
tsdb_histogram_reader_init(struct tsdb_histogram_reader *r,
                           const struct tsdb_chunk *chunk, struct arena *arena,
                           struct err *err)
{
    enum tsdb_chunk_encoding encoding = chunk->encoding;
    bool is_float = encoding == TSDB_CHUNK_FLOAT_HISTOGRAM ||
                    encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST;
    *r = (struct tsdb_histogram_reader){.now.is_float = is_float,
                                        .now.layout_id = new_layout_id(),
                                        .has_start =
                                            encoding == TSDB_CHUNK_HISTOGRAM_ST ||
                                            encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST};
    if (!read_header(r, chunk->data, err))
        return false;
    if (r->count == 0)
        return true;
    return tsdb_histogram_layout_read(
               &r->now, &r->bits, is_float ? FLOAT_BITS : BUCKET_BITS, arena, err) &&
           make_buckets(r, arena, err);
}

static uint32_t
bucket_count(const struct tsdb_histogram_reader *r)
{
    return r->now.positive.count + r->now.negative.count;
}

static void
read_first_integers(struct tsdb_histogram_reader *r)
{
    r->now.count = varbit_read_u64(&r->bits);
    r->now.zero_count = varbit_read_u64(&r->bits);
    r->sum.bits = bits_read(&r->bits, FLOAT_BITS);
    for (uint32_t i = 0; i < bucket_count(r); i++)
        r->values[i] = (uint64_t)varbit_read_i64(&r->bits);
}

static void
read_integers(struct tsdb_histogram_reader *r)
{
    r->count_delta += (uint64_t)varbit_read_i64(&r->bits);
    r->now.count += r->count_delta;
    r->zero_delta += (uint64_t)varbit_read_i64(&r->bits);
    r->now.zero_count += r->zero_delta;
    tsdb_xor_value_read(&r->sum, &r->bits);
    if (r->sum.bits == TSDB_STALE_BITS)
        return;
    for (uint32_t i = 0; i < bucket_count(r); i++) {
        r->deltas[i] += (uint64_t)varbit_read_i64(&r->bits);
        r->values[i] += r->deltas[i];
    }
}

static void
read_first_floats(struct tsdb_histogram_reader *r)
{
    r->float_count.bits = bits_read(&r->bits, FLOAT_BITS);
    r->float_zero.bits = bits_read(&r->bits, FLOAT_BITS);
    r->sum.bits = bits_read(&r->bits, FLOAT_BITS);
    for (uint32_t i = 0; i < bucket_count(r); i++)
        r->values[i] = bits_read(&r->bits, FLOAT_BITS);
}

static void
read_floats(struct tsdb_histogram_reader *r)
{
    tsdb_xor_value_read(&r->float_count, &r->bits);
    tsdb_xor_value_read(&r->float_zero, &r->bits);
    tsdb_xor_value_read(&r->sum, &r->bits);
    if (r->sum.bits == TSDB_STALE_BITS)
        return;
    for (uint32_t i = 0; i < bucket_count(r); i++) {
        struct tsdb_bucket_window *w = &r->windows[i];
        struct tsdb_xor_value v = {r->values[i], w->lead, w->trail};
        tsdb_xor_value_read(&v, &r->bits);
        r->values[i] = v.bits;
        *w = (struct tsdb_bucket_window){(uint8_t)v.lead, (uint8_t)v.trail};
    }
}

static void
read_sample(struct tsdb_histogram_reader *r)
{
    bool is_first = r->seen == 0;
    if (r->now.is_float) {
        if (is_first)
            read_first_floats(r);
        else
            read_floats(r);
        r->now.count = r->float_count.bits;
        r->now.zero_count = r->float_zero.bits;
    } else if (is_first) {
        read_first_integers(r);
    } else {
        read_integers(r);
    }
    r->now.sum_bits = r->sum.bits;
}

static enum tsdb_counter_reset
reset_of(const struct tsdb_histogram_reader *r)
{
    if (r->reset == TSDB_RESET_GAUGE)
        return TSDB_RESET_GAUGE;
    return r->seen == 0 ? TSDB_RESET_UNKNOWN : TSDB_RESET_NO;
}

bool
tsdb_histogram_next(struct tsdb_histogram_reader *r, int64_t *t_ms,
                    struct tsdb_histogram *h, bool *end, struct err *err)
{
    int64_t before_ms = r->t;
    *end = r->seen == r->count;
    if (*end)
        return true;
    uint64_t field = (uint64_t)varbit_read_i64(&r->bits);
    if (r->seen > 0)
        r->t_delta += field;
    r->t = (int64_t)(r->seen == 0 ? field : (uint64_t)r->t + r->t_delta);
    read_sample(r);
    if (r->has_start)
        tsdb_start_time_read(&r->start, &r->bits, r->seen, r->t, before_ms);
    if (r->bits.bad)
        return err_set(err, ERR_CORRUPT, "histogram chunk broken in sample %u of %u",
                       r->seen + 1, r->count);
    r->now.reset = reset_of(r);
    r->seen++;
    *t_ms = r->t;
    *h = r->now;
    if (tsdb_histogram_is_stale(h))
        *h = (struct tsdb_histogram){.is_float = r->now.is_float,
                                     .sum_bits = TSDB_STALE_BITS};
    return true;
}
