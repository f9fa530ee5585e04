/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/any_samples.h"

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/tsdb/chunk_histogram_writer.h"

static const struct tsdb_span two[] = {{0, 2}};
static const struct tsdb_span three[] = {{-1, 2}, {2, 1}};
static const struct tsdb_span one[] = {{3, 1}};
static const struct tsdb_span four[] = {{-7, 4}};
static const uint64_t bounds[] = {UINT64_C(0x3fe0000000000000),
                                  UINT64_C(0x3ff0000000000000)};
static const uint64_t other_bounds[] = {UINT64_C(0x3fe0000000000000),
                                        UINT64_C(0x4000000000000000)};

#define THRESHOLD UINT64_C(0x37f0000000000000)

/* The first is the one that stale markers have. */
static const struct tsdb_histogram layouts[ANY_LAYOUTS] = {
    {.schema = 0},
    {.schema = 0,
     .zero_threshold_bits = THRESHOLD,
     .positive = {two, NULL, ARRAY_LEN(two), 2}},
    {.schema = 0,
     .zero_threshold_bits = THRESHOLD,
     .positive = {three, NULL, ARRAY_LEN(three), 3},
     .negative = {one, NULL, ARRAY_LEN(one), 1}},
    {.schema = 3,
     .zero_threshold_bits = THRESHOLD,
     .positive = {four, NULL, ARRAY_LEN(four), 4}},
    {.schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA,
     .positive = {two, NULL, ARRAY_LEN(two), 2},
     .custom_bits = bounds,
     .custom_count = ARRAY_LEN(bounds)},
    {.schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA,
     .positive = {two, NULL, ARRAY_LEN(two), 2},
     .custom_bits = other_bounds,
     .custom_count = ARRAY_LEN(other_bounds)},
};

uint64_t
any_below(uint64_t *state, uint64_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (*state >> 3) % n;
}

enum tsdb_chunk_encoding
any_encoding(uint64_t *state)
{
    return (enum tsdb_chunk_encoding)(TSDB_CHUNK_XOR + any_below(state, 6));
}

static bool
holds_floats(enum tsdb_chunk_encoding encoding)
{
    return encoding == TSDB_CHUNK_XOR || encoding == TSDB_CHUNK_XOR2;
}

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t
any_float(uint64_t *state)
{
    static const uint64_t rare[] = {
        0,
        UINT64_C(0x8000000000000000), /* -0 */
        UINT64_C(0x7ff0000000000000), /* infinity */
        UINT64_C(0x7ff8000000000001), /* NaN, as Go has it */
        UINT64_C(0x7ff8dead0000beef), /* another one */
        UINT64_C(0x0000000000000001),
        TSDB_STALE_BITS,
    };
    if (any_below(state, 5) == 0)
        return rare[any_below(state, ARRAY_LEN(rare))];
    return bits_of((double)any_below(state, 9) - 4);
}

/* A sample at t_ms that is at least the counters of the one before, if that has any. */
static void
any_next(uint64_t *state, struct any_sample *s)
{
    bool may_fall = s->is_gauge;
    int64_t t = s->t_ms + (1 << 20); /* positive */
    const struct tsdb_histogram *layout = &layouts[s->layout];
    uint32_t buckets = layout->positive.count + layout->negative.count;
    if (!s->is_histogram) {
        s->bits = any_float(state);
        return;
    }
    if (s->is_float) {
        s->count = bits_of((double)(2 * t + (int64_t)any_below(state, 2)));
        s->zero_count = bits_of((double)(t / 11));
        for (uint32_t i = 0; i < buckets; i++)
            s->values[i] = bits_of((double)(t / 5 * (int64_t)(i + 1)));
        if (may_fall)
            s->count = bits_of((double)any_below(state, 4));
    } else {
        s->count = (uint64_t)(2 * t) + any_below(state, 2);
        s->zero_count = (uint64_t)(t / 11);
        for (uint32_t i = 0; i < buckets; i++) /* differences of buckets */
            s->values[i] = (uint64_t)(t / 5);
        if (may_fall)
            s->count = any_below(state, 4);
    }
    s->bits = bits_of((double)any_below(state, 5));
}

static void
make_stale(struct any_sample *s)
{
    *s = (struct any_sample){.t_ms = s->t_ms,
                             .bits = TSDB_STALE_BITS,
                             .is_histogram = s->is_histogram,
                             .is_float = s->is_float};
}

