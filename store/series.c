/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series.h"

bool
store_labels_copy(struct tsdb_labels *to, struct tsdb_labels from, struct arena *arena,
                  struct err *err)
{
    struct tsdb_label *at = arena_calloc(arena, from.len, sizeof *at);
    for (size_t i = 0; at != NULL && i < from.len; i++) {
        at[i].name = arena_copy(arena, from.at[i].name);
        at[i].value = arena_copy(arena, from.at[i].value);
    }
    *to = (struct tsdb_labels){at, from.len};
    return arena_ok(arena, err);
}

bool
store_entry_copy(struct store_entry *to, const struct store_entry *from,
                 struct arena *arena, struct err *err)
{
    struct bytes raw = bytes_of(from->chunks, from->chunk_count * sizeof *from->chunks);
    uint8_t *chunks = arena_alloc(arena, raw.len);
    if (chunks == NULL)
        return arena_ok(arena, err);
    if (raw.len > 0)
        memcpy(chunks, raw.at, raw.len);
    to->chunks = (const struct tsdb_chunk_meta *)(const void *)chunks;
    to->chunk_count = from->chunk_count;
    return store_labels_copy(&to->labels, from->labels, arena, err);
}
