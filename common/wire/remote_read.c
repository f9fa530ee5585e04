/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/remote_read.h"

#include <remote_read.pb-c.h>

#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum {
    /* Protobuf tags: field number << 3 | wire type. */
    TAG_VARINT = 0,
    TAG_FIXED64 = 1,
    TAG_BYTES = 2,
    LABEL_NAME = 1 << 3 | TAG_BYTES,
    LABEL_VALUE = 2 << 3 | TAG_BYTES,
    CHUNK_MIN_TIME = 1 << 3 | TAG_VARINT,
    CHUNK_MAX_TIME = 2 << 3 | TAG_VARINT,
    CHUNK_TYPE = 3 << 3 | TAG_VARINT,
    CHUNK_DATA = 4 << 3 | TAG_BYTES,
    SERIES_LABELS = 1 << 3 | TAG_BYTES,
    SERIES_CHUNKS = 2 << 3 | TAG_BYTES,
    SERIES_SAMPLES = 2 << 3 | TAG_BYTES,
    RESPONSE_SERIES = 1 << 3 | TAG_BYTES,
    RESPONSE_QUERY_INDEX = 2 << 3 | TAG_VARINT,
    RESULT_SERIES = 1 << 3 | TAG_BYTES,
    RESPONSE_RESULTS = 1 << 3 | TAG_BYTES,
    SAMPLE_VALUE = 1 << 3 | TAG_FIXED64,
    SAMPLE_TIME = 2 << 3 | TAG_VARINT,
    TAG_SIZE = 1
};