void
any_run(uint64_t *state, enum tsdb_chunk_encoding encoding, int64_t t_ms,
        uint64_t max_step_ms, struct any_sample *to, size_t count)
{
    struct any_sample s = {.t_ms = t_ms, .is_histogram = !holds_floats(encoding)};
    size_t stale = any_below(state, 4) == 0 ? any_below(state, 2) + 1 : 0;
    if (s.is_histogram) {
        s.is_float = encoding == TSDB_CHUNK_FLOAT_HISTOGRAM ||
                     encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST;
        s.is_gauge = any_below(state, 3) == 0;
        s.layout = (unsigned)any_below(state, ANY_LAYOUTS);
    }
    for (size_t i = 0; i < count; i++) {
        any_next(state, &s);
        to[i] = s;
        if (i + stale >= count)
            make_stale(&to[i]);
        s.t_ms += 1 + (int64_t)any_below(state, max_step_ms);
    }
}

struct tsdb_histogram
any_histogram(const struct any_sample *s)
{
    struct tsdb_histogram h = layouts[s->layout];
    h.is_float = s->is_float;
    h.reset = s->is_gauge ? TSDB_RESET_GAUGE : TSDB_RESET_UNKNOWN;
    h.count = s->count;
    h.zero_count = s->zero_count;
    h.sum_bits = s->bits;
    h.positive.values = s->values;
    h.negative.values = s->values + h.positive.count;
    return h;
}

static struct any_sample
of_histogram(int64_t t_ms, const struct tsdb_histogram *h)
{
    struct any_sample s = {.t_ms = t_ms,
                           .bits = h->sum_bits,
                           .is_histogram = true,
                           .is_float = h->is_float};
    if (tsdb_histogram_is_stale(h))
        return s;
    s.is_gauge = h->reset == TSDB_RESET_GAUGE;
    while (!tsdb_histogram_same_layout(&layouts[s.layout], h))
        CHECK(++s.layout < ANY_LAYOUTS);
    s.count = h->count;
    s.zero_count = h->zero_count;
    for (uint32_t i = 0; i < h->positive.count; i++)
        s.values[i] = h->positive.values[i];
    for (uint32_t i = 0; i < h->negative.count; i++)
        s.values[h->positive.count + i] = h->negative.values[i];
    return s;
}

struct any_sample
any_sample_read(const struct tsdb_chunk_iter *it, enum tsdb_sample_kind kind)
{
    if (kind == TSDB_SAMPLE_HISTOGRAM)
        return of_histogram(it->sample.t_ms, &it->histogram);
    return (struct any_sample){.t_ms = it->sample.t_ms, .bits = it->sample.value_bits};
}

bool
any_sample_eq(const struct any_sample *a, const struct any_sample *b)
{
    return a->t_ms == b->t_ms && a->bits == b->bits &&
           a->is_histogram == b->is_histogram && a->is_float == b->is_float &&
           a->is_gauge == b->is_gauge && a->layout == b->layout &&
           a->count == b->count && a->zero_count == b->zero_count &&
           memcmp(a->values, b->values, sizeof a->values) == 0;
}

static void
write_xor(struct buf *out, const struct any_sample *samples, size_t count)
{
    struct tsdb_xor_writer w;
    tsdb_xor_writer_init(&w, out);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&w, (struct tsdb_sample){samples[i].t_ms, samples[i].bits});
    tsdb_xor_finish(&w);
}

/* The bits that a value of XOR2 changes, in a window of its own. */
static void
write_window(struct bits_writer *w, uint64_t changed)
{
    unsigned lead = NUM_MIN((unsigned)__builtin_clzll(changed), 31U);
    unsigned trail = (unsigned)__builtin_ctzll(changed);
    bits_write(w, lead, TSDB_XOR_LEAD_BITS);
    bits_write(w, 64 - lead - trail, TSDB_XOR_SIGNIFICANT_BITS); /* 64 becomes 0 */
    bits_write(w, changed >> trail, 64 - lead - trail);
}

static void
write_xor2_value(struct bits_writer *w, uint64_t bits, uint64_t base)
{
    if (bits == TSDB_STALE_BITS) {
        bits_write(w, 0x7, 3);
    } else if (bits == base) {
        bits_write(w, 0, 1);
    } else {
        bits_write(w, 0x6, 3);
        write_window(w, bits ^ base);
    }
}

static void
write_xor2_sample(struct bits_writer *w, int64_t dod, uint64_t bits, uint64_t base)
{
    if (dod != 0) {
        bool is_short = dod >= -4096 && dod < 4096;
        bits_write(w, is_short ? 0x6 : 0x1e, is_short ? 3 : 5);
        bits_write(w, (uint64_t)dod, is_short ? 13 : 64);
        write_xor2_value(w, bits, base);
    } else if (bits == TSDB_STALE_BITS) {
        bits_write(w, 0x1f, 5);
    } else if (bits == base) {
        bits_write(w, 0, 1);
    } else {
        bits_write(w, 0x5, 3); /* 10, and a new window */
        write_window(w, bits ^ base);
    }
}

