/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/chunk_digest.h"

#include "common/base/check.h"
#include "common/tsdb/chunk_reencode.h"

static void
add(struct chunk_digest *d, uint64_t word)
{
    d->sum = (d->sum ^ word ^ d->sum >> 31) * UINT64_C(0xd6e8feb86659fd93) + 1;
}

static void
add_buckets(struct chunk_digest *d, const struct tsdb_buckets *b)
{
    add(d, b->span_count);
    for (uint32_t i = 0; i < b->span_count; i++)
        add(d, (uint64_t)(uint32_t)b->spans[i].offset << 32 | b->spans[i].length);
    add(d, b->count);
    for (uint32_t i = 0; i < b->count; i++)
        add(d, b->values[i]);
}

static void
add_histogram(struct chunk_digest *d, const struct tsdb_histogram *h)
{
    add(d, h->is_float);
    add(d, h->reset);
    add(d, (uint64_t)h->schema);
    add(d, h->zero_threshold_bits);
    add(d, h->count);
    add(d, h->zero_count);
    add(d, h->sum_bits);
    add_buckets(d, &h->positive);
    add_buckets(d, &h->negative);
    add(d, h->custom_count);
    for (uint32_t i = 0; i < h->custom_count; i++)
        add(d, h->custom_bits[i]);
}

void
chunk_digest_add(struct chunk_digest *d, enum tsdb_sample_kind kind,
                 struct tsdb_sample sample, int64_t start_ms,
                 const struct tsdb_histogram *h)
{
    d->samples++;
    add(d, kind);
    add(d, (uint64_t)sample.t_ms);
    add(d, (uint64_t)start_ms);
    if (kind == TSDB_SAMPLE_HISTOGRAM)
        add_histogram(d, h);
    else
        add(d, sample.value_bits);
}

static bool
read_all(struct chunk_digest *d, const struct tsdb_chunk *chunk, bool plain,
         struct arena *arena, struct err *err)
{
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    if (!tsdb_chunk_iter_init(&it, chunk, arena, err))
        return false;
    for (;;) {
        if (!tsdb_chunk_next(&it, &kind, err))
            return false;
        if (kind == TSDB_SAMPLE_NONE)
            break;
        chunk_digest_add(d, kind, it.sample, plain ? 0 : tsdb_chunk_iter_start_ms(&it),
                         &it.histogram);
    }
    CHECK(d->samples == tsdb_chunk_iter_count(&it));
    return true;
}

bool
chunk_digest_of(struct chunk_digest *d, const struct tsdb_chunk *chunk, bool plain,
                struct err *err)
{
    struct budget budget;
    struct arena arena;
    *d = (struct chunk_digest){0};
    /* More than a layout, and what goes with each bucket, can take. */
    budget_init(&budget, "chunk", 160 * chunk->data.len + (1 << 20), NULL);
    arena_init(&arena, &budget);
    bool ok = read_all(d, chunk, plain, &arena, err);
    CHECK(ok || err->code == ERR_CORRUPT);
    arena_fini(&arena);
    budget_fini(&budget);
    return ok;
}

/* Of data that can be read only that is refused which no encoder makes: buckets behind
 * a first stale marker. */
static void
check_reencoded(const struct tsdb_chunk *chunk, bool is_readable)
{
    struct budget budget;
    struct arena arena;
    struct err err;
    struct chunk_digest before, after;
    CLEANUP(buf_fini) struct buf out = {0};
    budget_init(&budget, "reencode", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    if (tsdb_chunk_reencode(chunk, &out, &arena, &err)) {
        struct tsdb_chunk plain = tsdb_chunk_loose(
            tsdb_chunk_plain_encoding(chunk->encoding), buf_bytes(&out));
        bool is_same = plain.encoding == chunk->encoding;
        CHECK(chunk_digest_of(&after, &plain, true, &err) == is_readable);
        CHECK(is_readable || is_same);
        CHECK(!is_readable ||
              (chunk_digest_of(&before, chunk, true, &err) && before.sum == after.sum));
    } else {
        CHECK(err.code == ERR_CORRUPT);
        CHECK(!is_readable || strstr(err.text, "behind a stale marker") != NULL);
    }
    arena_fini(&arena);
    budget_fini(&budget);
}

void
chunk_digest_check(const struct tsdb_chunk *chunk)
{
    struct chunk_digest fast, slow = {0};
    struct err err = {0};
    bool ok = chunk_digest_of(&fast, chunk, false, &err);
    CHECK(chunk_reference_digest(&slow, chunk) == ok);
    CHECK(!ok || (fast.sum == slow.sum && fast.samples == slow.samples));
    check_reencoded(chunk, ok);
}
