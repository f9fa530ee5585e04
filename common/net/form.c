/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/form.h"

static int
digit_of(uint8_t c)
{
    uint8_t lower = c | 0x20;
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte of an escape whose "%" is the first of text. */
static bool
decode_escape(struct bytes text, uint8_t *out)
{
    int high = text.len > 2 ? digit_of(text.at[1]) : -1;
    int low = text.len > 2 ? digit_of(text.at[2]) : -1;
    if (high < 0 || low < 0)
        return false;
    *out = (uint8_t)(high << 4 | low);
    return true;
}

static bool
decode(struct bytes text, bool plus_is_blank, uint8_t *to, size_t *len)
{
    size_t n = 0;
    while (text.len > 0) {
        size_t taken = 1;
        to[n] = text.at[0];
        if (text.at[0] == '+' && plus_is_blank)
            to[n] = ' ';
        if (text.at[0] == '%') {
            taken = 3;
            if (!decode_escape(text, &to[n]))
                return false;
        }
        bytes_skip(&text, taken);
        n++;
    }
    *len = n;
    return true;
}

/* Cut text at the first separator: returns what stands before it, text becomes what
 * stands behind. */
static struct bytes
cut(struct bytes *text, char separator)
{
    const uint8_t *found =
        text->len > 0 ? memchr(text->at, separator, text->len) : NULL;
    struct bytes before = *text;
    if (found == NULL) {
        bytes_skip(text, text->len);
        return before;
    }
    before.len = (size_t)(found - text->at);
    bytes_skip(text, before.len + 1);
    return before;
}

static bool
decode_value(struct bytes text, struct arena *arena, struct bytes *out, struct err *err)
{
    uint8_t *to = arena_alloc(arena, text.len + 1);
    size_t len;
    if (to == NULL)
        return arena_ok(arena, err);
    if (!decode(text, true, to, &len))
        return err_set(err, ERR_INVALID, "broken percent-encoding in \"%.*s\"",
                       BYTES_FMT(text));
    to[len] = 0;
    *out = bytes_of(to, len);
    return true;
}

bool
net_form_parse(struct net_form *f, struct bytes text, struct arena *arena,
               struct err *err)
{
    while (text.len > 0) {
        struct bytes value = cut(&text, '&');
        if (value.len == 0)
            continue;
        if (memchr(value.at, ';', value.len) != NULL)
            return err_set(err, ERR_INVALID, "a semicolon between arguments");
        struct bytes name = cut(&value, '=');
        if (f->count == NET_FORM_MAX_PAIRS)
            return err_set(err, ERR_INVALID, "more than %d arguments",
                           NET_FORM_MAX_PAIRS);
        struct net_form_pair *at =
            arena_grow(arena, f->at, f->count, &f->cap, sizeof *at);
        if (at == NULL)
            return arena_ok(arena, err);
        f->at = at;
        if (!decode_value(name, arena, &at[f->count].name, err) ||
            !decode_value(value, arena, &at[f->count].value, err))
            return false;
        f->count++;
    }
    return true;
}

bool
net_form_get(const struct net_form *f, struct bytes name, struct bytes *value)
{
    for (size_t i = 0; i < f->count; i++)
        if (bytes_eq(f->at[i].name, name)) {
            *value = f->at[i].value;
            return true;
        }
    return false;
}

bool
net_form_decode_path(struct bytes part, uint8_t *to, size_t *len)
{
    return decode(part, false, to, len) && memchr(to, 0, *len) == NULL;
}