/* protobuf-c asks for memory through this; the arena frees it. */
static void *
take_memory(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void
leave_memory(void *arena, void *at)
{
    (void)arena;
    (void)at;
}

static struct bytes
bytes_of_field(ProtobufCBinaryData field)
{
    return bytes_of(field.data, field.len);
}

static bool
convert_matchers(struct wire_query *q, const Wire__Query *in, struct arena *arena,
                 struct err *err)
{
    struct wire_matcher *at = arena_calloc(arena, in->n_matchers, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < in->n_matchers; i++) {
        const Wire__LabelMatcher *m = in->matchers[i];
        if (m->type < TSDB_MATCH_EQ || m->type > TSDB_MATCH_NRE)
            return err_set(err, ERR_INVALID, "matcher of unknown type %d", (int)m->type);
        at[i] = (struct wire_matcher){(enum tsdb_matcher_type)m->type,
                                      bytes_of_field(m->name), bytes_of_field(m->value)};
    }
    q->matchers = at;
    q->matcher_count = in->n_matchers;
    return true;
}

static bool
convert_query(struct wire_query *q, const Wire__Query *in, struct arena *arena,
              struct err *err)
{
    q->start_ms = in->start_timestamp_ms;
    q->end_ms = in->end_timestamp_ms;
    if (in->hints != NULL)
        q->hints = (struct wire_hints){
            .present = true,
            .step_ms = in->hints->step_ms,
            .start_ms = in->hints->start_ms,
            .end_ms = in->hints->end_ms,
            .range_ms = in->hints->range_ms,
            .func = bytes_of_field(in->hints->func),
        };
    return convert_matchers(q, in, arena, err);
}

/* The first type of the client's list that is known here; no list means samples. */
static bool
negotiate(struct wire_read_request *out, const Wire__ReadRequest *in, struct err *err)
{
    out->response = WIRE_SAMPLES;
    if (in->n_accepted_response_types == 0)
        return true;
    for (size_t i = 0; i < in->n_accepted_response_types; i++) {
        int32_t type = in->accepted_response_types[i];
        if (type != WIRE_SAMPLES && type != WIRE_STREAMED_CHUNKS)
            continue;
        out->response = (enum wire_response_type)type;
        return true;
    }
    return err_set(err, ERR_INVALID,
                   "none of the %zu accepted response types is known here: send SAMPLES "
                   "(0) or STREAMED_XOR_CHUNKS (1)",
                   in->n_accepted_response_types);
}

bool
wire_read_request_parse(struct wire_read_request *request, struct bytes body,
                        struct arena *arena, struct err *err)
{
    ProtobufCAllocator allocator = {take_memory, leave_memory, arena};
    struct wire_read_request out = {0};
    const Wire__ReadRequest *in =
        wire__read_request__unpack(&allocator, body.len, body.at);
    if (in == NULL) {
        if (!arena_ok(arena, err))
            return false;
        return err_set(err, ERR_INVALID, "%zu bytes are not a ReadRequest message",
                       body.len);
    }
    struct wire_query *queries = arena_calloc(arena, in->n_queries, sizeof *queries);
    if (queries == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < in->n_queries; i++)
        if (!convert_query(&queries[i], in->queries[i], arena, err))
            return false;
    out.queries = queries;
    out.query_count = in->n_queries;
    if (!negotiate(&out, in, err))
        return false;
    *request = out;
    return true;
}

/* Size of a length-delimited field with its tag. */
static uint64_t
field_size(uint64_t len)
{
    return TAG_SIZE + varint_size_u64(len) + len;
}

/* Size of a varint field; one of value 0 is left out. */
static uint64_t
number_size(uint64_t value)
{
    return value == 0 ? 0 : TAG_SIZE + varint_size_u64(value);
}

static void
put_field(struct buf *out, uint8_t tag, struct bytes data)
{
    buf_put_u8(out, tag);
    varint_put_u64(out, data.len);
    buf_put(out, data);
}

static void
put_number(struct buf *out, uint8_t tag, uint64_t value)
{
    if (value == 0)
        return;
    buf_put_u8(out, tag);
    varint_put_u64(out, value);
}

static uint64_t
label_size(const struct tsdb_label *l)
{
    return field_size(l->name.len) + field_size(l->value.len);
}

static uint64_t
labels_size(struct tsdb_labels labels)
{
    uint64_t size = 0;
    for (size_t i = 0; i < labels.len; i++)
        size += field_size(label_size(&labels.at[i]));
    return size;
}

static void
put_labels(struct buf *out, struct tsdb_labels labels)
{
    for (size_t i = 0; i < labels.len; i++) {
        buf_put_u8(out, SERIES_LABELS);
        varint_put_u64(out, label_size(&labels.at[i]));
        put_field(out, LABEL_NAME, labels.at[i].name);
        put_field(out, LABEL_VALUE, labels.at[i].value);
    }
}

static uint64_t
chunk_size(const struct tsdb_timed_chunk *c)
{
    return number_size((uint64_t)c->mint_ms) + number_size((uint64_t)c->maxt_ms) +
           number_size(c->chunk.encoding) + field_size(c->chunk.data.len);
}

static void
put_chunk(struct buf *out, const struct tsdb_timed_chunk *c)
{
    buf_put_u8(out, SERIES_CHUNKS);
    varint_put_u64(out, chunk_size(c));
    put_number(out, CHUNK_MIN_TIME, (uint64_t)c->mint_ms);
    put_number(out, CHUNK_MAX_TIME, (uint64_t)c->maxt_ms);
    put_number(out, CHUNK_TYPE, c->chunk.encoding);
    put_field(out, CHUNK_DATA, c->chunk.data);
}

static uint64_t
series_size(struct tsdb_labels labels, const struct tsdb_timed_chunk *chunks,
            size_t count)
{
    uint64_t size = labels_size(labels);
    for (size_t i = 0; i < count; i++)
        size += field_size(chunk_size(&chunks[i]));
    return size;
}

static uint64_t
message_size(size_t query_index, uint64_t series)
{
    return field_size(series) + number_size(query_index);
}

uint64_t
wire_frame_size(size_t query_index, struct tsdb_labels labels,
                const struct tsdb_timed_chunk *chunks, size_t count)
{
    uint64_t message = message_size(query_index, series_size(labels, chunks, count));
    return varint_size_u64(message) + sizeof(uint32_t) + message;
}

void
wire_frame_put(size_t query_index, struct tsdb_labels labels,
               const struct tsdb_timed_chunk *chunks, size_t count, struct buf *out)
{
    uint64_t series = series_size(labels, chunks, count);
    uint64_t message = message_size(query_index, series);
    if (buf_reserve(out, VARINT_MAX_BYTES + sizeof(uint32_t) + message) == NULL)
        return;
    varint_put_u64(out, message);
    size_t crc_at = out->len;
    buf_put_be32(out, 0);
    buf_put_u8(out, RESPONSE_SERIES);
    varint_put_u64(out, series);
    put_labels(out, labels);
    for (size_t i = 0; i < count; i++)
        put_chunk(out, &chunks[i]);
    put_number(out, RESPONSE_QUERY_INDEX, query_index);
    size_t begin = crc_at + sizeof(uint32_t);
    be32_store(out->at + crc_at,
               crc32c(bytes_of(out->at + begin, out->len - begin)));
}

void
wire_samples_init(struct wire_samples *w, struct buf *out, struct budget *budget)
{
    w->out = out;
    buf_init(&w->result, budget);
}

void
wire_samples_fini(struct wire_samples *w)
{
    buf_fini(&w->result);
}

void
wire_samples_begin(struct wire_samples *w)
{
    buf_clear(&w->result);
}

static uint64_t
sample_size(const struct tsdb_sample *s)
{
    return (s->value_bits == 0 ? 0 : TAG_SIZE + sizeof(uint64_t)) +
           number_size((uint64_t)s->t_ms);
}

/* Values are little-endian, as protobuf has them; +0.0 is left out, -0.0 is not. */
static void
put_sample(struct buf *out, const struct tsdb_sample *s)
{
    buf_put_u8(out, SERIES_SAMPLES);
    varint_put_u64(out, sample_size(s));
    if (s->value_bits != 0) {
        buf_put_u8(out, SAMPLE_VALUE);
        buf_put(out, bytes_of(&s->value_bits, sizeof s->value_bits));
    }
    put_number(out, SAMPLE_TIME, (uint64_t)s->t_ms);
}

void
wire_samples_add(struct wire_samples *w, struct tsdb_labels labels,
                 const struct tsdb_sample *samples, size_t count)
{
    uint64_t size = labels_size(labels);
    for (size_t i = 0; i < count; i++)
        size += field_size(sample_size(&samples[i]));
    buf_put_u8(&w->result, RESULT_SERIES);
    varint_put_u64(&w->result, size);
    put_labels(&w->result, labels);
    for (size_t i = 0; i < count; i++)
        put_sample(&w->result, &samples[i]);
}

bool
wire_samples_end(struct wire_samples *w, struct err *err)
{
    if (!buf_ok(&w->result, err))
        return false;
    put_field(w->out, RESPONSE_RESULTS, buf_bytes(&w->result));
    return buf_ok(w->out, err);
}
