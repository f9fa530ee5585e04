/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/meta.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/codec/quantity.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta_priv.h"

/* How an upload time begins that Thanos writes for one that is not set: the zero time
 * of Go. */
static const struct bytes unset_date = BYTES("0001-01-01T");

static bool
wrong_type(const char *member, const char *type, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s is not %s", member, type);
}

/* Members of an object, named by their path in errors. Absent ones leave *out. */

static struct json *
member_at(const struct json *j, const char *path)
{
    const char *dot = strrchr(path, '.');
    return json_get(j, dot != NULL ? dot + 1 : path);
}

static bool
get_i64(const struct json *j, const char *path, int64_t *out, struct err *err)
{
    struct json *member = member_at(j, path);
    return member == NULL || json_i64(member, out) ||
           wrong_type(path, "an integer", err);
}

static bool
get_text(const struct json *j, const char *path, const char **out, struct err *err)
{
    struct json *member = member_at(j, path);
    return member == NULL || json_text(member, out) || wrong_type(path, "a text", err);
}

static bool
get_count(const struct json *j, const char *path, int64_t *out, struct err *err)
{
    return get_i64(j, path, out, err) &&
           (*out >= 0 || err_set(err, ERR_INVALID, "%s is negative", path));
}

static bool
get_object(const struct json *j, const char *key, struct json **out, struct err *err)
{
    *out = json_get(j, key);
    return *out == NULL || json_is_object(*out) || wrong_type(key, "an object", err);
}

/* The array at key and its length, 0 if it is absent. */
static bool
get_array(const struct json *j, const char *key, struct json **out, size_t *len,
          struct err *err)
{
    *out = json_get(j, key);
    *len = 0;
    if (*out == NULL)
        return true;
    *len = json_array_len(*out);
    return json_is_array(*out) || wrong_type(key, "an array", err);
}

static bool
read_ulid(const struct json *j, const char *what, struct tsdb_ulid *id, struct err *err)
{
    const char *text;
    if (!json_text(j, &text))
        return wrong_type(what, "a text", err);
    return tsdb_ulid_parse(id, bytes_of_str(text)) ||
           err_set(err, ERR_INVALID, "%s \"%s\" is no ULID", what, text);
}

static bool
read_identity(struct tsdb_meta *m, struct err *err)
{
    int64_t version = 0;
    if (!get_i64(m->tree, "version", &version, err))
        return false;
    if (version != TSDB_META_VERSION)
        return err_set(err, ERR_INVALID, "version is %" PRId64 ", not %d", version,
                       TSDB_META_VERSION);
    return read_ulid(json_get(m->tree, "ulid"), "ulid", &m->ulid, err);
}

static bool
read_times(struct tsdb_meta *m, struct err *err)
{
    if (!json_i64(json_get(m->tree, "minTime"), &m->mint_ms))
        return wrong_type("minTime", "an integer", err);
    if (!json_i64(json_get(m->tree, "maxTime"), &m->maxt_ms))
        return wrong_type("maxTime", "an integer", err);
    return m->mint_ms <= m->maxt_ms ||
           err_set(err, ERR_INVALID, "minTime is after maxTime");
}

static bool
read_stats(struct tsdb_meta *m, struct err *err)
{
    struct json *stats;
    return get_object(m->tree, "stats", &stats, err) &&
           get_count(stats, "stats.numSamples", &m->num_samples, err) &&
           get_count(stats, "stats.numSeries", &m->num_series, err) &&
           get_count(stats, "stats.numChunks", &m->num_chunks, err);
}

static bool
read_compaction(struct tsdb_meta *m, struct err *err)
{
    struct json *compaction, *sources, *parents;
    size_t count;
    if (!get_object(m->tree, "compaction", &compaction, err) ||
        !get_count(compaction, "compaction.level", &m->level, err) ||
        !get_array(compaction, "sources", &sources, &count, err) ||
        !get_array(compaction, "parents", &parents, &m->parent_count, err))
        return false;
    m->sources = xcalloc(count, sizeof *m->sources);
    for (size_t i = 0; i < count; i++)
        if (!read_ulid(json_array_at(sources, i), "compaction.sources", &m->sources[i],
                       err))
            return false;
    m->source_count = count;
    return true;
}

static bool
add_label(void *arg, const char *name, const struct json *value, struct err *err)
{
    struct tsdb_meta *m = arg;
    const char *text = "";
    if (value != NULL && !json_text(value, &text))
        return err_set(err, ERR_INVALID, "thanos.labels: %s is not a text", name);
    /* An empty value is an absent label, and null is read as one. */
    if (text[0] != 0)
        m->label_storage[m->external.len++] =
            (struct tsdb_label){bytes_of_str(name), bytes_of_str(text)};
    return true;
}

