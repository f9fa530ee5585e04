/* SPDX-License-Identifier: Apache-2.0 */
/* Sampled answers, for clients that cannot take chunks: every chunk is decoded, samples
 * outside the range are dropped, and the whole is compressed at once. */
#include <inttypes.h>

#include "common/codec/compress.h"
#include "store/api_read_priv.h"

/* The answer while it is built. */
struct sampled {
    struct store_read_request *request;
    int64_t mint_ms;
    int64_t maxt_ms;
    bool labels_only;   /* the client wants to know which series there are */
    uint64_t count;     /* samples so far */
    struct buf samples; /* struct tsdb_sample of one series */
    struct buf plain;
    struct wire_samples wire;
};

static bool
append_chunk(struct sampled *s, const struct tsdb_chunk *chunk, struct err *err)
{
    struct tsdb_xor_reader reader;
    if (chunk->encoding != TSDB_CHUNK_XOR)
        return err_set(err, ERR_UNSUPPORTED,
                       "chunks of encoding %s cannot be answered as samples yet: use a "
                       "client that takes streamed chunks (Prometheus 2.55 or later)",
                       tsdb_chunk_encoding_name(chunk->encoding));
    if (!tsdb_xor_reader_init(&reader, chunk->data, err))
        return false;
    size_t most = tsdb_xor_reader_count(&reader) * sizeof(struct tsdb_sample);
    uint8_t *to = buf_reserve(&s->samples, most);
    if (to == NULL)
        return buf_ok(&s->samples, err);
    for (;;) {
        struct tsdb_sample sample;
        bool end;
        if (!tsdb_xor_next(&reader, &sample, &end, err))
            return false;
        if (end)
            return true;
        if (sample.t_ms < s->mint_ms || sample.t_ms > s->maxt_ms)
            continue;
        memcpy(to, &sample, sizeof sample);
        to += sizeof sample;
        s->samples.len += sizeof sample;
    }
}

static bool
count_samples(struct sampled *s, size_t count, struct err *err)
{
    uint64_t most = s->request->api->options.max_sampled;
    s->count += count;
    if (most == 0 || s->count <= most)
        return true;
    return err_set(err, ERR_BUDGET,
                   "the answer has more than %" PRIu64
                   " samples (--store.read-max-samples): "
                   "narrow the matchers or the time range, or raise the limit",
                   most);
}

static bool
append_series(struct sampled *s, const struct store_series *series, struct err *err)
{
    buf_clear(&s->samples);
    for (size_t i = 0; i < series->chunk_count && !s->labels_only; i++)
        if (!append_chunk(s, &series->chunks[i].chunk, err))
            return false;
    size_t count = s->samples.len / sizeof(struct tsdb_sample);
    if (!buf_ok(&s->samples, err) || !count_samples(s, count, err))
        return false;
    if (count == 0 && !s->labels_only)
        return true;
    store_read_count_series(s->request, series);
    wire_samples_add(&s->wire, series->labels,
                     (const struct tsdb_sample *)(const void *)s->samples.at, count);
    return true;
}

static bool
name_series(const struct store_series *series, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print(series->labels, &text);
    return err_wrap(err, "series %s", buf_text(&text));
}

static bool
append_query(struct sampled *s, struct err *err)
{
    struct store_read_request *r = s->request;
    const struct wire_query *q = &r->wire.queries[r->at];
    store_read_range(q, &s->mint_ms, &s->maxt_ms);
    s->labels_only = store_read_wants_labels_only(r);
    wire_samples_begin(&s->wire);
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
        if (!append_series(s, &series, err))
            return name_series(&series, err);
    }
    store_read_close(r);
    return wire_samples_end(&s->wire, err);
}

static void
sampled_fini(struct sampled *s)
{
    wire_samples_fini(&s->wire);
    buf_fini(&s->samples);
    buf_fini(&s->plain);
}

bool
store_read_samples_fill(struct store_read_request *r, struct err *err)
{
    CLEANUP(sampled_fini) struct sampled s = {.request = r};
    buf_init(&s.samples, &r->budget);
    buf_init(&s.plain, &r->budget);
    wire_samples_init(&s.wire, &s.plain, &r->budget);
    while (r->at < r->wire.query_count)
        if (!append_query(&s, err))
            return false;
    r->ended = true;
    return buf_ok(&s.plain, err) &&
           compress_snappy_encode(buf_bytes(&s.plain), &r->out, err);
}
