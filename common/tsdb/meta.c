/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/meta.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/codec/quantity.h"
#include "common/tsdb/block_path.h"

enum { META_VERSION = 1, THANOS_VERSION = 1, TAB_INDENT = -1 };

/* An absent or null member leaves *out as it is. */
static bool
get_i64(const struct json *object, const char *key, int64_t *out, struct err *err)
{
    const struct json *value = json_get(object, key);
    if (value == NULL || json_i64(value, out))
        return true;
    return err_set(err, ERR_INVALID, "\"%s\" is not an integer", key);
}

static bool
get_text(const struct json *object, const char *key, const char **out, struct err *err)
{
    const struct json *value = json_get(object, key);
    if (value == NULL || json_text(value, out))
        return true;
    return err_set(err, ERR_INVALID, "\"%s\" is not a string", key);
}

/* The member as an array, NULL when it is absent or null. */
static bool
get_array(const struct json *object, const char *key, const struct json **out,
          struct err *err)
{
    *out = json_get(object, key);
    if (*out == NULL || json_is_array(*out))
        return true;
    return err_set(err, ERR_INVALID, "\"%s\" is not a list", key);
}

static bool
get_object(const struct json *object, const char *key, const struct json **out,
           struct err *err)
{
    *out = json_get(object, key);
    if (*out == NULL || json_is_object(*out))
        return true;
    return err_set(err, ERR_INVALID, "\"%s\" is not an object", key);
}

static bool
get_ulid(const struct json *value, const char *what, struct tsdb_ulid *id,
         struct err *err)
{
    const char *text;
    if (json_text(value, &text) && tsdb_ulid_parse(id, bytes_of_str(text)))
        return true;
    return err_set(err, ERR_INVALID, "\"%s\" is not a canonical ULID", what);
}

static bool
parse_identity(struct tsdb_meta *m, struct err *err)
{
    int64_t version = 0;
    if (!get_i64(m->tree, "version", &version, err))
        return false;
    if (version != META_VERSION)
        return err_set(err, ERR_INVALID, "\"version\" is %lld, not %d",
                       (long long)version, META_VERSION);
    if (!get_ulid(json_get(m->tree, "ulid"), "ulid", &m->ulid, err) ||
        !get_i64(m->tree, "minTime", &m->mint_ms, err) ||
        !get_i64(m->tree, "maxTime", &m->maxt_ms, err))
        return false;
    if (m->mint_ms > m->maxt_ms)
        return err_set(err, ERR_INVALID, "\"minTime\" %lld is above \"maxTime\" %lld",
                       (long long)m->mint_ms, (long long)m->maxt_ms);
    return true;
}

static bool
parse_stats(struct tsdb_meta *m, struct err *err)
{
    const struct json *stats;
    return get_object(m->tree, "stats", &stats, err) &&
           get_i64(stats, "numSamples", &m->num_samples, err) &&
           get_i64(stats, "numSeries", &m->num_series, err) &&
           get_i64(stats, "numChunks", &m->num_chunks, err);
}

static bool
parse_compaction(struct tsdb_meta *m, struct err *err)
{
    const struct json *compaction;
    const struct json *sources;
    if (!get_object(m->tree, "compaction", &compaction, err) ||
        !get_i64(compaction, "level", &m->level, err) ||
        !get_array(compaction, "sources", &sources, err))
        return false;
    size_t count = json_array_len(sources);
    m->sources = xcalloc(count, sizeof *m->sources);
    for (size_t i = 0; i < count; i++)
        if (!get_ulid(json_array_at(sources, i), "sources", &m->sources[i], err))
            return false;
    m->source_count = count;
    return true;
}

static bool
count_member(void *arg, const char *key, const struct json *value, struct err *err)
{
    size_t *count = arg;
    const char *text;
    if (key[0] == 0 || !json_text(value, &text))
        return err_set(err, ERR_INVALID, "label \"%s\" has no name or is not a string",
                       key);
    (*count)++;
    return true;
}

/* An empty value is no label. */
static bool
take_label(void *arg, const char *key, const struct json *value, struct err *err)
{
    struct tsdb_meta *m = arg;
    const char *text = "";
    (void)err;
    if (json_text(value, &text) && text[0] != 0)
        m->label_storage[m->external.len++] =
            (struct tsdb_label){bytes_of_str(key), bytes_of_str(text)};
    return true;
}

