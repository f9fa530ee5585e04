/* SPDX-License-Identifier: Apache-2.0 */
/* Most expressions in dashboards are of this form, read from left to right and given up
 * at the first thing that does not fit:
 *
 *     expression  = alternative { "|" alternative } | alternative wildcard
 *     alternative = { text | "(" ["?:"] text { "|" text } ")" }
 *     wildcard    = ".*" | ".+"              (the dot matches a newline, too)
 *
 * An alternative stands for the words that its parts make in all combinations. */
#include "common/tsdb/expression_priv.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/utf8.h"

/* Words that one alternative may stand for; as in Prometheus. */
enum { MAX_COMBINATIONS = 256 };

struct words {
    struct bytes *at;
    size_t count;
    size_t cap;
};

struct parser {
    struct bytes rest;
    struct arena *arena;
    uint8_t *spare;    /* room for the texts: together not longer than the expression */
    struct words part; /* words of the text or group read last */
    struct words current; /* of the alternative so far */
    struct words product; /* of current and part, while it is made */
    struct words all;     /* of all alternatives before */
};

/* Room for cap words, of which w->count are kept. */
static bool
reserve(struct parser *p, struct words *w, size_t cap)
{
    if (cap <= w->cap)
        return true;
    struct bytes *moved = arena_calloc(p->arena, cap, sizeof *moved);
    if (moved == NULL)
        return false;
    if (w->count > 0)
        memcpy(moved, w->at, w->count * sizeof *moved);
    w->at = moved;
    w->cap = cap;
    return true;
}

static bool
push(struct parser *p, struct words *w, struct bytes word)
{
    if (w->count == w->cap && !reserve(p, w, w->cap == 0 ? 4 : 2 * w->cap))
        return false;
    w->at[w->count++] = word;
    return true;
}

static void
swap(struct words *a, struct words *b)
{
    struct words kept = *a;
    *a = *b;
    *b = kept;
}

static bool
is_special(uint8_t c)
{
    return strchr("\\.+*?()|[]{}^$", c) != NULL; /* 0 is special, too */
}

/* The next byte of the expression as it stands; 0 at the end. */
static uint8_t
peek(const struct parser *p)
{
    return p->rest.len > 0 ? p->rest.at[0] : 0;
}

static bool
skip(struct parser *p, struct bytes token)
{
    bool found = bytes_starts_with(p->rest, token);
    if (found)
        bytes_skip(&p->rest, token.len);
    return found;
}

/* Only escapes of special characters are taken: "\d" has a meaning of its own. */
static bool
parse_character(struct parser *p, uint8_t *c)
{
    bool escaped = skip(p, BYTES("\\"));
    *c = peek(p);
    if (p->rest.len == 0 || is_special(*c) != escaped)
        return false;
    bytes_skip(&p->rest, 1);
    return true;
}

/* A text, possibly empty, becomes one more word of part. */
static bool
parse_text(struct parser *p)
{
    struct bytes word = {p->spare, 0};
    while (p->rest.len > 0 && (!is_special(peek(p)) || peek(p) == '\\')) {
        if (!parse_character(p, p->spare))
            return false;
        p->spare++;
        word.len++;
    }
    return push(p, &p->part, word);
}

static bool
parse_group(struct parser *p)
{
    skip(p, BYTES("?:"));
    do
        if (!parse_text(p))
            return false;
    while (skip(p, BYTES("|")));
    return skip(p, BYTES(")"));
}

static bool
join(struct parser *p, struct bytes a, struct bytes b)
{
    uint8_t *to = arena_alloc(p->arena, a.len + b.len);
    if (to == NULL)
        return false;
    if (a.len > 0)
        memcpy(to, a.at, a.len);
    if (b.len > 0)
        memcpy(to + a.len, b.at, b.len);
    return push(p, &p->product, bytes_of(to, a.len + b.len));
}

