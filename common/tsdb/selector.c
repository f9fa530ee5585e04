/* SPDX-License-Identifier: Apache-2.0 */
/* Format: Prometheus promql/parser/lex.go and generated_parser.y, vector_selector;
 * util/strutil/quote.go for strings. */
#include "common/tsdb/selector.h"

#include "common/base/num.h"
#include "common/base/utf8.h"

struct parser {
    struct bytes whole;
    struct bytes rest;
    struct arena *arena;
    struct tsdb_selector_term *terms;
    size_t count;
    size_t cap;
};

/* An error at where the rest begins. */
static bool
refuse(const struct parser *p, struct err *err, const char *what)
{
    size_t line = 1, column = 1;
    size_t at = p->whole.len - p->rest.len;
    for (size_t i = 0; i < at; i++) {
        bool is_newline = p->whole.at[i] == '\n';
        line += is_newline;
        column = is_newline ? 1 : column + 1;
    }
    return err_set(err, ERR_INVALID, "%zu:%zu: parse error: %s", line, column, what);
}

static int
peek(const struct parser *p)
{
    return p->rest.len > 0 ? p->rest.at[0] : -1;
}

static bool
skip_if(struct parser *p, struct bytes token)
{
    bool is = bytes_starts_with(p->rest, token);
    if (is)
        bytes_skip(&p->rest, token.len);
    return is;
}

static void
skip_blanks(struct parser *p)
{
    for (;;) {
        int c = peek(p);
        if (c == '#')
            while (p->rest.len > 0 && p->rest.at[0] != '\n')
                bytes_skip(&p->rest, 1);
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            bytes_skip(&p->rest, 1);
        else
            return;
    }
}

