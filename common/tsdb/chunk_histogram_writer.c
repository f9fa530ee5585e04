/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk_histogram_writer.h"

#include "common/base/check.h"
#include "common/tsdb/histogram_layout.h"

enum { HEADER_SIZE = 3, RESET_AT = 2, RESET_SHIFT = 6, FLOAT_BITS = 64 };

/* What the header says in its two bits. */
static const uint8_t reset_bits[] = {[TSDB_RESET_UNKNOWN] = 0,
                                     [TSDB_RESET_NO] = 1,
                                     [TSDB_RESET_YES] = 2,
                                     [TSDB_RESET_GAUGE] = 3};

void
tsdb_histogram_writer_init(struct tsdb_histogram_writer *w, struct buf *out,
                           struct arena *arena, enum tsdb_counter_reset reset)
{
    const struct tsdb_xor_value none = {.lead = TSDB_XOR_NO_WINDOW};
    *w = (struct tsdb_histogram_writer){.out = out,
                                        .arena = arena,
                                        .start_at = out->len,
                                        .bits = bits_writer_of(out),
                                        .reset = reset,
                                        .float_count = none,
                                        .float_zero = none,
                                        .sum = none};
    bits_write(&w->bits, 0, 8 * HEADER_SIZE);
}

/* What fits, but for the layout, of which only the number of buckets is compared. */
static bool
has_room(const struct tsdb_histogram_writer *w, const struct tsdb_histogram *h)
{
    if (w->count == 0)
        return true;
    return w->count < UINT16_MAX && h->is_float == w->last.is_float &&
           (tsdb_histogram_is_stale(h) ||
            (h->positive.count == w->last.positive.count &&
             h->negative.count == w->last.negative.count));
}

bool
tsdb_histogram_writer_fits(const struct tsdb_histogram_writer *w,
                           const struct tsdb_histogram *h)
{
    if (w->count == 0)
        return true;
    return has_room(w, h) &&
           (tsdb_histogram_is_stale(h) || tsdb_histogram_same_layout(&w->last, h));
}

bool
tsdb_histogram_writer_takes(const struct tsdb_histogram_writer *w,
                            const struct tsdb_histogram *h)
{
    bool is_gauge = w->reset == TSDB_RESET_GAUGE;
    if (!tsdb_histogram_writer_fits(w, h))
        return false;
    if (tsdb_histogram_is_stale(h))
        return true;
    if (is_gauge != (h->reset == TSDB_RESET_GAUGE))
        return false;
    if (w->count == 0)
        return true;
    if (tsdb_histogram_is_stale(&w->last))
        return false;
    return is_gauge ||
           (h->reset != TSDB_RESET_YES && !tsdb_histogram_has_reset(&w->last, h));
}

static const void *
copy(struct arena *arena, const void *at, size_t size)
{
    return arena_copy(arena, bytes_of(at, size)).at;
}

/* Keep the layout of the first histogram, and make room for its buckets. */
static bool
keep_layout(struct tsdb_histogram_writer *w, const struct tsdb_histogram *h,
            struct err *err)
{
    struct tsdb_histogram *last = &w->last;
    size_t buckets = (size_t)h->positive.count + h->negative.count;
    *last = *h;
    last->positive.spans = copy(w->arena, h->positive.spans,
                                h->positive.span_count * sizeof *h->positive.spans);
    last->negative.spans = copy(w->arena, h->negative.spans,
                                h->negative.span_count * sizeof *h->negative.spans);
    last->custom_bits =
        copy(w->arena, h->custom_bits, h->custom_count * sizeof *h->custom_bits);
    w->values = arena_calloc(w->arena, buckets, sizeof *w->values);
    w->deltas = arena_calloc(w->arena, buckets, sizeof *w->deltas);
    w->windows = arena_calloc(w->arena, buckets, sizeof *w->windows);
    if (!arena_ok(w->arena, err))
        return false;
    last->positive.values = w->values;
    last->negative.values = w->values + h->positive.count;
    return true;
}

