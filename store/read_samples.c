/* SPDX-License-Identifier: Apache-2.0 */
/* Sampled answers, for clients that cannot take chunks: every chunk is decoded, samples
 * outside the range are dropped, and what is left is one snappy block.
 *
 * That has its length in front, as have the messages in it, and an answer may be a
 * hundred times as large as what may be held of it. So the queries run twice over the
 * same blocks. The first time samples are only counted: then all sizes are known, and
 * whatever is an error is one before the answer begins. The second time they are
 * written, a few at a time, and sent as they are compressed. The series of a small
 * answer are kept when they are counted and not read again.
 *
 * Should the second run find other sizes than the first (a piece of a block was damaged
 * on its way once and skipped, for example), the connection is aborted. */
#include "store/read_samples.h"

#include <inttypes.h>

#include "common/base/num.h"
#include "common/codec/compress.h"
#include "common/codec/snappy_records.h"
#include "common/codec/varint.h"
#include "store/api_read_priv.h"

enum {
    KEPT_MOST = 4 * 1024 * 1024, /* bytes of series that are not read again */
    /* Compressed answers up to this are finished before they are sent, so that their
     * length can be told. */
    FIRST_PIECE_BYTES = 1024 * 1024,
    PIECE_BYTES = 128 * 1024
};

static bool
open_chunk(struct store_read_samples *s, const struct tsdb_timed_chunk *chunk,
           struct err *err)
{
    return store_chunk_samples_open(&s->chunk, &chunk->chunk, s->mint_ms, s->maxt_ms,
                                    err);
}

static bool
check_count(const struct store_read_request *r, struct err *err)
{
    uint64_t most = r->api->options.max_sampled;
    if (most == 0 || r->samples->count <= most)
        return true;
    return err_set(err, ERR_BUDGET,
                   "the answer has more than %" PRIu64
                   " samples (--store.read-max-samples): "
                   "narrow the matchers or the time range, or raise the limit",
                   most);
}

/* Adds to *len the bytes of the samples of a chunk. */
static bool
count_chunk(struct store_read_request *r, const struct tsdb_timed_chunk *chunk,
            uint64_t *len, struct err *err)
{
    struct store_read_samples *s = r->samples;
    if (!store_fetch_check(&r->source, err) || !open_chunk(s, chunk, err))
        return false;
    do {
        if (!store_chunk_samples_next(&s->chunk, err))
            return false;
        *len += store_chunk_samples_size(&s->chunk);
        s->count += s->chunk.count;
        if (!check_count(r, err))
            return false;
    } while (s->chunk.count > 0);
    return true;
}

static bool
count_series(struct store_read_request *r, const struct store_series *series,
             struct err *err)
{
    struct store_read_samples *s = r->samples;
    struct store_sampled_result *result = &s->results[r->at];
    uint64_t len = 0;
    for (size_t i = 0; i < series->chunk_count; i++)
        if (!count_chunk(r, &series->chunks[i], &len, err))
            return false;
    bool is_answered =
        len > 0 || store_read_wants_labels_only(r, &r->wire.queries[r->at]);
    varint_put_u64(&s->sizes, is_answered ? len + 1 : 0);
    store_kept_series_add(&s->kept, series);
    result->series++;
    if (is_answered) {
        result->len += wire_series_size(series->labels, len);
        store_read_count_series(r, series);
    }
    return buf_ok(&s->sizes, err);
}

static void
set_range(struct store_read_request *r)
{
    store_read_range(&r->wire.queries[r->at], &r->samples->mint_ms,
                     &r->samples->maxt_ms);
}

static bool
count_query(struct store_read_request *r, struct err *err)
{
    set_range(r);
    if (!store_read_open(r, err))
        return false;
    for (;;) {
        struct store_series series;
        bool end;
        if (!store_fetch_check(&r->source, err) ||
            !store_query_next(&r->query, &series, &end, err))
            return false;
        if (end)
            break;
        if (!count_series(r, &series, err))
            return store_series_name(series.labels, err);
    }
    store_read_close(r);
    return true;
}

/* Yields the size of the answer. */
static bool
count_all(struct store_read_request *r, uint64_t *size, struct err *err)
{
    struct store_read_samples *s = r->samples;
    *size = 0;
    s->results = arena_calloc(&r->arena, r->wire.query_count, sizeof *s->results);
    if (s->results == NULL)
        return arena_ok(&r->arena, err);
    while (r->at < r->wire.query_count)
        if (!count_query(r, err))
            return false;
    for (size_t i = 0; i < r->wire.query_count; i++)
        *size += wire_result_size(s->results[i].len);
    return true;
}

static bool
has_changed(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE,
                   "the blocks gave other samples when they were read a second time: "
                   "one was damaged on its way; try again");
}

static bool
begin_result(struct store_read_request *r, struct err *err)
{
    struct store_read_samples *s = r->samples;
    s->in_result = true;
    s->left = s->results[r->at];
    wire_result_head_put(s->left.len, &s->plain);
    set_range(r);
    return store_kept_series_is_whole(&s->kept) || store_read_open(r, err);
}

static bool
end_result(struct store_read_request *r, struct err *err)
{
    struct store_read_samples *s = r->samples;
    s->in_result = false;
    if (s->left.series > 0 || s->left.len > 0)
        return has_changed(err);
    if (store_kept_series_is_whole(&s->kept))
        r->at++;
    else
        store_read_close(r);
    return true;
}

