/* SPDX-License-Identifier: Apache-2.0 */
/* Answers are written by hand: the size of every message is computed first, so that
 * chunk bytes are copied once, from where they were fetched to the frame. As proto3
 * demands, a field that has its zero value is not written. */
#include "common/wire/remote_read.h"

#include <inttypes.h>

#include "common/codec/crc32c.h"
#include "common/wire/field.h"
#include "remote_read.pb-c.h"

/* Field numbers, as in remote_read.proto. */
enum {
    LABEL_NAME = 1,
    LABEL_VALUE = 2,
    RESPONSE_RESULTS = 1,
    RESULT_SERIES = 1,
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SAMPLE_VALUE = 1,
    SAMPLE_T = 2,
    FRAME_SERIES = 1,
    FRAME_QUERY_INDEX = 2,
    CHUNKED_LABELS = 1,
    CHUNKED_CHUNKS = 2,
    CHUNK_MINT = 1,
    CHUNK_MAXT = 2,
    CHUNK_ENCODING = 3,
    CHUNK_DATA = 4
};

enum { CRC_SIZE = 4 };

/* Its tag and length, then a value and a time with a tag each. */
enum {
    SAMPLE_MAX_SIZE =
        2 + WIRE_TAG_SIZE + WIRE_DOUBLE_SIZE + WIRE_TAG_SIZE + VARINT_MAX_BYTES
};

