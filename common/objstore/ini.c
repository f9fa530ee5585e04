/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/ini.h"

#include <strings.h>

struct line {
    enum { BLANK, SECTION, SETTING, CONTINUATION, BROKEN } kind;
    struct bytes name; /* of a section or a key */
    struct bytes value;
};

struct reader {
    struct bytes rest;
    unsigned number;   /* of the last line */
    bool below_nested; /* the last key had no value */
};

static bool
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes
trimmed(struct bytes b)
{
    while (b.len > 0 && is_blank(b.at[0]))
        bytes_skip(&b, 1);
    while (b.len > 0 && is_blank(b.at[b.len - 1]))
        b.len--;
    return b;
}

static bool
has_control(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if ((b.at[i] < ' ' && b.at[i] != '\t') || b.at[i] == 0x7f)
            return true;
    return false;
}

static bool
begins_comment(uint8_t c)
{
    return c == '#' || c == ';';
}

static struct bytes
without_comment(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (begins_comment(b.at[i]) && (i == 0 || is_blank(b.at[i - 1])))
            b.len = i;
    return trimmed(b);
}

static struct bytes
without_quotes(struct bytes b)
{
    if (b.len >= 2 && (b.at[0] == '"' || b.at[0] == '\'') && b.at[b.len - 1] == b.at[0])
        return bytes_of(b.at + 1, b.len - 2);
    return b;
}

static struct line
parse_line(struct reader *r, struct bytes raw)
{
    struct bytes text = without_comment(raw);
    if (has_control(raw))
        return (struct line){.kind = BROKEN};
    if (text.len == 0)
        return (struct line){.kind = BLANK};
    if (is_blank(raw.at[0]) && r->below_nested)
        return (struct line){.kind = CONTINUATION};
    if (text.at[0] == '[' && text.at[text.len - 1] == ']') {
        r->below_nested = false;
        return (struct line){SECTION, trimmed(bytes_of(text.at + 1, text.len - 2)),
                             (struct bytes){0}};
    }
    const uint8_t *equals = memchr(text.at, '=', text.len);
    if (equals == NULL || equals == text.at)
        return (struct line){.kind = BROKEN};
    size_t name_len = (size_t)(equals - text.at);
    struct bytes value = trimmed(bytes_of(equals + 1, text.len - name_len - 1));
    r->below_nested = value.len == 0;
    return (struct line){SETTING, trimmed(bytes_of(text.at, name_len)),
                         without_quotes(value)};
}

/* False at the end of the text. */
static bool
next_line(struct reader *r, struct line *line)
{
    if (r->rest.len == 0)
        return false;
    const uint8_t *end = memchr(r->rest.at, '\n', r->rest.len);
    struct bytes raw = r->rest;
    if (end != NULL)
        raw.len = (size_t)(end - raw.at);
    bytes_skip(&r->rest, raw.len + (end != NULL));
    if (raw.len > 0 && raw.at[raw.len - 1] == '\r')
        raw.len--;
    r->number++;
    *line = parse_line(r, raw);
    return true;
}

/* Editors of another system put a byte order mark in front. */
static struct reader
reader_of(struct bytes text)
{
    if (bytes_starts_with(text, BYTES("\xef\xbb\xbf")))
        bytes_skip(&text, 3);
    return (struct reader){.rest = text};
}

static bool
is_key(struct bytes name, const char *key)
{
    return name.len == strlen(key) &&
           strncasecmp((const char *)name.at, key, name.len) == 0;
}

bool
objstore_ini_get(struct bytes text, const char *section, const char *key,
                 struct bytes *value, struct err *err)
{
    struct reader r = reader_of(text);
    struct bytes found = {0};
    struct line line;
    bool inside = false;
    while (next_line(&r, &line)) {
        if (line.kind == BROKEN)
            return err_set(err, ERR_INVALID,
                           "line %u is neither [section] nor key = value", r.number);
        if (line.kind == SECTION)
            inside = bytes_eq(line.name, bytes_of_str(section));
        else if (line.kind == SETTING && inside && is_key(line.name, key))
            found = line.value;
    }
    *value = found;
    return true;
}

bool
objstore_ini_has(struct bytes text, const char *section)
{
    struct reader r = reader_of(text);
    struct line line;
    while (next_line(&r, &line))
        if (line.kind == SECTION && bytes_eq(line.name, bytes_of_str(section)))
            return true;
    return false;
}