static bool
parse_labels(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    const struct json *labels;
    size_t count = 0;
    if (!get_object(thanos, "labels", &labels, err))
        return false;
    if (labels == NULL)
        return true;
    if (!json_each(labels, count_member, &count, err))
        return false;
    m->label_storage = xcalloc(count, sizeof *m->label_storage);
    if (!json_each(labels, take_label, m, err))
        return false;
    m->external.at = m->label_storage;
    if (!tsdb_labels_sort(m->label_storage, m->external.len))
        return err_set(err, ERR_INVALID, "\"labels\" names a label twice");
    return true;
}

static bool
parse_file(struct tsdb_meta_file *f, const struct json *j, struct err *err)
{
    const struct json *hash;
    f->size = -1;
    if (!get_text(j, "rel_path", &f->rel_path, err) ||
        !get_i64(j, "size_bytes", &f->size, err) || !get_object(j, "hash", &hash, err))
        return false;
    if (f->rel_path == NULL)
        return err_set(err, ERR_INVALID, "a member of \"files\" has no \"rel_path\"");
    const char *function = "";
    if (!get_text(hash, "hashFunc", &function, err))
        return false;
    return strcmp(function, "SHA256") != 0 || get_text(hash, "value", &f->sha256, err);
}

static bool
parse_files(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    const struct json *files;
    if (!get_array(thanos, "files", &files, err))
        return false;
    size_t count = json_array_len(files);
    m->files = xcalloc(count, sizeof *m->files);
    for (size_t i = 0; i < count; i++)
        if (!parse_file(&m->files[i], json_array_at(files, i), err))
            return false;
    m->file_count = count;
    return true;
}

static bool
parse_segments(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    const struct json *segments;
    if (!get_array(thanos, "segment_files", &segments, err))
        return false;
    size_t count = json_array_len(segments);
    m->segments = xcalloc(count, sizeof *m->segments);
    for (size_t i = 0; i < count; i++)
        if (!json_text(json_array_at(segments, i), &m->segments[i]) ||
            !tsdb_block_path_is_segment(bytes_of_str(m->segments[i])))
            return err_set(err, ERR_INVALID,
                           "\"segment_files\" holds what is no segment name");
    m->segment_count = count;
    return true;
}

/* Thanos writes year 1 for "not set". */
static bool
parse_upload_time(struct tsdb_meta *m, const struct json *thanos, struct err *err)
{
    const char *text = NULL;
    m->upload_time_ms = INT64_MIN;
    if (!get_text(thanos, "upload_time", &text, err))
        return false;
    if (text == NULL || text[0] == 0 || strncmp(text, "0001-01-01T", 11) == 0)
        return true;
    if (!quantity_rfc3339(text, &m->upload_time_ms, err))
        return err_wrap(err, "\"upload_time\"");
    return true;
}

static bool
parse_thanos(struct tsdb_meta *m, struct err *err)
{
    const struct json *thanos;
    const struct json *downsample;
    int64_t version = 0;
    if (!get_object(m->tree, "thanos", &thanos, err))
        return false;
    m->has_thanos = thanos != NULL;
    if (!get_i64(thanos, "version", &version, err))
        return false;
    if (version != 0 && version != THANOS_VERSION)
        return err_set(err, ERR_INVALID, "\"thanos\" section of version %lld",
                       (long long)version);
    return get_object(thanos, "downsample", &downsample, err) &&
           get_i64(downsample, "resolution", &m->resolution_ms, err) &&
           get_text(thanos, "source", &m->source, err) &&
           parse_labels(m, thanos, err) && parse_files(m, thanos, err) &&
           parse_segments(m, thanos, err) && parse_upload_time(m, thanos, err);
}

bool
tsdb_meta_parse(struct tsdb_meta *out, struct bytes text, struct err *err)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m = {0};
    if (!json_parse(text, TSDB_META_MAX_BYTES, &m.tree, err))
        return err_wrap(err, "meta.json");
    if (!json_is_object(m.tree))
        return err_set(err, ERR_INVALID, "meta.json: not an object");
    if (!parse_identity(&m, err) || !parse_stats(&m, err) ||
        !parse_compaction(&m, err) || !parse_thanos(&m, err))
        return err_wrap(err, "meta.json");
    *out = m;
    m = (struct tsdb_meta){0};
    return true;
}