static void *
alloc_in_arena(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

/* The arena is released as a whole. */
static void
free_nothing(void *arena, void *pointer)
{
    (void)arena, (void)pointer;
}

static struct bytes
text_of(const ProtobufCBinaryData *data)
{
    return bytes_of(data->data, data->len);
}

static bool
convert_matchers(struct wire_query *to, const Wirepb__Query *from, struct arena *arena,
                 struct err *err)
{
    struct wire_matcher *matchers =
        arena_calloc(arena, from->n_matchers, sizeof *matchers);
    if (matchers == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < from->n_matchers; i++) {
        const Wirepb__LabelMatcher *m = from->matchers[i];
        if ((unsigned)m->type > TSDB_MATCH_NRE)
            return err_set(err, ERR_INVALID, "matcher of unknown type %d",
                           (int)m->type);
        matchers[i].type = (enum tsdb_matcher_type)m->type;
        matchers[i].name = text_of(&m->name);
        matchers[i].value = text_of(&m->value);
    }
    to->matcher_count = from->n_matchers;
    to->matchers = matchers;
    return true;
}

static bool
convert_query(struct wire_query *to, const Wirepb__Query *from, struct arena *arena,
              struct err *err)
{
    const Wirepb__ReadHints *hints = from->hints;
    to->start_ms = from->start_ms;
    to->end_ms = from->end_ms;
    if (hints != NULL)
        to->hints = (struct wire_hints){.present = true,
                                        .step_ms = hints->step_ms,
                                        .start_ms = hints->start_ms,
                                        .end_ms = hints->end_ms,
                                        .range_ms = hints->range_ms,
                                        .func = text_of(&hints->func)};
    return convert_matchers(to, from, arena, err);
}

static bool
negotiate(const Wirepb__ReadRequest *from, enum wire_response_type *response,
          struct err *err)
{
    *response = WIRE_SAMPLES;
    if (from->n_accepted == 0)
        return true;
    for (size_t i = 0; i < from->n_accepted; i++) {
        *response = (enum wire_response_type)from->accepted[i];
        if (*response == WIRE_SAMPLES || *response == WIRE_STREAMED_CHUNKS)
            return true;
    }
    return err_set(err, ERR_INVALID, "none of the accepted response types is known");
}

bool
wire_read_request_parse(struct wire_read_request *request, struct bytes body,
                        struct arena *arena, struct err *err)
{
    ProtobufCAllocator allocator = {alloc_in_arena, free_nothing, arena};
    const Wirepb__ReadRequest *from =
        wirepb__read_request__unpack(&allocator, body.len, body.at);
    if (!arena_ok(arena, err))
        return false;
    if (from == NULL)
        return err_set(err, ERR_INVALID, "%zu bytes are no ReadRequest", body.len);
    struct wire_read_request parsed = {.query_count = from->n_queries};
    struct wire_query *queries = arena_calloc(arena, from->n_queries, sizeof *queries);
    if (queries == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < from->n_queries; i++)
        if (!convert_query(&queries[i], from->queries[i], arena, err))
            return false;
    parsed.queries = queries;
    if (!negotiate(from, &parsed.response, err))
        return false;
    *request = parsed;
    return true;
}

static void
put_message_head(struct buf *out, unsigned field, uint64_t len)
{
    buf_put_u8(out, wire_tag(field, WIRE_LENGTH));
    varint_put_u64(out, len);
}

static uint64_t
label_len(const struct tsdb_label *l)
{
    return wire_text_size(l->name) + wire_text_size(l->value);
}

static uint64_t
labels_size(struct tsdb_labels labels)
{
    uint64_t size = 0;
    for (size_t i = 0; i < labels.len; i++)
        size += wire_message_size(label_len(&labels.at[i]));
    return size;
}

static uint64_t
chunk_len(const struct tsdb_timed_chunk *c)
{
    return wire_varint_size((uint64_t)c->mint_ms) +
           wire_varint_size((uint64_t)c->maxt_ms) +
           wire_varint_size(c->chunk.encoding) + wire_text_size(c->chunk.data);
}

static void
put_labels(struct buf *out, unsigned field, struct tsdb_labels labels)
{
    uint8_t *at = buf_reserve(out, labels_size(labels));
    if (at == NULL)
        return;
    for (size_t i = 0; i < labels.len; i++) {
        at = wire_store_message_head(at, field, label_len(&labels.at[i]));
        at = wire_store_text(at, LABEL_NAME, labels.at[i].name);
        at = wire_store_text(at, LABEL_VALUE, labels.at[i].value);
    }
    out->len = (size_t)(at - out->at);
}

/* The checksum of what stands before the data of a chunk and the data, when only those
 * of the former and of the chunk are known: the latter's begins with the encoding. */
static uint32_t
combine_chunk(uint32_t crc, const struct tsdb_chunk *c)
{
    const uint8_t encoding = (uint8_t)c->encoding;
    return crc32c_combine(crc ^ crc32c(bytes_of(&encoding, 1)), c->crc, c->data.len);
}

/* Write a chunk and continue the checksum of its frame. */
static uint8_t *
store_chunk(uint8_t *at, const struct tsdb_timed_chunk *c, uint32_t *crc)
{
    const uint8_t *begin = at;
    at = wire_store_message_head(at, CHUNKED_CHUNKS, chunk_len(c));
    at = wire_store_varint(at, CHUNK_MINT, (uint64_t)c->mint_ms);
    at = wire_store_varint(at, CHUNK_MAXT, (uint64_t)c->maxt_ms);
    at = wire_store_varint(at, CHUNK_ENCODING, c->chunk.encoding);
    at = wire_store_text(at, CHUNK_DATA, c->chunk.data);
    size_t head_len = (size_t)(at - begin) - c->chunk.data.len;
    *crc = combine_chunk(crc32c_extend(*crc, bytes_of(begin, head_len)), &c->chunk);
    return at;
}

static uint64_t
chunked_series_len(struct tsdb_labels labels, const struct tsdb_timed_chunk *chunks,
                   size_t count)
{
    uint64_t len = labels_size(labels);
    for (size_t i = 0; i < count; i++)
        len += wire_message_size(chunk_len(&chunks[i]));
    return len;
}

static uint64_t
frame_len(size_t query_index, uint64_t series_len)
{
    return wire_message_size(series_len) + wire_varint_size(query_index);
}

uint64_t
wire_frame_put(size_t query_index, struct tsdb_labels labels,
               const struct tsdb_timed_chunk *chunks, size_t count, struct buf *out)
{
    uint64_t series_len = chunked_series_len(labels, chunks, count);
    uint64_t len = frame_len(query_index, series_len);
    uint64_t size = varint_size_u64(len) + CRC_SIZE + len;
    if (size > WIRE_FRAME_MAX || buf_reserve(out, size) == NULL)
        return size;
    varint_put_u64(out, len);
    size_t crc_at = out->len;
    buf_put_be32(out, 0); /* not known yet */
    put_message_head(out, FRAME_SERIES, series_len);
    put_labels(out, CHUNKED_LABELS, labels);
    uint8_t *begin = out->at + crc_at + CRC_SIZE, *at = out->at + out->len;
    uint32_t crc = crc32c(bytes_of(begin, (size_t)(at - begin)));
    for (size_t i = 0; i < count; i++)
        at = store_chunk(at, &chunks[i], &crc);
    const uint8_t *index = at;
    at = wire_store_varint(at, FRAME_QUERY_INDEX, query_index);
    crc = crc32c_extend(crc, bytes_of(index, (size_t)(at - index)));
    be32_store(out->at + crc_at, crc);
    out->len = (size_t)(at - out->at);
    return size;
}

static uint64_t
sample_len(const struct tsdb_sample *s)
{
    return wire_double_size(s->value_bits) + wire_varint_size((uint64_t)s->t_ms);
}

uint64_t
wire_samples_size(const struct tsdb_sample *samples, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += wire_message_size(sample_len(&samples[i]));
    return size;
}

/* Write one sample; the room was reserved. A sampled answer has millions of these. */
static uint8_t *
store_sample(uint8_t *at, const struct tsdb_sample *s)
{
    *at++ = wire_tag(SERIES_SAMPLES, WIRE_LENGTH);
    *at++ = (uint8_t)sample_len(s); /* at most 20: one byte */
    at = wire_store_double(at, SAMPLE_VALUE, s->value_bits);
    return wire_store_varint(at, SAMPLE_T, (uint64_t)s->t_ms);
}

void
wire_samples_put(const struct tsdb_sample *samples, size_t count, struct buf *out)
{
    uint8_t *at = buf_reserve(out, count * SAMPLE_MAX_SIZE);
    if (at == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        at = store_sample(at, &samples[i]);
    out->len = (size_t)(at - out->at);
}

uint64_t
wire_series_size(struct tsdb_labels labels, uint64_t len)
{
    return wire_message_size(labels_size(labels) + len);
}

void
wire_series_head_put(struct tsdb_labels labels, uint64_t len, struct buf *out)
{
    put_message_head(out, RESULT_SERIES, labels_size(labels) + len);
    put_labels(out, SERIES_LABELS, labels);
}

uint64_t
wire_result_size(uint64_t len)
{
    return wire_message_size(len);
}

void
wire_result_head_put(uint64_t len, struct buf *out)
{
    put_message_head(out, RESPONSE_RESULTS, len);
}