/* current becomes each of its words followed by each word of part. */
static bool
combine(struct parser *p)
{
    if (p->current.count == 1 && p->current.at[0].len == 0) {
        swap(&p->current, &p->part);
        return true;
    }
    if (p->current.count > MAX_COMBINATIONS / p->part.count)
        return false;
    p->product.count = 0;
    if (!reserve(p, &p->product, p->current.count * p->part.count))
        return false;
    for (size_t i = 0; i < p->current.count; i++)
        for (size_t k = 0; k < p->part.count; k++)
            if (!join(p, p->current.at[i], p->part.at[k]))
                return false;
    swap(&p->current, &p->product);
    return true;
}

static bool
ends_alternative(const struct parser *p)
{
    return p->rest.len == 0 || peek(p) == '|' || peek(p) == '.';
}

static bool
parse_alternative(struct parser *p)
{
    p->current.count = 0;
    if (!push(p, &p->current, (struct bytes){0}))
        return false;
    while (!ends_alternative(p)) {
        size_t before = p->rest.len;
        p->part.count = 0;
        bool parsed = skip(p, BYTES("(")) ? parse_group(p) : parse_text(p);
        if (!parsed || p->rest.len == before || !combine(p))
            return false;
    }
    return true;
}

/* all becomes all words and those of current. */
static bool
collect(struct parser *p)
{
    if (p->all.count == 0) {
        swap(&p->all, &p->current);
        return true;
    }
    for (size_t i = 0; i < p->current.count; i++)
        if (!push(p, &p->all, p->current.at[i]))
            return false;
    return true;
}

static bool
parse_alternatives(struct parser *p)
{
    do
        if (!parse_alternative(p) || !collect(p))
            return false;
    while (skip(p, BYTES("|")));
    return true;
}

static int
by_bytes(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    return bytes_cmp(*x, *y);
}

static struct tsdb_expression
set_of(struct words *w)
{
    size_t unique = 1;
    qsort(w->at, w->count, sizeof *w->at, by_bytes);
    for (size_t i = 1; i < w->count; i++)
        if (!bytes_eq(w->at[i], w->at[unique - 1]))
            w->at[unique++] = w->at[i];
    return (struct tsdb_expression){
        .shape = TSDB_SHAPE_SET, .set = w->at, .count = unique};
}

static struct tsdb_expression
wildcard_of(struct bytes prefix, bool demands_more)
{
    struct tsdb_expression e = {.shape = TSDB_SHAPE_PREFIX,
                                .prefix = prefix,
                                .min_len = prefix.len + demands_more};
    if (prefix.len == 0)
        e.shape = demands_more ? TSDB_SHAPE_NONEMPTY : TSDB_SHAPE_ALL;
    return e;
}

/* A value with a broken character is matched as if it held U+FFFD: such texts are not
 * equal byte by byte. */
static bool
is_compared_by_bytes(struct bytes text)
{
    return utf8_is_valid(text) &&
           (text.len == 0 || memmem(text.at, text.len, UTF8_REPLACEMENT,
                                    sizeof UTF8_REPLACEMENT - 1) == NULL);
}

bool
tsdb_expression_recognise(struct tsdb_expression *e, struct bytes text,
                          struct arena *arena)
{
    struct parser p = {.rest = text, .arena = arena};
    p.spare = arena_alloc(arena, text.len);
    if (p.spare == NULL || !is_compared_by_bytes(text) || !parse_alternatives(&p))
        return false;
    if (p.rest.len == 0)
        *e = set_of(&p.all);
    else if (p.all.count == 1 && bytes_eq(p.rest, BYTES(".*")))
        *e = wildcard_of(p.all.at[0], false);
    else if (p.all.count == 1 && bytes_eq(p.rest, BYTES(".+")))
        *e = wildcard_of(p.all.at[0], true);
    else
        return false;
    return true;
}

bool
tsdb_expression_matches(const struct tsdb_expression *e, struct bytes text)
{
    switch (e->shape) {
    case TSDB_SHAPE_SET:
        return bsearch(&text, e->set, e->count, sizeof text, by_bytes) != NULL;
    case TSDB_SHAPE_PREFIX:
        return text.len >= e->min_len && bytes_starts_with(text, e->prefix);
    case TSDB_SHAPE_NONEMPTY:
        return text.len > 0;
    case TSDB_SHAPE_ALL:
        return true;
    case TSDB_SHAPE_ANY:
        break;
    }
    check_failed("expression was recognised", __FILE__, __LINE__);
}
