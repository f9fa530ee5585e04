/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: their headers, and their chunks one behind the other. */
#include <inttypes.h>

#include "common/base/num.h"
#include "common/tsdb/block_verify_priv.h"

static size_t
file_of(size_t segment)
{
    return TSDB_VERIFY_INDEX + 1 + segment;
}

static uint64_t
segment_size(const struct tsdb_verify_state *v, size_t segment)
{
    return v->how->files[file_of(segment)].size;
}

/* Begin with the segment v->segment, if there is one. */
static void
enter_segment(struct tsdb_verify_state *v)
{
    struct err err;
    size_t file = file_of(v->segment);
    v->segment_at = TSDB_SEGMENT_HEADER_SIZE;
    if (v->segment >= tsdb_verify_segment_count(v) || tsdb_verify_is_over(v))
        return;
    struct bytes head =
        tsdb_verify_peek(v, &v->other, file, 0, TSDB_SEGMENT_HEADER_SIZE);
    if (!tsdb_verify_is_over(v) && !tsdb_chunk_segment_header_parse(head, &err))
        tsdb_verify_fail(v, (int64_t)file, 0, &err);
}

/* What stands between chunks belongs to none: a writer leaves no gap. */
static void
skip_to(struct tsdb_verify_state *v, uint64_t at)
{
    if (at > v->segment_at && !v->may_skip)
        tsdb_verify_find(v, (int64_t)file_of(v->segment), v->segment_at,
                         "no series refers to the %" PRIu64 " bytes here",
                         at - v->segment_at);
    v->segment_at = at;
}

/* A writer that was killed leaves zeros behind the last chunk. */
static bool
is_zero_to_end(struct tsdb_verify_state *v)
{
    size_t file = file_of(v->segment);
    uint64_t size = segment_size(v, v->segment);
    for (uint64_t at = v->segment_at; at < size && !tsdb_verify_is_over(v);) {
        struct bytes piece = tsdb_verify_peek(v, &v->other, file, at, 1);
        for (size_t i = 0; i < piece.len; i++)
            if (piece.at[i] != 0)
                return false;
        at += piece.len;
    }
    return true;
}

static void
leave_segment(struct tsdb_verify_state *v)
{
    uint64_t size = segment_size(v, v->segment);
    if (!v->may_skip && v->segment_at < size && !is_zero_to_end(v))
        tsdb_verify_surplus(v, file_of(v->segment), v->segment_at);
    v->segment++;
    enter_segment(v);
}

void
tsdb_verify_chunks_begin(struct tsdb_verify_state *v)
{
    v->segment = 0;
    v->may_skip = false;
    v->has_chunks = true;
    enter_segment(v);
}

void
tsdb_verify_chunks_end(struct tsdb_verify_state *v)
{
    /* Without all series nobody knows which chunks there should be. */
    v->may_skip = v->may_skip || !v->has_series;
    while (v->segment < tsdb_verify_segment_count(v) && !tsdb_verify_is_over(v))
        leave_segment(v);
}

/* Walk on to the chunk at offset of a segment. One that lies behind is a finding, and
 * is looked at all the same. */
static void
walk_to(struct tsdb_verify_state *v, size_t segment, uint64_t at, uint64_t series_at)
{
    while (v->segment < segment && !tsdb_verify_is_over(v))
        leave_segment(v);
    if (v->segment == segment && at >= v->segment_at)
        skip_to(v, at);
    else
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, series_at,
                         "the series refers to a chunk before or inside the last "
                         "one: %s at %" PRIu64,
                         v->how->files[file_of(segment)].name, at);
    v->may_skip = false;
}

/* Bytes of the record, or 0 when it has none that is possible. */
static uint64_t
record_size(struct tsdb_verify_state *v, size_t segment, uint64_t at)
{
    uint64_t size, room = segment_size(v, segment) - at;
    struct bytes head =
        tsdb_verify_peek(v, &v->other, file_of(segment), at, TSDB_CHUNK_MAX_HEAD);
    if (tsdb_verify_is_over(v))
        return 0;
    if (tsdb_chunk_size(head, &size) && size <= room && size <= TSDB_VERIFY_MAX_RECORD)
        return size;
    tsdb_verify_find(v, (int64_t)file_of(segment), at,
                     "the chunk is cut or has an impossible length");
    return 0;
}

static void
check_record(struct tsdb_verify_state *v, size_t segment, uint64_t at, uint64_t size,
             const struct tsdb_chunk_meta *meta)
{
    struct tsdb_chunk chunk;
    struct err err;
    size_t file = file_of(segment);
    struct bytes record = tsdb_verify_peek(v, &v->other, file, at, (size_t)size);
    if (tsdb_verify_is_over(v))
        return;
    if (tsdb_chunk_parse(&chunk, record, &err)) {
        tsdb_verify_samples(v, file, at, &chunk, meta);
        return;
    }
    v->has_chunks = false;
    tsdb_verify_fail(v, (int64_t)file, at, &err);
}

void
tsdb_verify_chunk(struct tsdb_verify_state *v, const struct tsdb_chunk_meta *meta,
                  uint64_t series_at)
{
    size_t segment = tsdb_chunk_ref_segment(meta->ref);
    uint64_t at = tsdb_chunk_ref_offset(meta->ref);
    if (segment >= tsdb_verify_segment_count(v) || at < TSDB_SEGMENT_HEADER_SIZE ||
        at >= segment_size(v, segment)) {
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, series_at,
                         "the series refers to a chunk at %" PRIu64
                         " of segment %zu of %zu, where there is none",
                         at, segment + 1, tsdb_verify_segment_count(v));
        v->has_chunks = false;
        v->may_skip = true;
        return;
    }
    walk_to(v, segment, at, series_at);
    uint64_t size = record_size(v, segment, at);
    if (size == 0) {
        v->has_chunks = false;
        v->may_skip = true;
        return;
    }
    if (v->segment == segment)
        v->segment_at = NUM_MAX(v->segment_at, at + size);
    if (v->how->level == TSDB_VERIFY_FULL)
        check_record(v, segment, at, size, meta);
}