static bool
count_member(void *arg, const char *name, const struct json *value, struct err *err)
{
    size_t *count = arg;
    (void)name, (void)value, (void)err;
    ++*count;
    return true;
}

static bool
read_labels(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    struct json *labels;
    size_t count = 0;
    if (!get_object(thanos, "labels", &labels, err))
        return false;
    if (labels == NULL)
        return true;
    if (!json_each(labels, count_member, &count, err))
        return false;
    m->label_storage = xcalloc(count, sizeof *m->label_storage);
    m->external.at = m->label_storage;
    if (!json_each(labels, add_label, m, err))
        return false;
    return tsdb_labels_sort(m->label_storage, m->external.len) ||
           err_set(err, ERR_INVALID, "thanos.labels: a name is empty");
}

static bool
read_hash(struct tsdb_meta_file *file, const struct json *j, struct err *err)
{
    struct json *hash;
    const char *function;
    if (!get_object(j, "hash", &hash, err))
        return false;
    bool is_sha256 = json_text(json_get(hash, "hashFunc"), &function) &&
                     strcmp(function, TSDB_META_SHA256) == 0;
    return !is_sha256 || json_text(json_get(hash, "value"), &file->sha256) ||
           wrong_type("hash.value", "a text", err);
}

static bool
read_file(struct tsdb_meta_file *file, const struct json *j, struct err *err)
{
    file->size = -1;
    if (!json_text(json_get(j, "rel_path"), &file->rel_path))
        return wrong_type("rel_path", "a text", err);
    struct json *size = json_get(j, "size_bytes");
    if (size != NULL && (!json_i64(size, &file->size) || file->size < 0))
        return wrong_type("size_bytes", "a size", err);
    return read_hash(file, j, err);
}

static bool
read_files(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    struct json *files;
    size_t count;
    if (!get_array(thanos, "files", &files, &count, err))
        return false;
    m->files = xcalloc(count, sizeof *m->files);
    for (size_t i = 0; i < count; i++)
        if (!read_file(&m->files[i], json_array_at(files, i), err))
            return err_wrap(err, "thanos.files[%zu]", i);
    m->file_count = count;
    return true;
}

static bool
read_segments(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    struct json *segments;
    size_t count;
    if (!get_array(thanos, "segment_files", &segments, &count, err))
        return false;
    m->segments = xcalloc(count, sizeof *m->segments);
    for (size_t i = 0; i < count; i++)
        if (!json_text(json_array_at(segments, i), &m->segments[i]) ||
            !tsdb_block_path_is_segment(bytes_of_str(m->segments[i])))
            return err_set(err, ERR_INVALID,
                           "thanos.segment_files[%zu] is no name of a segment", i);
    m->segment_count = count;
    return true;
}

static bool
read_upload_time(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    const char *text = "";
    if (!get_text(thanos, "thanos.upload_time", &text, err))
        return false;
    return text[0] == 0 || bytes_starts_with(bytes_of_str(text), unset_date) ||
           quantity_rfc3339(text, &m->upload_time_ms, err) ||
           err_wrap(err, "thanos.upload_time");
}

static bool
read_thanos(struct tsdb_meta *m, struct err *err)
{
    struct json *thanos, *downsample;
    int64_t version = 0;
    m->upload_time_ms = INT64_MIN;
    if (!get_object(m->tree, "thanos", &thanos, err) ||
        !get_i64(thanos, "thanos.version", &version, err))
        return false;
    if (version != 0 && version != TSDB_META_VERSION)
        return err_set(err, ERR_INVALID, "thanos.version is %" PRId64 ", not %d",
                       version, TSDB_META_VERSION);
    m->has_thanos = thanos != NULL;
    return get_object(thanos, "downsample", &downsample, err) &&
           get_count(downsample, "thanos.downsample.resolution", &m->resolution_ms,
                     err) &&
           get_text(thanos, "thanos.source", &m->source, err) &&
           read_labels(m, thanos, err) && read_files(m, thanos, err) &&
           read_segments(m, thanos, err) && read_upload_time(m, thanos, err);
}

bool
tsdb_meta_parse(struct tsdb_meta *m, struct bytes text, struct err *err)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta parsed = {0};
    if (!json_parse(text, TSDB_META_MAX_BYTES, &parsed.tree, err))
        return false;
    if (!json_is_object(parsed.tree))
        return wrong_type("meta.json", "an object", err);
    if (!read_identity(&parsed, err) || !read_times(&parsed, err) ||
        !read_stats(&parsed, err) || !read_compaction(&parsed, err) ||
        !read_thanos(&parsed, err))
        return false;
    *m = parsed;
    parsed = (struct tsdb_meta){0};
    return true;
}

void
tsdb_meta_fini(struct tsdb_meta *m)
{
    json_free(&m->tree);
    free(m->sources);
    free(m->label_storage);
    free(m->files);
    free(m->segments);
    *m = (struct tsdb_meta){0};
}
