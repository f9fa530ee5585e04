/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the Prometheus remote-read protocol (formats: prometheus
 * prompb/remote.proto, types.proto). Requests are parsed by protobuf-c; answers are
 * written by hand straight from chunk bytes and samples. */
#ifndef COMMON_WIRE_REMOTE_READ_H
#define COMMON_WIRE_REMOTE_READ_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/matcher.h"

struct wire_matcher {
    enum tsdb_matcher_type type;
    struct bytes name;
    struct bytes value;
};

struct wire_hints {
    bool present;
    int64_t step_ms;
    int64_t start_ms;
    int64_t end_ms;
    int64_t range_ms;
    struct bytes func;
};

/* Times are inclusive at both ends. */
struct wire_query {
    int64_t start_ms;
    int64_t end_ms;
    size_t matcher_count;
    const struct wire_matcher *matchers;
    struct wire_hints hints;
};

enum wire_response_type { WIRE_SAMPLES = 0, WIRE_STREAMED_CHUNKS = 1 };

struct wire_read_request {
    size_t query_count;
    const struct wire_query *queries;
    enum wire_response_type
        response; /* negotiated: the first known of those accepted */
};

/* Parse a decompressed ReadRequest. Everything lives in arena, whose budget bounds it;
 * texts may borrow from body.
 * Errors ERR_INVALID: not protobuf, an unknown matcher type, no known response type.
 * ERR_BUDGET. */
NODISCARD bool wire_read_request_parse(struct wire_read_request *request,
                                       struct bytes body, struct arena *arena,
                                       struct err *err);

/* Frame limit of Prometheus's client ("chunked_read_limit"). */
enum { WIRE_FRAME_MAX = 50 * 1000 * 1000 };

/* Append one frame (uvarint length, BE32 CRC-32C, ChunkedReadResponse) with one series;
 * returns its size in bytes. One of more than WIRE_FRAME_MAX is not written. count is
 * at least 1. The bytes of chunks are not hashed: their crc tells. Other failures are
 * latched in out. */
uint64_t wire_frame_put(size_t query_index, struct tsdb_labels labels,
                        const struct tsdb_timed_chunk *chunks, size_t count,
                        struct buf *out);

/* A ReadResponse (sampled answer), of which the lengths come first: those of the parts
 * have to be known before the whole is written. It is a result for each query, in their
 * order; a result is its series; a series is its labels, then samples in any portions.
 *
 * Sizes are in bytes, as the functions of the same name write them. len is the size of
 * all that is inside: of all series of a result, of all samples of a series. Failures
 * are latched in out. */
uint64_t wire_samples_size(const struct tsdb_sample *samples, size_t count);
void wire_samples_put(const struct tsdb_sample *samples, size_t count, struct buf *out);
/* Of a series as a whole; head_put writes what stands before the samples. */
uint64_t wire_series_size(struct tsdb_labels labels, uint64_t len);
void wire_series_head_put(struct tsdb_labels labels, uint64_t len, struct buf *out);
/* Of a result as a whole; head_put writes what stands before its series. */
uint64_t wire_result_size(uint64_t len);
void wire_result_head_put(uint64_t len, struct buf *out);

#endif
