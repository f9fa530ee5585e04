/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta.h"
#include "common/tsdb/meta_priv.h"

/* A tree of its own, so that m is not changed. */
static bool
copy_tree(const struct tsdb_meta *m, struct json **out, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    json_print(m->tree, 0, &text);
    return json_parse(buf_bytes(&text), SIZE_MAX, out, err);
}

static struct json *
labels_of(const struct tsdb_meta *m, struct tsdb_labels external)
{
    CLEANUP(budget_fini) struct budget budget;
    budget_init(&budget, "external labels", SIZE_MAX, NULL);
    CLEANUP(arena_fini) struct arena arena;
    arena_init(&arena, &budget);
    CLEANUP(buf_fini) struct buf name = {0};
    CLEANUP(buf_fini) struct buf value = {0};
    struct json *j = json_new_object();
    struct tsdb_labels all = tsdb_labels_with_external(m->external, external, &arena);
    for (size_t i = 0; i < all.len; i++) {
        buf_clear(&name);
        buf_clear(&value);
        buf_put(&name, all.at[i].name);
        buf_put(&value, all.at[i].value);
        json_set_text(j, buf_text(&name), buf_text(&value));
    }
    return j;
}

static struct json *
file_of(const struct tsdb_meta_file *file)
{
    struct json *j = json_new_object();
    json_set_text(j, "rel_path", file->rel_path);
    if (file->size >= 0)
        json_set_i64(j, "size_bytes", file->size);
    if (file->sha256 != NULL) {
        struct json *hash = json_new_object();
        json_set_text(hash, "hashFunc", TSDB_META_SHA256);
        json_set_text(hash, "value", file->sha256);
        json_set(j, "hash", &hash);
    }
    return j;
}

static int
by_path(const void *a, const void *b)
{
    const struct tsdb_meta_file *x = a, *y = b;
    return strcmp(x->rel_path, y->rel_path);
}

static void
set_files(struct json *section, const struct tsdb_meta_thanos *thanos)
{
    static const char chunks[] = TSDB_BLOCK_PATH_CHUNKS "/";
    size_t count = thanos->file_count + 1;
    CLEANUP(xfree) struct tsdb_meta_file *sorted = xcalloc(count, sizeof *sorted);
    for (size_t i = 0; i < thanos->file_count; i++)
        sorted[i] = thanos->files[i];
    sorted[count - 1] =
        (struct tsdb_meta_file){.rel_path = TSDB_BLOCK_PATH_META, .size = -1};
    qsort(sorted, count, sizeof *sorted, by_path);

    struct json *files = json_new_array();
    struct json *segments = json_new_array();
    for (size_t i = 0; i < count; i++) {
        struct json *file = file_of(&sorted[i]);
        json_append(files, &file);
        if (strncmp(sorted[i].rel_path, chunks, sizeof chunks - 1) == 0)
            json_append_text(segments, sorted[i].rel_path + sizeof chunks - 1);
    }
    json_set(section, "segment_files", &segments);
    json_set(section, "files", &files);
}

static void
set_upload_time(struct json *section, int64_t upload_time_ns)
{
    enum { NS_PER_S = 1000000000 };
    time_t seconds = upload_time_ns / NS_PER_S;
    struct tm utc;
    char date[sizeof "9999-12-31T23:59:59"];
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    CLEANUP(xfree)
    char *text = xasprintf("%s.%09dZ", date, (int)(upload_time_ns % NS_PER_S));
    json_set_text(section, "upload_time", text);
}

static int
by_id(const void *a, const void *b)
{
    return tsdb_ulid_cmp(a, b);
}

/* Each once, in order. */
static void
add_sources(struct json *tree, const struct tsdb_meta *m,
            const struct tsdb_meta_thanos *thanos)
{
    size_t count = m->source_count + thanos->source_count;
    struct json *compaction = json_get(tree, "compaction");
    if (thanos->source_count == 0 || compaction == NULL)
        return;
    CLEANUP(xfree) struct tsdb_ulid *all = xcalloc(count, sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] =
            i < m->source_count ? m->sources[i] : thanos->sources[i - m->source_count];
    qsort(all, count, sizeof *all, by_id);
    struct json *sources = json_new_array();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || tsdb_ulid_cmp(&all[i], &all[i - 1]) != 0)
            json_append_text(sources, tsdb_ulid_print(&all[i]).text);
    json_set(compaction, "sources", &sources);
}

/* The "thanos" member of tree, made if it is not there. */
static struct json *
section_of(struct json *tree)
{
    if (json_get(tree, "thanos") == NULL) {
        struct json *section = json_new_object();
        json_set(tree, "thanos", &section);
    }
    return json_get(tree, "thanos");
}

bool
tsdb_meta_print_with_thanos(const struct tsdb_meta *m,
                            const struct tsdb_meta_thanos *thanos, struct buf *out,
                            struct err *err)
{
    if (m->external.len + thanos->external.len == 0)
        return err_set(err, ERR_INVALID, "block without external labels");
    CLEANUP(json_free) struct json *tree = NULL;
    if (!copy_tree(m, &tree, err))
        return false;
    struct json *section = section_of(tree);
    struct json *labels = labels_of(m, thanos->external);
    struct json *downsample = json_new_object();
    struct json *index_stats = json_new_object();
    json_set_i64(downsample, "resolution", 0);
    json_set_i64(section, "version", TSDB_META_VERSION);
    json_set(section, "labels", &labels);
    json_set(section, "downsample", &downsample);
    json_set_text(section, "source", thanos->source);
    set_files(section, thanos);
    json_set(section, "index_stats", &index_stats);
    set_upload_time(section, thanos->upload_time_ns);
    add_sources(tree, m, thanos);
    json_print(tree, -1, out);
    return buf_ok(out, err);
}
