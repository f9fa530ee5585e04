/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/block_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/codec/json.h"
#include "common/codec/varint.h"
#include "common/tsdb/block_path.h"
#include "tests/support/index_writer.h"
#include "tests/support/sink.h"

enum { DEFAULT_CHUNK_SAMPLES = 120, LENGTH_FIELD_MAX = 5 };

static const uint64_t default_segment_limit = UINT64_C(512) << 20;
static const uint8_t segment_header[TSDB_SEGMENT_HEADER_SIZE] = {0x85, 0xbd, 0x40, 0xdd,
                                                                 0x01};
static const uint8_t no_tombstones[] = {0x01, 0x30, 0xba, 0x30, 0x01, 0, 0, 0, 0};

struct block_writer {
    struct block_writer_options options;
    struct tsdb_ulid id;
    char *path;      /* final */
    char *temporary; /* until finished */
    bool finished;

    struct index_writer *index;
    struct sink segment; /* the last one; open from the first chunk on */
    uint32_t segment_count;
    struct buf chunk_data;

    int64_t mint_ms;
    int64_t maxt_ms; /* inclusive */
    int64_t sample_count;
    int64_t series_count;
    int64_t chunk_count;
};

static void
set_defaults(struct block_writer_options *o)
{
    if (o->index_version == 0)
        o->index_version = 2;
    if (o->segment_limit == 0)
        o->segment_limit = default_segment_limit;
    if (o->samples_per_chunk == 0)
        o->samples_per_chunk = DEFAULT_CHUNK_SAMPLES;
    if (o->level == 0)
        o->level = 1;
}

bool
block_writer_new(struct block_writer **out, const char *dir, const struct tsdb_ulid *id,
                 const struct block_writer_options *options, struct err *err)
{
    CLEANUP(block_writer_free) struct block_writer *w = xcalloc(1, sizeof *w);
    w->options = *options;
    set_defaults(&w->options);
    CHECK(w->options.index_version <= 2 && w->options.samples_per_chunk <= UINT16_MAX);
    w->id = *id;
    w->mint_ms = INT64_MAX;
    w->maxt_ms = INT64_MIN;
    w->path = xasprintf("%s/%s", dir, tsdb_ulid_print(id).text);
    w->temporary = xasprintf("%s.tmp-for-creation", w->path);
    buf_init(&w->chunk_data, NULL);

    CLEANUP(xfree) char *chunks = xasprintf("%s/" TSDB_BLOCK_PATH_CHUNKS, w->temporary);
    CLEANUP(xfree) char *index = xasprintf("%s/" TSDB_BLOCK_PATH_INDEX, w->temporary);
    if (!file_mkdirs(chunks, err) ||
        !index_writer_new(&w->index, index, w->options.index_version, err))
        return false;
    *out = TAKE(w);
    return true;
}

void
block_writer_free(struct block_writer **pointer)
{
    struct block_writer *w = TAKE(*pointer);
    if (!w)
        return;
    sink_abandon(&w->segment);
    index_writer_free(&w->index);
    struct err err;
    if (!w->finished && !file_remove_tree(w->temporary, &err))
        fprintf(stderr, "%s\n", err.text);
    buf_fini(&w->chunk_data);
    free(w->path);
    free(w->temporary);
    free(w);
}

/* Make sure that a segment with room for a record of data_len bytes is open. */
static bool
segment_ready(struct block_writer *w, size_t data_len, struct err *err)
{
    uint64_t record = LENGTH_FIELD_MAX + 1 + (uint64_t)data_len + TSDB_CHUNK_CRC_SIZE;
    bool fits = w->segment.at + record <= w->options.segment_limit;
    bool is_empty = w->segment.at == TSDB_SEGMENT_HEADER_SIZE;
    if (w->segment.file && (fits || is_empty))
        return true;
    CLEANUP(xfree)
    char *path = xasprintf("%s/" TSDB_BLOCK_PATH_CHUNKS "/%06" PRIu32, w->temporary,
                           w->segment_count + 1);
    if (!sink_close(&w->segment, err) || !sink_open(&w->segment, path, err))
        return false;
    w->segment_count++;
    sink_put(&w->segment, bytes_of(segment_header, sizeof segment_header));
    return true;
}

