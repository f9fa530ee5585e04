/* SPDX-License-Identifier: Apache-2.0 */
/* One walk through the index, front to back. Series entries refer to chunks in the
 * order of the segments, so these are walked through beside it; rows of the postings
 * table refer to the lists in their order, so these are, too. A block whose references
 * jump is checked as well, with more reads. */
#include "common/tsdb/block_verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/block_verify_priv.h"

enum { WHAT_BYTES = 320 };

static const char *
name_of(const struct tsdb_verify_state *v, int64_t file)
{
    return file == TSDB_VERIFY_META ? TSDB_BLOCK_PATH_META : v->how->files[file].name;
}

static void
report(struct tsdb_verify_state *v, const struct tsdb_verify_finding *finding)
{
    if (tsdb_verify_is_over(v))
        return;
    v->totals.findings++;
    v->was_ended = !v->how->found(v->how->arg, finding);
}

void
tsdb_verify_find(struct tsdb_verify_state *v, int64_t file, uint64_t offset,
                 const char *fmt, ...)
{
    char what[WHAT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    report(v, &(struct tsdb_verify_finding){.code = ERR_CORRUPT,
                                            .file = name_of(v, file),
                                            .offset = offset,
                                            .what = what});
}

void
tsdb_verify_surplus(struct tsdb_verify_state *v, size_t file, uint64_t offset)
{
    char what[WHAT_BYTES];
    snprintf(what, sizeof what, "no series refers to the last %" PRIu64 " bytes",
             v->how->files[file].size - offset);
    report(v, &(struct tsdb_verify_finding){.code = ERR_CORRUPT,
                                            .is_surplus = true,
                                            .file = v->how->files[file].name,
                                            .offset = offset,
                                            .what = what});
}

void
tsdb_verify_fail(struct tsdb_verify_state *v, int64_t file, uint64_t offset,
                 const struct err *err)
{
    if (tsdb_verify_is_over(v))
        return;
    if (err->code == ERR_CORRUPT || err->code == ERR_UNSUPPORTED)
        report(v, &(struct tsdb_verify_finding){.code = err->code,
                                                .file = name_of(v, file),
                                                .offset = offset,
                                                .what = err->text});
    else
        v->failure = *err;
}

/* Append len bytes of the file to what the stream holds. */
static void
read_more(struct tsdb_verify_state *v, struct tsdb_verify_stream *s, size_t len)
{
    uint8_t *into = buf_reserve(&s->held, len);
    if (into == NULL && !buf_ok(&s->held, &v->failure))
        return;
    if (cancel_is_raised(v->how->cancel)) {
        err_set(&v->failure, ERR_CANCELLED, "the check was stopped");
        return;
    }
    if (!v->how->read(v->how->arg, s->file, s->at + s->held.len, into, len,
                      &v->failure))
        return;
    s->held.len += len;
    v->totals.bytes_read += len;
    if (v->how->progress != NULL)
        v->how->progress(v->how->arg, v->totals.bytes_read);
}

/* Let the stream begin at offset; what it holds from there on stays. */
static void
move_to(struct tsdb_verify_stream *s, size_t file, uint64_t offset)
{
    size_t held = s->held.len;
    bool keeps = file == s->file && offset >= s->at && offset - s->at < held;
    size_t drop = keeps ? (size_t)(offset - s->at) : held;
    if (drop > 0)
        memmove(s->held.at, s->held.at + drop, held - drop);
    s->held.len -= drop;
    s->file = file;
    s->at = offset;
}

struct bytes
tsdb_verify_peek(struct tsdb_verify_state *v, struct tsdb_verify_stream *s, size_t file,
                 uint64_t offset, size_t want)
{
    uint64_t size = v->how->files[file].size;
    if (tsdb_verify_is_over(v) || offset >= size)
        return (struct bytes){0};
    want = (size_t)NUM_MIN(want, size - offset);
    uint64_t skip = offset - s->at; /* wraps when it lies before */
    if (file == s->file && offset >= s->at && skip < s->held.len &&
        s->held.len - skip >= want)
        return bytes_of(s->held.at + skip, s->held.len - (size_t)skip);
    move_to(s, file, offset);
    size_t piece = NUM_MAX(want - s->held.len, v->how->piece_bytes);
    read_more(v, s, (size_t)NUM_MIN(piece, size - offset - s->held.len));
    return tsdb_verify_is_over(v) ? (struct bytes){0} : buf_bytes(&s->held);
}

bool
tsdb_verify_bits_init(struct tsdb_verify_state *v, struct buf *bits, uint64_t count)
{
    size_t len = (size_t)(count / 8 + 1);
    uint8_t *at = buf_reserve(bits, len);
    if (at == NULL)
        return buf_ok(bits, &v->failure);
    memset(at, 0, len);
    bits->len = len;
    return true;
}

static bool
feed_table(struct tsdb_verify_state *v, struct tsdb_index_table *table, uint64_t offset,
           uint64_t end)
{
    struct err err;
    while (offset < end) {
        struct bytes piece =
            tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, offset, 1);
        if (piece.len == 0)
            return false;
        piece.len = (size_t)NUM_MIN(piece.len, end - offset);
        if (!tsdb_index_table_feed(table, piece, &err)) {
            tsdb_verify_fail(v, TSDB_VERIFY_INDEX, offset, &err);
            return false;
        }
        offset += piece.len;
    }
    if (!tsdb_index_table_end(table, &err)) {
        tsdb_verify_fail(v, TSDB_VERIFY_INDEX, offset, &err);
        return false;
    }
    return true;
}

