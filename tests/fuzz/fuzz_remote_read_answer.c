/* SPDX-License-Identifier: Apache-2.0 */
/* Any series survives our encoding of it, as chunks in a frame and as samples, and the
 * sizes that are told before are right. */
#include "common/base/check.h"
#include "common/codec/crc32c.h"
#include "common/wire/remote_read.h"
#include "tests/support/fuzz_script.h"
#include "tests/support/slow_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LABELS_MAX = 5, CHUNKS_MAX = 6, SAMPLES_MAX = 64, TEXT_LIMIT = 200 };

struct work {
    struct tsdb_label labels[LABELS_MAX];
    struct tsdb_labels all;
    struct tsdb_timed_chunk chunks[CHUNKS_MAX];
    size_t chunk_count;
    struct tsdb_sample samples[SAMPLES_MAX];
    size_t sample_count;
    size_t query_index;
};

static void
make_series(struct work *w, struct fuzz_script *s)
{
    struct fuzz_clock clock = {0};
    uint64_t value = 0;
    w->query_index = fuzz_script_number(s);
    w->all = (struct tsdb_labels){w->labels, fuzz_script_below(s, LABELS_MAX + 1)};
    for (size_t i = 0; i < w->all.len; i++)
        w->labels[i] = (struct tsdb_label){fuzz_script_text(s, TEXT_LIMIT),
                                           fuzz_script_text(s, TEXT_LIMIT)};
    w->chunk_count = 1 + fuzz_script_below(s, CHUNKS_MAX);
    for (size_t i = 0; i < w->chunk_count; i++) {
        struct tsdb_timed_chunk *c = &w->chunks[i];
        c->mint_ms = fuzz_script_time(s, &clock);
        c->maxt_ms = fuzz_script_time(s, &clock);
        c->chunk.encoding = (enum tsdb_chunk_encoding)fuzz_script_byte(s);
        c->chunk.data = fuzz_script_text(s, TEXT_LIMIT);
        c->chunk.crc = tsdb_chunk_crc(&c->chunk);
    }
    for (; !fuzz_script_has_ended(s) && w->sample_count < SAMPLES_MAX;
         w->sample_count++) {
        w->samples[w->sample_count].t_ms = fuzz_script_time(s, &clock);
        value = fuzz_script_float(s, value);
        w->samples[w->sample_count].value_bits = value;
    }
}

static void
check_labels(const struct work *w, struct bytes *series)
{
    for (size_t i = 0; i < w->all.len; i++) {
        struct bytes label = slow_proto_take(series, 1, SLOW_PROTO_BYTES).text;
        CHECK(bytes_eq(slow_proto_text(&label, 1), w->labels[i].name));
        CHECK(bytes_eq(slow_proto_text(&label, 2), w->labels[i].value));
        CHECK(label.len == 0);
    }
}

static void
check_chunk(const struct tsdb_timed_chunk *c, struct bytes got)
{
    CHECK(slow_proto_number(&got, 1, SLOW_PROTO_VARINT) == (uint64_t)c->mint_ms);
    CHECK(slow_proto_number(&got, 2, SLOW_PROTO_VARINT) == (uint64_t)c->maxt_ms);
    CHECK(slow_proto_number(&got, 3, SLOW_PROTO_VARINT) == c->chunk.encoding);
    CHECK(bytes_eq(slow_proto_text(&got, 4), c->chunk.data));
    CHECK(got.len == 0);
}

/* Length and checksum in front of the message. */
static struct bytes
open_frame(struct bytes frame)
{
    uint64_t len = 0;
    unsigned shift = 0;
    do {
        CHECK(frame.len > 0 && shift < 32);
        len |= (uint64_t)(frame.at[0] & 0x7f) << shift;
        shift += 7;
        bytes_skip(&frame, 1);
    } while (frame.at[-1] >= 0x80);
    CHECK(frame.len == len + 4);
    uint32_t crc = be32_load(frame.at);
    bytes_skip(&frame, 4);
    CHECK(crc32c(frame) == crc);
    return frame;
}

static void
check_frame(const struct work *w)
{
    CLEANUP(buf_fini) struct buf out = {0};
    uint64_t size =
        wire_frame_put(w->query_index, w->all, w->chunks, w->chunk_count, &out);
    CHECK(size == out.len);
    struct bytes frame = open_frame(buf_bytes(&out));
    struct bytes series = slow_proto_take(&frame, 1, SLOW_PROTO_BYTES).text;
    check_labels(w, &series);
    for (size_t i = 0; i < w->chunk_count; i++)
        check_chunk(&w->chunks[i], slow_proto_take(&series, 2, SLOW_PROTO_BYTES).text);
    CHECK(series.len == 0);
    CHECK(slow_proto_number(&frame, 2, SLOW_PROTO_VARINT) == w->query_index);
    CHECK(frame.len == 0);
}

static void
check_samples(const struct work *w)
{
    CLEANUP(buf_fini) struct buf out = {0};
    uint64_t samples_size = wire_samples_size(w->samples, w->sample_count);
    uint64_t series_size = wire_series_size(w->all, samples_size);
    wire_result_head_put(series_size, &out);
    wire_series_head_put(w->all, samples_size, &out);
    wire_samples_put(w->samples, w->sample_count, &out);
    CHECK(out.len == wire_result_size(series_size));
    struct bytes rest = buf_bytes(&out);
    struct bytes result = slow_proto_take(&rest, 1, SLOW_PROTO_BYTES).text;
    struct bytes series = slow_proto_take(&result, 1, SLOW_PROTO_BYTES).text;
    CHECK(rest.len == 0 && result.len == 0);
    check_labels(w, &series);
    for (size_t i = 0; i < w->sample_count; i++) {
        struct bytes got = slow_proto_take(&series, 2, SLOW_PROTO_BYTES).text;
        CHECK(slow_proto_number(&got, 1, SLOW_PROTO_FIXED64) ==
              w->samples[i].value_bits);
        CHECK(slow_proto_number(&got, 2, SLOW_PROTO_VARINT) ==
              (uint64_t)w->samples[i].t_ms);
        CHECK(got.len == 0);
    }
    CHECK(series.len == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_script script = {bytes_of(data, size)};
    struct work w = {0};
    make_series(&w, &script);
    check_frame(&w);
    check_samples(&w);
    return 0;
}