static void
put_record(struct sink *segment, struct tsdb_chunk chunk)
{
    uint8_t head[VARINT_MAX_BYTES + 1];
    size_t head_len = varint_store_u64(head, chunk.data.len);
    head[head_len] = (uint8_t)chunk.encoding;
    uint32_t crc = crc32c(bytes_of(head + head_len, 1));
    sink_put(segment, bytes_of(head, head_len + 1));
    sink_put(segment, chunk.data);
    sink_put_be32(segment, crc32c_extend(crc, chunk.data));
}

static bool
put_chunk(struct block_writer *w, const struct block_chunk *c, struct err *err)
{
    if (!segment_ready(w, c->chunk.data.len, err))
        return false;
    uint64_t ref = (uint64_t)(w->segment_count - 1) << 32 | w->segment.at;
    put_record(&w->segment, c->chunk);
    index_writer_add_chunk(w->index,
                           (struct tsdb_chunk_meta){c->mint_ms, c->maxt_ms, ref});
    w->mint_ms = NUM_MIN(w->mint_ms, c->mint_ms);
    w->maxt_ms = NUM_MAX(w->maxt_ms, c->maxt_ms);
    w->sample_count += c->samples;
    w->chunk_count++;
    return true;
}

bool
block_writer_add_chunks(struct block_writer *w, struct tsdb_labels labels,
                        const struct block_chunk *chunks, size_t count, struct err *err)
{
    index_writer_begin_series(w->index, labels, count);
    for (size_t i = 0; i < count; i++) {
        if (!put_chunk(w, &chunks[i], err))
            return false;
    }
    index_writer_end_series(w->index);
    w->series_count++;
    return true;
}

static bool
put_samples(struct block_writer *w, const struct tsdb_sample *samples, size_t count,
            struct err *err)
{
    buf_clear(&w->chunk_data);
    struct tsdb_xor_writer xor_writer;
    tsdb_xor_writer_init(&xor_writer, &w->chunk_data);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&xor_writer, samples[i]);
    tsdb_xor_finish(&xor_writer);
    return put_chunk(
        w,
        &(struct block_chunk){
            .mint_ms = samples[0].t_ms,
            .maxt_ms = samples[count - 1].t_ms,
            .samples = (uint32_t)count,
            .chunk = {.encoding = TSDB_CHUNK_XOR, .data = buf_bytes(&w->chunk_data)},
        },
        err);
}

bool
block_writer_add_samples(struct block_writer *w, struct tsdb_labels labels,
                         const struct tsdb_sample *samples, size_t count,
                         struct err *err)
{
    size_t most = w->options.samples_per_chunk;
    index_writer_begin_series(w->index, labels, (count + most - 1) / most);
    for (size_t done = 0; done < count; done += most) {
        if (!put_samples(w, samples + done, NUM_MIN(most, count - done), err))
            return false;
    }
    index_writer_end_series(w->index);
    w->series_count++;
    return true;
}

/* meta.json and what else a finished block has. */

static struct json *
stats_json(const struct block_writer *w)
{
    struct json *stats = json_new_object();
    json_set_i64(stats, "numSamples", w->sample_count);
    json_set_i64(stats, "numSeries", w->series_count);
    json_set_i64(stats, "numChunks", w->chunk_count);
    return stats;
}

static struct json *
compaction_json(const struct block_writer *w)
{
    struct json *compaction = json_new_object();
    struct json *sources = json_new_array();
    json_append_text(sources, tsdb_ulid_print(&w->id).text);
    json_set_i64(compaction, "level", w->options.level);
    json_set(compaction, "sources", &sources);
    return compaction;
}