/* The next series of the result, from where there is one. */
static bool
take_series(struct store_read_request *r, struct store_series *series, bool *end,
            struct err *err)
{
    struct store_read_samples *s = r->samples;
    if (!store_kept_series_is_whole(&s->kept))
        return store_query_next(&r->query, series, end, err);
    *end = s->left.series == 0;
    if (!*end)
        *series = s->kept.at[s->next_kept++];
    return true;
}

static bool
begin_series(struct store_read_request *r, struct err *err)
{
    struct store_read_samples *s = r->samples;
    struct store_series series;
    bool end;
    if (!store_fetch_check(&r->source, err) || !take_series(r, &series, &end, err))
        return false;
    if (end)
        return end_result(r, err);
    if (s->left.series == 0)
        return has_changed(err);
    s->left.series--;
    uint64_t size = varint_u64(&s->next_size);
    if (size == 0)
        return true;
    uint64_t whole = wire_series_size(series.labels, size - 1);
    if (whole > s->left.len || (size > 1 && series.chunk_count == 0))
        return has_changed(err);
    s->left.len -= whole;
    wire_series_head_put(series.labels, size - 1, &s->plain);
    s->series = series;
    s->next_chunk = 0;
    s->samples_left = size - 1;
    return true;
}

/* count samples were written in len bytes. Mostly they have the same length. */
static void
note_records(struct store_read_samples *s, size_t len, size_t count)
{
    size_t record = len % count == 0 ? len / count : 0;
    if (record > SNAPPY_RECORDS_MOST)
        record = 0;
    if (record != s->record)
        s->records_len = 0;
    s->record = record;
    s->records_len += len;
}

/* Write the next samples of the chunk. */
static bool
write_portion(struct store_read_samples *s, struct err *err)
{
    size_t before = s->plain.len;
    if (!store_chunk_samples_next(&s->chunk, err))
        return store_series_name(s->series.labels, err);
    store_chunk_samples_put(&s->chunk, &s->plain);
    size_t len = s->plain.len - before;
    s->in_chunk = s->chunk.count > 0;
    bool is_last = !s->in_chunk && s->next_chunk == s->series.chunk_count;
    if (len > s->samples_left || (is_last && s->samples_left > 0))
        return has_changed(err);
    s->samples_left -= len;
    if (s->in_chunk)
        note_records(s, len, s->chunk.count);
    return true;
}

static bool
begin_chunk(struct store_read_samples *s, struct err *err)
{
    s->in_chunk = true;
    return open_chunk(s, &s->series.chunks[s->next_chunk++], err) ||
           store_series_name(s->series.labels, err);
}

/* Write a little more of the answer to s->plain. */
static bool
write_more(struct store_read_request *r, struct err *err)
{
    struct store_read_samples *s = r->samples;
    if (!s->in_result)
        return begin_result(r, err);
    if (s->in_chunk)
        return write_portion(s, err);
    if (s->next_chunk < s->series.chunk_count)
        return begin_chunk(s, err);
    return begin_series(r, err);
}

static bool
compress(struct store_read_samples *s, struct bytes ready, struct buf *out,
         struct err *err)
{
    /* Labels compress better with the general encoder. */
    bool is_records = s->record > 0 && s->records_len >= ready.len - ready.len / 32;
    return is_records ? snappy_records_append(ready, s->record, out, err)
                      : compress_snappy_append(ready, out, err);
}

/* Move what is ready to be compressed from s->plain to the answer. */
static bool
compress_some(struct store_read_request *r, struct err *err)
{
    struct buf *plain = &r->samples->plain;
    size_t rest = r->ended ? 0 : plain->len % COMPRESS_SNAPPY_PORTION;
    size_t ready = plain->len - rest;
    if (!buf_ok(plain, err))
        return false;
    if (ready == 0)
        return true;
    if (!compress(r->samples, bytes_of(plain->at, ready), &r->out, err))
        return false;
    r->samples->records_len = NUM_MIN(r->samples->records_len, rest);
    memmove(plain->at, plain->at + ready, rest);
    plain->len = rest;
    return true;
}

static bool
write_piece(struct store_read_request *r, size_t most, struct err *err)
{
    while (!r->ended && r->out.len < most) {
        r->ended = r->at == r->wire.query_count;
        if ((!r->ended && !write_more(r, err)) || !compress_some(r, err))
            return false;
    }
    return true;
}

bool
store_read_samples_begin(struct store_read_request *r, struct err *err)
{
    uint64_t size;
    struct store_read_samples *s = arena_calloc(&r->arena, 1, sizeof *s);
    if (s == NULL)
        return arena_ok(&r->arena, err);
    r->samples = s;
    buf_init(&s->sizes, &r->budget);
    store_chunk_samples_init(&s->chunk, &r->budget);
    buf_init(&s->plain, &r->budget);
    store_kept_series_init(&s->kept, KEPT_MOST, &r->budget);
    if (!count_all(r, &size, err))
        return false;
    store_read_repeat(r);
    s->next_size = cursor_of(buf_bytes(&s->sizes));
    return compress_snappy_begin(size, &r->out, err) &&
           write_piece(r, FIRST_PIECE_BYTES, err);
}

bool
store_read_samples_fill(struct store_read_request *r, struct err *err)
{
    buf_clear(&r->out);
    return store_fetch_check(&r->source, err) && write_piece(r, PIECE_BYTES, err);
}

void
store_read_samples_fini(struct store_read_samples *s)
{
    if (s == NULL)
        return;
    store_kept_series_fini(&s->kept);
    buf_fini(&s->sizes);
    store_chunk_samples_fini(&s->chunk);
    buf_fini(&s->plain);
}
