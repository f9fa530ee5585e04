/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/meta_difference.h"

#include <string.h>

static const struct tsdb_meta_file *
find_file(const struct tsdb_meta *m, const char *rel_path)
{
    for (size_t i = 0; i < m->file_count; i++)
        if (strcmp(m->files[i].rel_path, rel_path) == 0)
            return &m->files[i];
    return NULL;
}

/* Metas of old writers list no files; their objects' sizes are compared anyway. */
static bool
same_files(const struct tsdb_meta *theirs, const struct tsdb_meta *ours)
{
    if (theirs->file_count == 0)
        return true;
    if (theirs->file_count != ours->file_count)
        return false;
    for (size_t i = 0; i < ours->file_count; i++) {
        const struct tsdb_meta_file *file = find_file(theirs, ours->files[i].rel_path);
        if (file == NULL || file->size != ours->files[i].size)
            return false;
    }
    return true;
}

static bool
has_source(const struct tsdb_meta *m, const struct tsdb_ulid *id)
{
    for (size_t i = 0; i < m->source_count; i++)
        if (tsdb_ulid_cmp(&m->sources[i], id) == 0)
            return true;
    return false;
}

/* Theirs may have more: flushed blocks that it replaces, which we have forgotten. */
static bool
have_same_sources(const struct tsdb_meta *theirs, const struct tsdb_meta *ours)
{
    for (size_t i = 0; i < ours->source_count; i++)
        if (!has_source(theirs, &ours->sources[i]))
            return false;
    return true;
}

const char *
sidecar_meta_difference(const struct tsdb_meta *theirs, const struct tsdb_meta *ours)
{
    if (tsdb_ulid_cmp(&theirs->ulid, &ours->ulid) != 0)
        return "id";
    if (theirs->mint_ms != ours->mint_ms || theirs->maxt_ms != ours->maxt_ms)
        return "time range";
    if (theirs->num_samples != ours->num_samples ||
        theirs->num_series != ours->num_series ||
        theirs->num_chunks != ours->num_chunks)
        return "statistics";
    if (theirs->level != ours->level || !have_same_sources(theirs, ours))
        return "compaction";
    if (theirs->resolution_ms != ours->resolution_ms)
        return "resolution";
    if (tsdb_labels_cmp(theirs->external, ours->external) != 0)
        return "external labels";
    return same_files(theirs, ours) ? NULL : "files";
}