static bool
is_letter(int c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A name of letters, digits and, in a metric name, colons; empty if none begins here.
 */
static struct bytes
take_name(struct parser *p, bool colons)
{
    struct bytes from = p->rest;
    for (;;) {
        int c = peek(p);
        bool digit = c >= '0' && c <= '9' && p->rest.len < from.len;
        if (!is_letter(c) && !digit && !(colons && c == ':'))
            return bytes_of(from.at, from.len - p->rest.len);
        bytes_skip(&p->rest, 1);
    }
}

static int
digit_of(uint8_t c)
{
    uint8_t lower = c | 0x20;
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

/* digits digits of a number; false if there are fewer, with what was seen passed over.
 */
static bool
take_number(struct parser *p, unsigned digits, int base, uint32_t *value)
{
    *value = 0;
    for (; digits > 0; digits--) {
        int digit = p->rest.len > 0 ? digit_of(p->rest.at[0]) : base;
        if (digit >= base)
            return false;
        *value = *value * (uint32_t)base + (uint32_t)digit;
        bytes_skip(&p->rest, 1);
    }
    return true;
}

/* The character of an escape of one letter, 0 for another. */
static uint8_t
simple_escape(uint8_t c, uint8_t quote)
{
    static const char letters[] = "abfnrtv\\";
    static const char meanings[] = "\a\b\f\n\r\t\v\\";
    if (c == quote)
        return c;
    const char *found = c != 0 ? strchr(letters, c) : NULL;
    return found != NULL ? (uint8_t)meanings[found - letters] : 0;
}

/* Digits behind the letter of a numeric escape; 0: it is none. */
static unsigned
hex_digits(uint8_t c)
{
    return c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
}

static bool
take_numeric_escape(struct parser *p, uint8_t **to, struct err *err)
{
    unsigned digits = hex_digits(p->rest.at[0]);
    uint32_t value;
    if (digits > 0)
        bytes_skip(&p->rest, 1);
    if (!take_number(p, digits > 0 ? digits : 3, digits > 0 ? 16 : 8, &value))
        return refuse(p, err, "unknown escape sequence");
    if (digits <= 2) {
        if (value > UINT8_MAX)
            return refuse(p, err, "octal escape above 255");
        *(*to)++ = (uint8_t)value;
        return true;
    }
    size_t len = utf8_put(*to, value);
    if (len == 0)
        return refuse(p, err, "escape sequence is an invalid Unicode code point");
    *to += len;
    return true;
}

/* What follows a backslash. An escape is at least as long as what it stands for. */
static bool
take_escape(struct parser *p, uint8_t quote, uint8_t **to, struct err *err)
{
    if (p->rest.len == 0)
        return refuse(p, err, "escape sequence not terminated");
    uint8_t simple = simple_escape(p->rest.at[0], quote);
    if (simple == 0)
        return take_numeric_escape(p, to, err);
    *(*to)++ = simple;
    bytes_skip(&p->rest, 1);
    return true;
}

/* Bytes up to the closing quote of a string, or to the end of the text. */
static size_t
string_len(struct bytes text, uint8_t quote)
{
    size_t len = 0;
    while (len < text.len && text.at[len] != quote)
        len += text.at[len] == '\\' && quote != '`' ? 2 : 1;
    return NUM_MIN(len, text.len);
}

/* The string whose opening quote is the next byte. */
static bool
take_string(struct parser *p, struct bytes *out, struct err *err)
{
    uint8_t quote = p->rest.at[0];
    bytes_skip(&p->rest, 1);
    uint8_t *text = arena_alloc(p->arena, string_len(p->rest, quote));
    if (text == NULL)
        return arena_ok(p->arena, err);
    uint8_t *to = text;
    for (;;) {
        int c = peek(p);
        if (c < 0 || (c == '\n' && quote != '`'))
            return refuse(p, err, "unterminated quoted string");
        bytes_skip(&p->rest, 1);
        if (c == quote)
            break;
        if (c != '\\' || quote == '`')
            *to++ = (uint8_t)c;
        else if (!take_escape(p, quote, &to, err))
            return false;
    }
    *out = bytes_of(text, (size_t)(to - text));
    return true;
}

static bool
is_quote(int c)
{
    return c == '"' || c == '\'' || c == '`';
}

static bool
push_term(struct parser *p, struct tsdb_selector_term term, struct err *err)
{
    struct tsdb_selector_term *at =
        arena_grow(p->arena, p->terms, p->count, &p->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(p->arena, err);
    p->terms = at;
    p->terms[p->count++] = term;
    return true;
}

/* name="value", "name"="value", or "metric name" alone. */
static bool
take_matcher(struct parser *p, struct err *err)
{
    struct tsdb_selector_term term = {.type = TSDB_MATCH_EQ};
    bool is_quoted = is_quote(peek(p));
    if (is_quoted && !take_string(p, &term.name, err))
        return false;
    if (!is_quoted)
        term.name = take_name(p, false);
    if (term.name.len == 0)
        return refuse(p, err, "expected a label name or \"}\"");
    skip_blanks(p);
    if (!tsdb_matcher_take_operator(&p->rest, &term.type)) {
        if (!is_quoted)
            return refuse(p, err, "expected =, !=, =~ or !~");
        term.value = term.name;
        term.name = BYTES("__name__");
        return push_term(p, term, err);
    }
    skip_blanks(p);
    if (!is_quote(peek(p)))
        return refuse(p, err, "expected a string in quotes");
    return take_string(p, &term.value, err) && push_term(p, term, err);
}

/* What stands behind the opening brace, the closing one included. */
static bool
take_matchers(struct parser *p, struct err *err)
{
    skip_blanks(p);
    while (!skip_if(p, BYTES("}"))) {
        if (!take_matcher(p, err))
            return false;
        skip_blanks(p);
        if (!skip_if(p, BYTES(",")) && peek(p) != '}')
            return refuse(p, err, "expected \",\" or \"}\"");
        skip_blanks(p);
    }
    return true;
}

bool
tsdb_selector_parse(struct tsdb_selector *out, struct bytes text, struct arena *arena,
                    struct err *err)
{
    struct parser p = {.whole = text, .rest = text, .arena = arena};
    if (!utf8_is_valid(text))
        return err_set(err, ERR_INVALID, "parse error: the selector is not UTF-8");
    skip_blanks(&p);
    struct tsdb_selector_term name = {
        .type = TSDB_MATCH_EQ, .name = BYTES("__name__"), .value = take_name(&p, true)};
    if (name.value.len > 0 && !push_term(&p, name, err))
        return false;
    skip_blanks(&p);
    if (skip_if(&p, BYTES("{"))) {
        if (!take_matchers(&p, err))
            return false;
        skip_blanks(&p);
    } else if (name.value.len == 0) {
        return refuse(&p, err, "expected a metric name or \"{\"");
    }
    if (p.rest.len > 0)
        return refuse(&p, err, "unexpected text behind the selector");
    *out = (struct tsdb_selector){p.terms, p.count};
    return true;
}
