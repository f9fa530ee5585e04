/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_meta.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* The number of a source is kept in snapshots: new ones go to the end. */
static const struct {
    const char *name;
    bool is_rewrite;
} SOURCES[] = {
    {"", false},
    {"sidecar", false},
    {"receive", false},
    {"compactor", true},
    {"compactor.repair", true},
    {"ruler", false},
    {"bucket.repair", true},
    {"bucket.rewrite", false},
};

static uint8_t
source_of(const char *name)
{
    for (size_t i = 1; name != NULL && i < ARRAY_LEN(SOURCES); i++)
        if (strcmp(name, SOURCES[i].name) == 0)
            return (uint8_t)i;
    return 0;
}

const char *
store_block_meta_source(const struct store_block_meta *m)
{
    return SOURCES[m->source < ARRAY_LEN(SOURCES) ? m->source : 0].name;
}

static struct bytes
copy_text(uint8_t **at, struct bytes text)
{
    struct bytes copy = {*at, text.len};
    if (text.len > 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return copy;
}

static size_t
text_size(struct tsdb_labels labels)
{
    size_t size = 0;
    for (size_t i = 0; i < labels.len; i++)
        size += labels.at[i].name.len + labels.at[i].value.len;
    return size;
}

/* The storage is one piece: labels, then sources, then texts. */
void
store_block_meta_copy(struct store_block_meta *m, const struct store_block_meta *from)
{
    size_t labels_size = from->external.len * sizeof(struct tsdb_label);
    size_t sources_size = from->source_count * sizeof(struct tsdb_ulid);
    struct tsdb_label *labels =
        xcalloc(1, labels_size + sources_size + text_size(from->external) + 1);
    struct tsdb_ulid *sources = (struct tsdb_ulid *)(labels + from->external.len);
    uint8_t *texts = (uint8_t *)(sources + from->source_count);
    for (size_t i = 0; i < from->external.len; i++) {
        labels[i].name = copy_text(&texts, from->external.at[i].name);
        labels[i].value = copy_text(&texts, from->external.at[i].value);
    }
    if (sources_size > 0)
        memcpy(sources, from->sources, sources_size);
    *m = *from;
    m->external.at = labels;
    m->sources = sources;
    m->storage = labels;
}

static int
by_ulid(const void *a, const void *b)
{
    return tsdb_ulid_cmp(a, b);
}

static uint32_t
level_of(int64_t level)
{
    return (uint32_t)NUM_MIN(NUM_MAX(level, INT64_C(0)), (int64_t)UINT32_MAX);
}

static uint64_t
count_of(int64_t count)
{
    return (uint64_t)NUM_MAX(count, INT64_C(0));
}

void
store_block_meta_init(struct store_block_meta *m, const struct tsdb_meta *parsed)
{
    uint8_t source = source_of(parsed->source);
    const struct store_block_meta from = {.mint_ms = parsed->mint_ms,
                                          .maxt_ms = parsed->maxt_ms,
                                          .resolution_ms = parsed->resolution_ms,
                                          .upload_time_ms = parsed->upload_time_ms,
                                          .is_rewrite = SOURCES[source].is_rewrite,
                                          .source = source,
                                          .level = level_of(parsed->level),
                                          .series_count = count_of(parsed->num_series),
                                          .sample_count = count_of(parsed->num_samples),
                                          .chunk_count = count_of(parsed->num_chunks),
                                          .external = parsed->external,
                                          .source_count = parsed->source_count,
                                          .sources = parsed->sources};
    store_block_meta_copy(m, &from);
    if (m->source_count > 0)
        qsort((struct tsdb_label *)m->storage + m->external.len, m->source_count,
              sizeof *m->sources, by_ulid);
}

void
store_block_meta_fini(struct store_block_meta *m)
{
    free(m->storage);
    *m = (struct store_block_meta){0};
}