void
tsdb_meta_fini(struct tsdb_meta *m)
{
    json_free(&m->tree);
    free(m->sources);
    free(m->files);
    free(m->segments);
    free(m->label_storage);
    *m = (struct tsdb_meta){0};
}

/* The member as an object to be changed, made when it is not there. */
static struct json *
object_member(struct json *parent, const char *key)
{
    if (!json_is_object(json_get(parent, key))) {
        struct json *made = json_new_object();
        json_set(parent, key, &made);
    }
    return json_get(parent, key);
}

static bool
put_labels(struct json *thanos, struct tsdb_labels external, size_t had, struct err *err)
{
    struct json *labels = object_member(thanos, "labels");
    if (had + external.len == 0)
        return err_set(err, ERR_INVALID,
                       "no external labels: a block without them is refused by readers");
    for (size_t i = 0; i < external.len; i++) {
        CLEANUP(xfree) char *name = xasprintf("%.*s", BYTES_FMT(external.at[i].name));
        CLEANUP(xfree) char *value = xasprintf("%.*s", BYTES_FMT(external.at[i].value));
        json_set_text(labels, name, value);
    }
    return true;
}

static int
by_path(const void *a, const void *b)
{
    const struct tsdb_meta_file *x = a;
    const struct tsdb_meta_file *y = b;
    return strcmp(x->rel_path, y->rel_path);
}

static void
append_file(struct json *files, const struct tsdb_meta_file *f)
{
    struct json *member = json_new_object();
    json_set_text(member, "rel_path", f->rel_path);
    if (f->size >= 0)
        json_set_i64(member, "size_bytes", f->size);
    if (f->sha256 != NULL) {
        struct json *hash = json_new_object();
        json_set_text(hash, "hashFunc", "SHA256");
        json_set_text(hash, "value", f->sha256);
        json_set(member, "hash", &hash);
    }
    json_append(files, &member);
}

/* "files" and "segment_files", both sorted by path. */
static void
put_files(struct json *thanos, const struct tsdb_meta_thanos *t)
{
    static const char chunks[] = TSDB_BLOCK_PATH_CHUNKS "/";
    size_t count = t->file_count + 1;
    CLEANUP(xfree) struct tsdb_meta_file *sorted = xcalloc(count, sizeof *sorted);
    for (size_t i = 0; i < t->file_count; i++)
        sorted[i] = t->files[i];
    sorted[t->file_count] =
        (struct tsdb_meta_file){.rel_path = TSDB_BLOCK_PATH_META, .size = -1};
    qsort(sorted, count, sizeof *sorted, by_path);
    struct json *files = json_new_array();
    struct json *segments = json_new_array();
    for (size_t i = 0; i < count; i++) {
        append_file(files, &sorted[i]);
        if (strncmp(sorted[i].rel_path, chunks, sizeof chunks - 1) == 0)
            json_append_text(segments, sorted[i].rel_path + sizeof chunks - 1);
    }
    json_set(thanos, "segment_files", &segments);
    json_set(thanos, "files", &files);
}

bool
tsdb_meta_print_with_thanos(const struct tsdb_meta *m,
                            const struct tsdb_meta_thanos *t, struct buf *out,
                            struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_free) struct json *copy = NULL;
    char upload_time[CLOCK_RFC3339_SIZE];
    json_print(m->tree, 0, &text);
    if (!json_parse(buf_bytes(&text), TSDB_META_MAX_BYTES, &copy, err))
        return err_wrap(err, "meta.json");
    struct json *thanos = object_member(copy, "thanos");
    json_set_i64(thanos, "version", THANOS_VERSION);
    if (!put_labels(thanos, t->external, m->external.len, err))
        return false;
    json_set_i64(object_member(thanos, "downsample"), "resolution", m->resolution_ms);
    json_set_text(thanos, "source", t->source);
    put_files(thanos, t);
    object_member(thanos, "index_stats");
    clock_rfc3339(t->upload_time_ns, upload_time);
    json_set_text(thanos, "upload_time", upload_time);
    json_print(copy, TAB_INDENT, out);
    return buf_ok(out, err);
}
