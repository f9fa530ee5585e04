/* SPDX-License-Identifier: Apache-2.0 */
#include "store/label_order.h"

static bool
refuse_order(struct tsdb_labels before, struct tsdb_labels after, struct err *err)
{
    struct buf text;
    buf_init(&text, NULL);
    tsdb_labels_print(after, &text);
    buf_put_str(&text, " stands behind ");
    tsdb_labels_print(before, &text);
    err_set(err, ERR_CORRUPT, "series out of order: %s", buf_text(&text));
    buf_fini(&text);
    return false;
}

static bool
append(struct store_label_order *o, struct store_entries *out,
       const struct store_entry *entry, struct err *err)
{
    if (o->has_last && tsdb_labels_cmp(o->last, entry->labels) >= 0)
        return refuse_order(o->last, entry->labels, err);
    o->has_last = true;
    o->last = entry->labels;
    out->at[out->count++] = *entry;
    return true;
}

bool
store_label_order_push(struct store_label_order *o, const struct store_entry *entry,
                       struct arena *arena, struct store_entries *out, struct err *err)
{
    while (o->depth > 0) {
        const struct store_entry *top = &o->waiting[o->depth - 1];
        if (tsdb_labels_cmp(entry->labels, top->labels) < 0)
            break;
        if (!append(o, out, top, err))
            return false;
        o->depth--;
    }
    /* Only prefixes wait: more of them than labels means that the block is not sorted.
     */
    if (o->depth > entry->labels.len)
        return refuse_order(o->waiting[o->depth - 1].labels, entry->labels, err);
    struct store_entry *waiting =
        arena_grow(arena, o->waiting, o->depth, &o->cap, sizeof *waiting);
    if (waiting == NULL)
        return arena_ok(arena, err);
    o->waiting = waiting;
    o->waiting[o->depth++] = *entry;
    return true;
}

bool
store_label_order_flush(struct store_label_order *o, struct store_entries *out,
                        struct err *err)
{
    for (; o->depth > 0; o->depth--)
        if (!append(o, out, &o->waiting[o->depth - 1], err))
            return false;
    return true;
}

bool
store_label_order_move(struct store_label_order *o, struct arena *to, struct err *err)
{
    struct store_entry *moved = arena_calloc(to, o->cap, sizeof *moved);
    if (moved == NULL)
        return arena_ok(to, err);
    for (size_t i = 0; i < o->depth; i++)
        if (!store_entry_copy(&moved[i], &o->waiting[i], to, err))
            return false;
    o->waiting = moved;
    return !o->has_last || store_labels_copy(&o->last, o->last, to, err);
}
