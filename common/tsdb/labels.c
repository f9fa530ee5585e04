/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/labels.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/utf8.h"

/* What a printed set may take: an error text holds 512 bytes. */
enum { PRINT_VALUE_BYTES = 64, PRINT_SET_BYTES = 300 };

enum { WORD = 8 };

/* Most labels that are compared are the same, and short: a call for each would cost
 * more than the comparison, and compilers make none of memcmp of a word. */
static bool
is_same(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    if (a.at == b.at)
        return true;
    if (a.len < WORD || a.len > 2 * WORD)
        return bytes_eq(a, b);
    size_t last = a.len - WORD; /* the second word may begin in the first */
    return memcmp(a.at, b.at, WORD) == 0 && memcmp(a.at + last, b.at + last, WORD) == 0;
}

static int
text_cmp(struct bytes a, struct bytes b)
{
    return is_same(a, b) ? 0 : bytes_cmp(a, b);
}

static int
pair_cmp(const struct tsdb_label *a, const struct tsdb_label *b)
{
    int order = text_cmp(a->name, b->name);
    return order != 0 ? order : text_cmp(a->value, b->value);
}

int
tsdb_labels_cmp(struct tsdb_labels a, struct tsdb_labels b)
{
    size_t len = NUM_MIN(a.len, b.len);
    for (size_t i = 0; i < len; i++) {
        int order = pair_cmp(&a.at[i], &b.at[i]);
        if (order != 0)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool
tsdb_labels_is_prefix(struct tsdb_labels a, struct tsdb_labels b)
{
    return a.len <= b.len && tsdb_labels_cmp(a, (struct tsdb_labels){b.at, a.len}) == 0;
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
    struct tsdb_label *to = arena_calloc(arena, own.len + external.len, sizeof *to);
    if (to == NULL)
        return (struct tsdb_labels){0};
    size_t n = 0, i = 0, j = 0;
    while (i < own.len || j < external.len) {
        int order = i == own.len ? 1
                    : j == external.len
                        ? -1
                        : bytes_cmp(own.at[i].name, external.at[j].name);
        to[n++] = order < 0 ? own.at[i] : external.at[j];
        i += order <= 0;
        j += order >= 0;
    }
    return (struct tsdb_labels){to, n};
}

static int
by_name(const void *a, const void *b)
{
    const struct tsdb_label *x = a, *y = b;
    return bytes_cmp(x->name, y->name);
}

bool
tsdb_labels_sort(struct tsdb_label *at, size_t len)
{
    if (len == 0)
        return true;
    qsort(at, len, sizeof *at, by_name);
    for (size_t i = 1; i < len; i++)
        if (bytes_eq(at[i - 1].name, at[i].name))
            return false;
    return at[0].name.len > 0;
}

static bool
is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i], letter = c | 0x20;
        bool digit = c >= '0' && c <= '9';
        if (!(letter >= 'a' && letter <= 'z') && c != '_' && !(digit && i > 0))
            return false;
    }
    return name.len > 0;
}

/* The character that text starts with, len bytes long (0: a broken byte), escaped. */
static void
print_character(const uint8_t *at, size_t len, struct buf *out)
{
    if (*at == '\n')
        buf_put_str(out, "\\n");
    else if (len == 0 || *at < 0x20 || *at == 0x7f)
        buf_printf(out, "\\x%02x", *at);
    else if (*at == '"' || *at == '\\')
        buf_printf(out, "\\%c", *at);
    else
        buf_put(out, bytes_of(at, len));
}

static void
print_quoted(struct bytes text, struct buf *out)
{
    size_t end = out->len + PRINT_VALUE_BYTES;
    buf_put_u8(out, '"');
    while (text.len > 0 && out->len < end) {
        size_t len = utf8_len(text);
        print_character(text.at, len, out);
        bytes_skip(&text, NUM_MAX(len, (size_t)1));
    }
    buf_put_str(out, text.len > 0 ? "...\"" : "\"");
}

void
tsdb_labels_print_pair(const struct tsdb_label *pair, const char *operator,
                       struct buf * out)
{
    if (is_plain_name(pair->name))
        buf_put(out, pair->name);
    else
        print_quoted(pair->name, out);
    buf_put_str(out, operator);
    print_quoted(pair->value, out);
}

void
tsdb_labels_print(struct tsdb_labels l, struct buf *out)
{
    size_t end = out->len + PRINT_SET_BYTES;
    buf_put_u8(out, '{');
    for (size_t i = 0; i < l.len; i++) {
        if (i > 0)
            buf_put_str(out, ", ");
        if (out->len > end) {
            buf_put_str(out, "...");
            break;
        }
        tsdb_labels_print_pair(&l.at[i], "=", out);
    }
    buf_put_u8(out, '}');
}

/* Read "1f600_", a number in hexadecimal with its end, off text. */
static bool
take_code(struct bytes *text, uint32_t *point)
{
    enum { MOST_DIGITS = 6 }; /* of U+10FFFF */
    *point = 0;
    for (size_t i = 0; i < text->len && i <= MOST_DIGITS; i++) {
        uint8_t c = text->at[i], lower = c | 0x20;
        bool is_digit = c >= '0' && c <= '9';
        if (c == '_') {
            bytes_skip(text, i + 1);
            return true;
        }
        if (!is_digit && (lower < 'a' || lower > 'f'))
            return false;
        *point = *point << 4 | (uint32_t)(is_digit ? c - '0' : lower - 'a' + 10);
    }
    return false;
}

struct bytes
tsdb_labels_unescape_name(struct bytes name, struct arena *arena)
{
    struct bytes rest = name;
    if (!bytes_starts_with(name, BYTES("U__")))
        return name;
    bytes_skip(&rest, 3);
    uint8_t *text = arena_alloc(arena, rest.len), *to = text;
    if (text == NULL)
        return name;
    while (rest.len > 0) {
        uint8_t c = rest.at[0];
        uint32_t point;
        bytes_skip(&rest, 1);
        if (c != '_') {
            *to++ = c;
        } else if (bytes_starts_with(rest, BYTES("_"))) {
            *to++ = '_';
            bytes_skip(&rest, 1);
        } else {
            size_t len = take_code(&rest, &point) ? utf8_put(to, point) : 0;
            if (len == 0)
                return name;
            to += len;
        }
    }
    return bytes_of(text, (size_t)(to - text));
}