bool
tsdb_verify_table(struct tsdb_verify_state *v, struct tsdb_index_table *table,
                  uint64_t offset, uint64_t limit)
{
    enum { LENGTH_SIZE = 4, CRC_SIZE = 4 };
    struct bytes head =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, offset, LENGTH_SIZE);
    if (head.len < LENGTH_SIZE)
        return false;
    uint64_t size = (uint64_t)LENGTH_SIZE + be32_load(head.at) + CRC_SIZE;
    if (size > limit - offset) {
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, offset,
                         "the section runs into the next: %" PRIu64
                         " bytes in room for %" PRIu64,
                         size, limit - offset);
        return false;
    }
    return feed_table(v, table, offset, offset + size);
}

/* Header and table of contents. */
static bool
find_sections(struct tsdb_verify_state *v)
{
    struct err err;
    uint64_t size = v->how->files[TSDB_VERIFY_INDEX].size;
    if (size < TSDB_INDEX_HEADER_SIZE + TSDB_INDEX_TOC_SIZE) {
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, 0, "%" PRIu64 " bytes are no index",
                         size);
        return false;
    }
    uint64_t toc_at = size - TSDB_INDEX_TOC_SIZE;
    struct bytes head =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, 0, TSDB_INDEX_HEADER_SIZE);
    struct bytes tail =
        tsdb_verify_peek(v, &v->other, TSDB_VERIFY_INDEX, toc_at, TSDB_INDEX_TOC_SIZE);
    if (tsdb_verify_is_over(v))
        return false;
    head.len = TSDB_INDEX_HEADER_SIZE;
    if (!tsdb_index_header_parse(head, &v->version, &err)) {
        tsdb_verify_fail(v, TSDB_VERIFY_INDEX, 0, &err);
        return false;
    }
    if (!tsdb_index_toc_parse(&v->toc, tail, size, &err)) {
        tsdb_verify_fail(v, TSDB_VERIFY_INDEX, toc_at, &err);
        return false;
    }
    return true;
}

/* Statistics that are not given are 0. */
static void
check_stat(struct tsdb_verify_state *v, const char *name, int64_t said, uint64_t found)
{
    if (said > 0 && (uint64_t)said != found)
        tsdb_verify_find(v, TSDB_VERIFY_META, 0,
                         "meta.json says %s %" PRId64 ", the block holds %" PRIu64,
                         name, said, found);
}

static void
check_stats(struct tsdb_verify_state *v)
{
    const struct tsdb_meta *meta = v->how->meta;
    if (!v->has_series)
        return;
    check_stat(v, "numSeries", meta->num_series, v->totals.series);
    check_stat(v, "numChunks", meta->num_chunks, v->totals.chunks);
    if (v->how->level == TSDB_VERIFY_FULL && v->has_chunks)
        check_stat(v, "numSamples", meta->num_samples, v->totals.samples);
}

static void
check_block(struct tsdb_verify_state *v)
{
    bool has_index = find_sections(v);
    tsdb_verify_chunks_begin(v);
    if (has_index) {
        tsdb_verify_symbols(v);
        tsdb_verify_series(v);
    }
    tsdb_verify_chunks_end(v);
    if (has_index)
        tsdb_verify_postings(v);
    check_stats(v);
}

bool
tsdb_block_verify(const struct tsdb_verify *how, struct tsdb_verify_totals *totals,
                  struct err *err)
{
    CLEANUP(xfree) struct tsdb_verify_state *v = xcalloc(1, sizeof *v);
    struct buf *const bufs[] = {&v->index.held,  &v->other.held,  &v->symbol_starts,
                                &v->symbol_crcs, &v->series_bits, &v->last_labels};
    CHECK(how->file_count > 0 && how->piece_bytes > 0);
    v->how = how;
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_init(bufs[i], how->budget);
    arena_init(&v->buckets, how->budget);
    check_block(v);
    arena_fini(&v->buckets);
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_fini(bufs[i]);
    *totals = v->totals;
    if (v->failure.code == ERR_NONE)
        return true;
    *err = v->failure;
    return false;
}
