/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/labels.h"

#include <stdlib.h>

/* Longest value that a message shows in full. */
enum { PRINT_MAX = 128 };

static int
label_cmp(const struct tsdb_label *a, const struct tsdb_label *b)
{
    int order = bytes_cmp(a->name, b->name);
    return order != 0 ? order : bytes_cmp(a->value, b->value);
}

int
tsdb_labels_cmp(struct tsdb_labels a, struct tsdb_labels b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int order = label_cmp(&a.at[i], &b.at[i]);
        if (order != 0)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool
tsdb_labels_is_prefix(struct tsdb_labels a, struct tsdb_labels b)
{
    for (size_t i = 0; i < a.len; i++)
        if (i == b.len || label_cmp(&a.at[i], &b.at[i]) != 0)
            return false;
    return true;
}

struct bytes
tsdb_labels_get(struct tsdb_labels l, struct bytes name)
{
    for (size_t i = 0; i < l.len; i++)
        if (bytes_eq(l.at[i].name, name))
            return l.at[i].value;
    return (struct bytes){0};
}

struct tsdb_labels
tsdb_labels_with_external(struct tsdb_labels own, struct tsdb_labels external,
                          struct arena *arena)
{
    struct tsdb_label *at = arena_calloc(arena, own.len + external.len, sizeof *at);
    size_t len = 0;
    size_t i = 0;
    size_t k = 0;
    if (at == NULL)
        return (struct tsdb_labels){0};
    while (i < own.len || k < external.len) {
        int order = i == own.len        ? 1
                    : k == external.len ? -1
                                        : bytes_cmp(own.at[i].name, external.at[k].name);
        if (order < 0) {
            at[len++] = own.at[i++];
        } else {
            at[len++] = external.at[k++];
            i += order == 0;
        }
    }
    return (struct tsdb_labels){at, len};
}

static int
by_name(const void *a, const void *b)
{
    const struct tsdb_label *x = a;
    const struct tsdb_label *y = b;
    return bytes_cmp(x->name, y->name);
}

bool
tsdb_labels_sort(struct tsdb_label *at, size_t len)
{
    if (len > 1)
        qsort(at, len, sizeof *at, by_name);
    for (size_t i = 0; i < len; i++)
        if (at[i].name.len == 0 || (i > 0 && bytes_eq(at[i - 1].name, at[i].name)))
            return false;
    return true;
}

static bool
is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}

static void
print_quoted(struct bytes text, struct buf *out)
{
    size_t shown = text.len < PRINT_MAX ? text.len : PRINT_MAX;
    buf_put_u8(out, '"');
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = text.at[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_put_str(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_put_u8(out, c);
    }
    if (shown < text.len)
        buf_put_str(out, "...");
    buf_put_u8(out, '"');
}

void
tsdb_labels_print(struct tsdb_labels l, struct buf *out)
{
    buf_put_u8(out, '{');
    for (size_t i = 0; i < l.len; i++) {
        if (i > 0)
            buf_put_str(out, ", ");
        if (is_plain_name(l.at[i].name))
            buf_put(out, l.at[i].name);
        else
            print_quoted(l.at[i].name, out);
        buf_put_u8(out, '=');
        print_quoted(l.at[i].value, out);
    }
    buf_put_u8(out, '}');
}