/* Append {rel_path, size_bytes} of a file of the block. */
static bool
append_file(const struct block_writer *w, struct json *files, const char *rel_path,
            struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->temporary, rel_path);
    struct stat st;
    if (stat(path, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    struct json *file = json_new_object();
    json_set_text(file, "rel_path", rel_path);
    json_set_i64(file, "size_bytes", st.st_size);
    json_append(files, &file);
    return true;
}

static bool
files_json(const struct block_writer *w, struct json *files, struct json *segments,
           struct err *err)
{
    for (uint32_t i = 1; i <= w->segment_count; i++) {
        CLEANUP(xfree) char *path = xasprintf("chunks/%06" PRIu32, i);
        json_append_text(segments, path + strlen("chunks/"));
        if (!append_file(w, files, path, err))
            return false;
    }
    if (!append_file(w, files, TSDB_BLOCK_PATH_INDEX, err))
        return false;
    struct json *meta = json_new_object();
    json_set_text(meta, "rel_path", TSDB_BLOCK_PATH_META);
    json_append(files, &meta);
    return true;
}

static struct json *
external_json(const struct block_writer *w)
{
    struct json *labels = json_new_object();
    for (size_t i = 0; i < w->options.external.len; i++) {
        const struct tsdb_label *l = &w->options.external.at[i];
        CLEANUP(xfree) char *name = xasprintf("%.*s", BYTES_FMT(l->name));
        CLEANUP(xfree) char *value = xasprintf("%.*s", BYTES_FMT(l->value));
        json_set_text(labels, name, value);
    }
    return labels;
}

static bool
set_thanos(const struct block_writer *w, struct json *root, struct err *err)
{
    CLEANUP(json_free) struct json *thanos = json_new_object();
    CLEANUP(json_free) struct json *files = json_new_array();
    CLEANUP(json_free) struct json *segments = json_new_array();
    if (!files_json(w, files, segments, err))
        return false;
    struct json *labels = external_json(w);
    struct json *downsample = json_new_object();
    json_set_i64(downsample, "resolution", w->options.resolution_ms);
    char uploaded[CLOCK_RFC3339_SIZE];
    clock_rfc3339(tsdb_ulid_time_ms(&w->id) * CLOCK_NS_PER_MS, uploaded);

    json_set(thanos, "labels", &labels);
    json_set(thanos, "downsample", &downsample);
    json_set_text(thanos, "source", "test");
    json_set(thanos, "segment_files", &segments);
    json_set(thanos, "files", &files);
    json_set_text(thanos, "upload_time", uploaded);
    json_set(root, "thanos", &thanos);
    return true;
}

static bool
write_meta(const struct block_writer *w, struct err *err)
{
    CLEANUP(json_free) struct json *root = json_new_object();
    struct json *stats = stats_json(w);
    struct json *compaction = compaction_json(w);
    bool has_samples = w->chunk_count > 0;
    json_set_text(root, "ulid", tsdb_ulid_print(&w->id).text);
    json_set_i64(root, "minTime", has_samples ? w->mint_ms : 0);
    json_set_i64(root, "maxTime", has_samples ? w->maxt_ms + 1 : 0);
    json_set(root, "stats", &stats);
    json_set(root, "compaction", &compaction);
    json_set_i64(root, "version", 1);
    if (w->options.external.len > 0 && !set_thanos(w, root, err))
        return false;

    CLEANUP(buf_fini) struct buf text;
    buf_init(&text, NULL);
    json_print(root, -1, &text);
    CLEANUP(xfree) char *path = xasprintf("%s/" TSDB_BLOCK_PATH_META, w->temporary);
    return file_replace(path, buf_bytes(&text), err);
}

static bool
write_tombstones(const struct block_writer *w, struct err *err)
{
    if (w->options.external.len > 0)
        return true;
    CLEANUP(xfree) char *path = xasprintf("%s/tombstones", w->temporary);
    return file_replace(path, bytes_of(no_tombstones, sizeof no_tombstones), err);
}

bool
block_writer_finish(struct block_writer *w, struct err *err)
{
    CHECK(!w->finished);
    if (!sink_close(&w->segment, err) || !index_writer_finish(w->index, err))
        return err_wrap(err, "write block %s", w->path);
    index_writer_free(&w->index);
    if (!write_meta(w, err) || !write_tombstones(w, err))
        return err_wrap(err, "write block %s", w->path);
    if (rename(w->temporary, w->path) != 0)
        return err_sys(err, errno, "rename %s", w->temporary);
    w->finished = true;
    return true;
}