/* Without start timestamps, and so short that none are written of necessity. */
static void
write_xor2(struct buf *out, const struct any_sample *samples, size_t count)
{
    struct bits_writer w = bits_writer_of(out);
    uint64_t base = 0;
    int64_t delta = 0;
    CHECK(count < 127);
    bits_write(&w, count, 16);
    bits_write(&w, 0, 8);
    for (size_t i = 0; i < count; i++) {
        int64_t step = i == 0 ? 0 : samples[i].t_ms - samples[i - 1].t_ms;
        uint64_t bits = samples[i].bits;
        if (i == 0) {
            bits_write_varint(&w, samples[i].t_ms);
            bits_write(&w, bits, 64);
        } else if (i == 1) {
            bits_write_uvarint(&w, (uint64_t)step);
            write_xor2_value(&w, bits, base);
        } else {
            write_xor2_sample(&w, step - delta, bits, base);
        }
        delta = step;
        if (bits != TSDB_STALE_BITS)
            base = bits;
    }
    bits_flush(&w);
}

static void
write_histograms(struct buf *out, const struct any_sample *samples, size_t count)
{
    CLEANUP(arena_fini) struct arena arena = {0};
    struct budget budget;
    struct tsdb_histogram_writer w;
    struct err err;
    budget_init(&budget, "chunk", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    for (size_t i = 0; i < count; i++) {
        struct tsdb_histogram h = any_histogram(&samples[i]);
        if (i == 0)
            tsdb_histogram_writer_init(&w, out, &arena, h.reset);
        CHECK(tsdb_histogram_writer_takes(&w, &h));
        CHECK(tsdb_histogram_append(&w, samples[i].t_ms, &h, &err));
    }
    tsdb_histogram_finish(&w);
    arena_reset(&arena);
    budget_fini(&budget);
}

/* The header of a histogram chunk as it is with start timestamps, of which it has
 * none: the hint moves in front of the count. */
static void
make_header_st(struct buf *data)
{
    data->at[0] |= data->at[2];
    data->at[2] = 0;
}

struct tsdb_timed_chunk
any_chunk(struct arena *arena, enum tsdb_chunk_encoding encoding,
          const struct any_sample *samples, size_t count)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_timed_chunk made = {.mint_ms = samples[0].t_ms,
                                    .maxt_ms = samples[count - 1].t_ms,
                                    .chunk.encoding = encoding};
    if (encoding == TSDB_CHUNK_XOR)
        write_xor(&data, samples, count);
    else if (encoding == TSDB_CHUNK_XOR2)
        write_xor2(&data, samples, count);
    else
        write_histograms(&data, samples, count);
    if (encoding == TSDB_CHUNK_HISTOGRAM_ST ||
        encoding == TSDB_CHUNK_FLOAT_HISTOGRAM_ST)
        make_header_st(&data);
    made.chunk.data = arena_copy(arena, buf_bytes(&data));
    made.chunk.crc = tsdb_chunk_crc(&made.chunk);
    return made;
}

/* What a reader may conclude from the hint of h, the sample behind last in a chunk. */
static void
check_hint(const struct any_sample *last, const struct any_sample *s,
           enum tsdb_counter_reset reset)
{
    struct tsdb_histogram before = any_histogram(last), now = any_histogram(s);
    if (reset == TSDB_RESET_GAUGE || s->bits == TSDB_STALE_BITS)
        return;
    CHECK(reset == TSDB_RESET_NO && last->bits != TSDB_STALE_BITS);
    CHECK(!tsdb_histogram_has_reset(&before, &now));
}

size_t
any_read(const struct tsdb_timed_chunk *chunks, size_t count, struct any_sample *to,
         size_t max)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(arena_fini) struct arena arena = {0};
        struct budget budget;
        struct tsdb_chunk_iter it;
        struct err err;
        enum tsdb_sample_kind kind;
        size_t first = total;
        budget_init(&budget, "chunk", SIZE_MAX, NULL);
        arena_init(&arena, &budget);
        CHECK(chunks[i].chunk.crc == tsdb_chunk_crc(&chunks[i].chunk));
        CHECK(tsdb_chunk_iter_init(&it, &chunks[i].chunk, &arena, &err));
        for (;; total++) {
            CHECK(tsdb_chunk_next(&it, &kind, &err));
            if (kind == TSDB_SAMPLE_NONE)
                break;
            CHECK(total < max);
            to[total] = any_sample_read(&it, kind);
            CHECK(total == 0 || to[total].t_ms > to[total - 1].t_ms);
            if (total > first && kind == TSDB_SAMPLE_HISTOGRAM)
                check_hint(&to[total - 1], &to[total], it.histogram.reset);
        }
        CHECK(total > first && to[first].t_ms == chunks[i].mint_ms);
        CHECK(to[total - 1].t_ms == chunks[i].maxt_ms);
        arena_reset(&arena);
        budget_fini(&budget);
    }
    return total;
}
