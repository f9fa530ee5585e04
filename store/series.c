/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series.h"

bool
store_series_name(struct tsdb_labels labels, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print(labels, &text);
    return err_wrap(err, "series %.100s", buf_text(&text));
}

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

static bool
is_same_place(struct bytes a, struct bytes b)
{
    return a.at == b.at && a.len == b.len;
}

/* before, of which copied is the copy, may have bytes of from at the same places. */
static bool
copy_shared(struct tsdb_labels *to, struct tsdb_labels from, struct tsdb_labels before,
            struct tsdb_labels copied, struct arena *arena)
{
    struct tsdb_label *at = arena_alloc(arena, from.len * sizeof *at);
    for (size_t i = 0; at != NULL && i < from.len; i++) {
        const struct tsdb_label *l = &from.at[i];
        bool has = i < before.len;
        at[i].name = has && is_same_place(l->name, before.at[i].name)
                         ? copied.at[i].name
                         : arena_copy(arena, l->name);
        at[i].value = has && is_same_place(l->value, before.at[i].value)
                          ? copied.at[i].value
                          : arena_copy(arena, l->value);
    }
    *to = (struct tsdb_labels){at, from.len};
    return at != NULL;
}

bool
store_entries_copy_labels(struct store_entry *to, const struct store_entry *from,
                          size_t count, struct arena *arena, struct err *err)
{
    struct tsdb_labels before = {0}, copied = {0};
    for (size_t i = 0; i < count; i++) {
        to[i] = (struct store_entry){.chunk_count = from[i].chunk_count};
        if (!copy_shared(&to[i].labels, from[i].labels, before, copied, arena))
            return arena_ok(arena, err);
        before = from[i].labels;
        copied = to[i].labels;
    }
    return arena_ok(arena, err);
}