static void
write_first(struct tsdb_histogram_writer *w, int64_t t_ms,
            const struct tsdb_histogram *h)
{
    tsdb_histogram_layout_write(h, &w->bits);
    varbit_write_i64(&w->bits, t_ms);
    if (h->is_float) {
        bits_write(&w->bits, h->count, FLOAT_BITS);
        bits_write(&w->bits, h->zero_count, FLOAT_BITS);
        w->float_count.bits = h->count;
        w->float_zero.bits = h->zero_count;
    } else {
        varbit_write_u64(&w->bits, h->count);
        varbit_write_u64(&w->bits, h->zero_count);
    }
    bits_write(&w->bits, h->sum_bits, FLOAT_BITS);
    w->sum.bits = h->sum_bits;
}

/* A number as the change of its change; both are kept. */
static void
write_dod(struct bits_writer *bits, uint64_t v, uint64_t *last, uint64_t *last_delta)
{
    uint64_t delta = v - *last;
    varbit_write_i64(bits, (int64_t)(delta - *last_delta));
    *last = v;
    *last_delta = delta;
}

static void
write_other(struct tsdb_histogram_writer *w, int64_t t_ms,
            const struct tsdb_histogram *h)
{
    uint64_t t = (uint64_t)w->t;
    write_dod(&w->bits, (uint64_t)t_ms, &t, &w->t_delta);
    if (h->is_float) {
        tsdb_xor_value_write(&w->float_count, &w->bits, h->count);
        tsdb_xor_value_write(&w->float_zero, &w->bits, h->zero_count);
        w->last.count = h->count;
        w->last.zero_count = h->zero_count;
    } else if (tsdb_histogram_is_stale(h)) {
        /* No change of the change, so that its counts mean nothing. */
        write_dod(&w->bits, w->last.count + w->count_delta, &w->last.count,
                  &w->count_delta);
        write_dod(&w->bits, w->last.zero_count + w->zero_delta, &w->last.zero_count,
                  &w->zero_delta);
    } else {
        write_dod(&w->bits, h->count, &w->last.count, &w->count_delta);
        write_dod(&w->bits, h->zero_count, &w->last.zero_count, &w->zero_delta);
    }
    tsdb_xor_value_write(&w->sum, &w->bits, h->sum_bits);
}

/* The buckets of one side; the first of them has the number at. */
static void
write_buckets(struct tsdb_histogram_writer *w, const struct tsdb_buckets *b, size_t at)
{
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t *last = &w->values[at + i];
        struct tsdb_bucket_window *window = &w->windows[at + i];
        if (w->last.is_float && w->count > 0) {
            struct tsdb_xor_value v = {*last, window->lead, window->trail};
            tsdb_xor_value_write(&v, &w->bits, b->values[i]);
            *window = (struct tsdb_bucket_window){(uint8_t)v.lead, (uint8_t)v.trail};
            *last = v.bits;
        } else if (w->last.is_float) {
            bits_write(&w->bits, b->values[i], FLOAT_BITS);
            window->lead = TSDB_XOR_NO_WINDOW;
            *last = b->values[i];
        } else if (w->count > 0) {
            write_dod(&w->bits, b->values[i], last, &w->deltas[at + i]);
        } else {
            varbit_write_i64(&w->bits, (int64_t)b->values[i]);
            *last = b->values[i];
        }
    }
}

bool
tsdb_histogram_append(struct tsdb_histogram_writer *w, int64_t t_ms,
                      const struct tsdb_histogram *h, struct err *err)
{
    const struct tsdb_histogram stale = {.is_float = h->is_float,
                                         .sum_bits = TSDB_STALE_BITS};
    CHECK(has_room(w, h));
    if (tsdb_histogram_is_stale(h))
        h = &stale; /* whatever else it may say */
    if (w->count == 0) {
        if (!keep_layout(w, h, err))
            return false;
        write_first(w, t_ms, h);
    } else {
        write_other(w, t_ms, h);
    }
    write_buckets(w, &h->positive, 0);
    write_buckets(w, &h->negative, h->positive.count);
    w->t = t_ms;
    w->last.sum_bits = h->sum_bits;
    w->count++;
    return true;
}

void
tsdb_histogram_finish(struct tsdb_histogram_writer *w)
{
    bits_flush(&w->bits);
    if (w->out->len < w->start_at + HEADER_SIZE)
        return; /* out failed before */
    be16_store(w->out->at + w->start_at, (uint16_t)w->count);
    w->out->at[w->start_at + RESET_AT] = (uint8_t)(reset_bits[w->reset] << RESET_SHIFT);
}
