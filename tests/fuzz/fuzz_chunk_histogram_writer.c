/* SPDX-License-Identifier: Apache-2.0 */
/* Any histograms of one layout survive in a chunk, as both decoders read it; the writer
 * refuses what does not fit. */
#include "common/base/check.h"
#include "common/tsdb/chunk_histogram_writer.h"
#include "tests/support/chunk_digest.h"
#include "tests/support/fuzz_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SPANS_MAX = 5,
    SPAN_LENGTH_MAX = 9,
    BUCKETS_MAX = SPANS_MAX * SPAN_LENGTH_MAX,
    BOUNDS_MAX = 8,
    SCHEMA_MIN = -9,
    SCHEMAS = 62, /* up to 52 */
    SHORT = 192,  /* of a byte; above it that many bytes each */
    SHORT_BYTES = 64
};

struct side {
    struct tsdb_span spans[SPANS_MAX];
    uint64_t values[BUCKETS_MAX];
};

/* What is written, and what has been so far. */
struct work {
    struct fuzz_script script;
    struct tsdb_histogram now; /* points to what is below */
    struct side sides[2];
    uint64_t bounds[BOUNDS_MAX];
    struct fuzz_clock clock;
    enum tsdb_counter_reset reset;
    struct chunk_digest wanted;
};

static struct tsdb_buckets
make_side(struct fuzz_script *s, struct side *side)
{
    struct tsdb_buckets b = {.spans = side->spans, .values = side->values};
    b.span_count = fuzz_script_below(s, SPANS_MAX + 1);
    for (uint32_t i = 0; i < b.span_count; i++) {
        uint64_t offset = i == 0 ? fuzz_script_number(s) : fuzz_script_byte(s);
        side->spans[i].offset = (int32_t)(offset % (1 << 24)) - (i == 0 ? 1 << 23 : 0);
        side->spans[i].length = fuzz_script_below(s, SPAN_LENGTH_MAX + 1);
        b.count += side->spans[i].length;
    }
    return b;
}

/* Bounds are stored as thousandths where they are some. */
static void
make_bounds(struct work *w)
{
    w->now.custom_bits = w->bounds;
    w->now.custom_count = fuzz_script_below(&w->script, BOUNDS_MAX + 1);
    for (uint32_t i = 0; i < w->now.custom_count; i++) {
        double bound = (double)fuzz_script_count(&w->script, i) / 1000;
        memcpy(&w->bounds[i], &bound, sizeof bound);
        w->bounds[i] = fuzz_script_float(&w->script, w->bounds[i]);
    }
}

static void
make_layout(struct work *w)
{
    struct fuzz_script *s = &w->script;
    struct tsdb_histogram *h = &w->now;
    uint8_t how = fuzz_script_byte(s);
    h->is_float = how & 1;
    w->reset = (enum tsdb_counter_reset)(how >> 1 & 3);
    h->schema = (int32_t)fuzz_script_below(s, SCHEMAS) + SCHEMA_MIN;
    h->zero_threshold_bits =
        how & 8 ? fuzz_script_float(s, 0) : (uint64_t)fuzz_script_below(s, 256) << 52;
    h->positive = make_side(s, &w->sides[0]);
    h->negative = make_side(s, &w->sides[1]);
    if (how & 16) {
        h->schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA;
        make_bounds(w);
    }
}

static uint64_t
next_number(struct work *w, uint64_t before)
{
    return w->now.is_float ? fuzz_script_float(&w->script, before)
                           : fuzz_script_count(&w->script, before);
}

static void
make_next(struct work *w)
{
    struct tsdb_histogram *h = &w->now;
    h->count = next_number(w, h->count);
    h->zero_count = next_number(w, h->zero_count);
    h->sum_bits = fuzz_script_float(&w->script, h->sum_bits);
    for (uint32_t i = 0; i < h->positive.count; i++)
        w->sides[0].values[i] = next_number(w, w->sides[0].values[i]);
    for (uint32_t i = 0; i < h->negative.count; i++)
        w->sides[1].values[i] = next_number(w, w->sides[1].values[i]);
}

/* Of a stale marker only that it is one is kept, and of the first histogram of counters
 * nothing is known. */
static void
expect_next(struct work *w, int64_t t_ms)
{
    struct tsdb_histogram h = w->now;
    if (tsdb_histogram_is_stale(&h))
        h = (struct tsdb_histogram){.is_float = h.is_float,
                                    .sum_bits = TSDB_STALE_BITS};
    else if (w->reset == TSDB_RESET_GAUGE)
        h.reset = TSDB_RESET_GAUGE;
    else
        h.reset = w->wanted.samples == 0 ? TSDB_RESET_UNKNOWN : TSDB_RESET_NO;
    chunk_digest_add(&w->wanted, TSDB_SAMPLE_HISTOGRAM, (struct tsdb_sample){t_ms, 0},
                     0, &h);
}

/* A chunk that begins with a stale marker has no buckets: others do not fit. */
static bool
append(struct work *w, struct tsdb_histogram_writer *writer, struct err *err)
{
    int64_t t_ms = fuzz_script_time(&w->script, &w->clock);
    make_next(w);
    bool takes = tsdb_histogram_writer_takes(writer, &w->now);
    if (!tsdb_histogram_writer_fits(writer, &w->now)) {
        CHECK(!takes);
        return true;
    }
    expect_next(w, t_ms);
    return tsdb_histogram_append(writer, t_ms, &w->now, err);
}

static bool
encode(struct work *w, struct buf *out, struct tsdb_chunk *chunk, struct arena *arena,
       struct err *err)
{
    struct tsdb_histogram_writer writer;
    tsdb_histogram_writer_init(&writer, out, arena, w->reset);
    while (!fuzz_script_has_ended(&w->script))
        if (!append(w, &writer, err))
            return false;
    tsdb_histogram_finish(&writer);
    *chunk = tsdb_chunk_loose(tsdb_histogram_writer_encoding(&writer), buf_bytes(out));
    return buf_ok(out, err);
}

static void
check_same(const struct work *w, const struct tsdb_chunk *chunk)
{
    struct chunk_digest fast, slow;
    struct err err;
    CHECK(chunk_digest_of(&fast, chunk, false, &err));
    CHECK(chunk_reference_digest(&slow, chunk));
    CHECK(fast.samples == w->wanted.samples && fast.sum == w->wanted.sum);
    CHECK(slow.samples == w->wanted.samples && slow.sum == w->wanted.sum);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct work w = {.script = {bytes_of(data, size)}};
    struct budget budget;
    struct arena arena;
    struct tsdb_chunk chunk;
    struct err err = {0};
    struct buf out;
    make_layout(&w);
    /* Some inputs get too little memory. */
    uint8_t memory = fuzz_script_byte(&w.script);
    bool is_short = memory >= SHORT;
    size_t limit = is_short ? (size_t)(memory - SHORT) * SHORT_BYTES : SIZE_MAX;
    budget_init(&budget, "chunk", limit, NULL);
    arena_init(&arena, &budget);
    buf_init(&out, &budget);
    if (encode(&w, &out, &chunk, &arena, &err))
        check_same(&w, &chunk);
    else
        CHECK(is_short && err.code == ERR_BUDGET);
    buf_fini(&out);
    arena_fini(&arena);
    budget_fini(&budget);
    return 0;
}
