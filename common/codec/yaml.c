/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <yaml.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/quantity.h"

enum { MAX_DEPTH = 16 };

/* Builds a tree out of events. Only the innermost open container grows; so the pointers
 * to the outer ones, which lie in their parents' arrays, stay valid. */
struct builder {
    struct yaml *root;            /* NULL before the first node */
    struct yaml *open[MAX_DEPTH]; /* containers around the next node */
    size_t depth;
    char *key; /* of a member whose value comes next, or NULL */
    int key_line;
    bool has_document;
    bool done;
};

static void
free_content(struct yaml *y)
{
    for (size_t i = 0; i < y->count; i++) {
        free_content(&y->children[i]); /* at most MAX_DEPTH deep */
        if (y->kind == YAML_MAP)
            free(y->keys[i]);
    }
    if (y->text != NULL)
        digest_cleanse(y->text, strlen(y->text));
    free(y->children);
    free(y->keys);
    free(y->text);
}

void
yaml_tree_free(struct yaml **y)
{
    struct yaml *root = TAKE(*y);
    if (root == NULL)
        return;
    free_content(root);
    free(root);
}

static void
builder_fini(struct builder *b)
{
    free(b->key);
    yaml_tree_free(&b->root);
}

static int
line_at(yaml_mark_t mark)
{
    return (int)NUM_MIN(mark.line + 1, (size_t)INT_MAX);
}

static int
line_of(const yaml_event_t *event)
{
    return line_at(event->start_mark);
}

static struct yaml *
container_of_next(const struct builder *b)
{
    return b->depth > 0 ? b->open[b->depth - 1] : NULL;
}

static bool
awaits_key(const struct builder *b)
{
    const struct yaml *container = container_of_next(b);
    return container != NULL && container->kind == YAML_MAP && b->key == NULL;
}

/* A zeroed place behind the last child; the arrays have the next power of two of
 * places. */
static struct yaml *
add_child(struct yaml *container, char *key)
{
    size_t n = container->count;
    if ((n & (n - 1)) == 0) {
        size_t cap = n > 0 ? 2 * n : 1;
        container->children =
            xrealloc(container->children, cap * sizeof *container->children);
        if (container->kind == YAML_MAP)
            container->keys = xrealloc(container->keys, cap * sizeof *container->keys);
    }
    if (container->kind == YAML_MAP)
        container->keys[n] = key;
    container->count++;
    return &container->children[n];
}

/* Put a node where the events are, with the key that waits for it. */
static struct yaml *
add_node(struct builder *b, struct yaml node)
{
    struct yaml *container = container_of_next(b);
    struct yaml *at;
    if (b->key != NULL)
        node.line = b->key_line;
    if (container == NULL)
        at = b->root = xcalloc(1, sizeof *b->root);
    else
        at = add_child(container, TAKE(b->key));
    *at = node;
    return at;
}

static bool
is_null(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (strcmp(text, nulls[i]) == 0)
            return true;
    return false;
}

static bool
set_key(struct builder *b, const char *key, int line, struct err *err)
{
    if (yaml_get(container_of_next(b), key) != NULL)
        return err_set(err, ERR_INVALID, "line %d: key \"%s\" is there already", line,
                       key);
    b->key = xstrdup(key);
    b->key_line = line;
    return true;
}

static bool
on_scalar(struct builder *b, const yaml_event_t *event, struct err *err)
{
    const char *text = (const char *)event->data.scalar.value;
    int line = line_of(event);
    if (strlen(text) != event->data.scalar.length)
        return err_set(err, ERR_INVALID, "line %d: a text holds a NUL", line);
    if (awaits_key(b))
        return set_key(b, text, line, err);
    struct yaml node = {.kind = YAML_NULL, .line = line};
    node.quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (node.quoted || !is_null(text)) {
        node.kind = YAML_SCALAR;
        node.text = xstrdup(text);
    }
    add_node(b, node);
    return true;
}

static bool
on_container(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
             struct err *err)
{
    int line = line_of(event);
    if (awaits_key(b))
        return err_set(err, ERR_INVALID, "line %d: a key is not a text", line);
    if (b->depth == MAX_DEPTH)
        return err_set(err, ERR_INVALID, "line %d: nested more than %d deep", line,
                       MAX_DEPTH);
    struct yaml *node = add_node(b, (struct yaml){.kind = kind, .line = line});
    b->open[b->depth++] = node;
    return true;
}

static bool
on_document(struct builder *b, const yaml_event_t *event, struct err *err)
{
    if (b->has_document)
        return err_set(err, ERR_INVALID, "line %d: a second document", line_of(event));
    b->has_document = true;
    return true;
}

static bool
on_end(struct builder *b)
{
    if (b->root == NULL)
        add_node(b, (struct yaml){.kind = YAML_NULL, .line = 1});
    b->done = true;
    return true;
}

/* anchor and tag are those of the event, NULL if it has none. */
static bool
has_no_properties(const yaml_event_t *event, const yaml_char_t *anchor,
                  const yaml_char_t *tag, struct err *err)
{
    if (anchor == NULL && tag == NULL)
        return true;
    return err_set(err, ERR_INVALID, "line %d: anchors, aliases and tags are not taken",
                   line_of(event));
}

static bool
on_event(struct builder *b, const yaml_event_t *event, struct err *err)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return has_no_properties(event, event->data.scalar.anchor,
                                 event->data.scalar.tag, err) &&
               on_scalar(b, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return has_no_properties(event, event->data.sequence_start.anchor,
                                 event->data.sequence_start.tag, err) &&
               on_container(b, event, YAML_LIST, err);
    case YAML_MAPPING_START_EVENT:
        return has_no_properties(event, event->data.mapping_start.anchor,
                                 event->data.mapping_start.tag, err) &&
               on_container(b, event, YAML_MAP, err);
    case YAML_ALIAS_EVENT:
        return has_no_properties(event, event->data.alias.anchor, NULL, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event, err);
    case YAML_STREAM_END_EVENT:
        return on_end(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return true;
}

static bool
parser_error(const yaml_parser_t *parser, struct err *err)
{
    return err_set(err, ERR_INVALID, "line %d: %s", line_at(parser->problem_mark),
                   parser->problem != NULL ? parser->problem : "not YAML");
}

static bool
next_event(struct builder *b, yaml_parser_t *parser, struct err *err)
{
    CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    if (yaml_parser_parse(parser, &event) == 0)
        return parser_error(parser, err);
    return on_event(b, &event, err);
}

bool
yaml_parse(struct bytes text, size_t limit, struct yaml **out, struct err *err)
{
    CLEANUP(builder_fini) struct builder b = {0};
    CLEANUP(yaml_parser_delete) yaml_parser_t parser = {0};
    if (text.len > limit)
        return err_set(err, ERR_INVALID, "YAML of %zu bytes, limit %zu", text.len,
                       limit);
    if (yaml_parser_initialize(&parser) == 0)
        return err_set(err, ERR_NOMEM, "no memory for a YAML parser");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    /* The library aborts on NULL, which is where an empty slice may point. */
    const uint8_t *at = text.len > 0 ? text.at : (const uint8_t *)"";
    yaml_parser_set_input_string(&parser, at, text.len);
    while (!b.done)
        if (!next_event(&b, &parser, err))
            return false;
    *out = TAKE(b.root);
    return true;
}

const struct yaml *
yaml_get(const struct yaml *y, const char *key)
{
    if (y == NULL || y->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < y->count; i++)
        if (strcmp(y->keys[i], key) == 0)
            return &y->children[i];
    return NULL;
}

static bool
is_known(const char *key, const char *const known[])
{
    for (; *known != NULL; known++)
        if (strcmp(key, *known) == 0)
            return true;
    return false;
}

static bool
unknown_key(int line, const char *key, const char *const known[], const char *what,
            struct err *err)
{
    CLEANUP(buf_fini) struct buf names = {0};
    for (size_t i = 0; known[i] != NULL; i++)
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", known[i]);
    return err_set(err, ERR_INVALID,
                   "line %d: unknown key \"%s\" in %s; known keys are %s", line, key,
                   what, buf_text(&names));
}

bool
yaml_check_keys(const struct yaml *y, const char *const known[], const char *what,
                struct err *err)
{
    if (y == NULL || y->kind == YAML_NULL)
        return true;
    if (y->kind != YAML_MAP)
        return err_set(err, ERR_INVALID, "line %d: %s is not a map of keys", y->line,
                       what);
    for (size_t i = 0; i < y->count; i++)
        if (!is_known(y->keys[i], known))
            return unknown_key(y->children[i].line, y->keys[i], known, what, err);
    return true;
}

/* The member if it is a scalar; *member is NULL when it is absent or null. */
static bool
find_scalar(const struct yaml *y, const char *key, const struct yaml **member,
            struct err *err)
{
    *member = yaml_get(y, key);
    if (*member == NULL || (*member)->kind == YAML_SCALAR)
        return true;
    if ((*member)->kind != YAML_NULL)
        return err_set(err, ERR_INVALID, "line %d: %s is a list or a map, not a value",
                       (*member)->line, key);
    *member = NULL;
    return true;
}

static bool
wrong_value(const struct yaml *member, const char *key, const char *wanted,
            struct err *err)
{
    return err_set(err, ERR_INVALID, "line %d: %s: %s\"%s\" is not %s", member->line,
                   key, member->quoted ? "the text " : "", member->text, wanted);
}

bool
yaml_get_text(const struct yaml *y, const char *key, const char **out, struct err *err)
{
    const struct yaml *member;
    if (!find_scalar(y, key, &member, err))
        return false;
    if (member != NULL)
        *out = member->text;
    return true;
}

/* The words of YAML 1.1, which configurations for Go's yaml.v2 use. */
static bool
parse_bool(const char *text, bool *out)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"False", "True"}, {"FALSE", "TRUE"}, {"no", "yes"},
        {"No", "Yes"},     {"NO", "YES"},     {"off", "on"},     {"Off", "On"},
        {"OFF", "ON"},     {"n", "y"},        {"N", "Y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (size_t value = 0; value < 2; value++)
            if (strcmp(text, words[i][value]) == 0) {
                *out = value == 1;
                return true;
            }
    return false;
}

bool
yaml_get_bool(const struct yaml *y, const char *key, bool *out, struct err *err)
{
    const struct yaml *member;
    if (!find_scalar(y, key, &member, err))
        return false;
    if (member == NULL)
        return true;
    if (member->quoted || !parse_bool(member->text, out))
        return wrong_value(member, key, "true or false", err);
    return true;
}

/* Decimal. A leading zero would mean octal to some readers, so it is refused. */
static bool
parse_i64(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] != 0 || (digits[0] == '0' && count > 1))
        return false;
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (errno != 0)
        return false;
    *out = value;
    return true;
}

bool
yaml_get_i64(const struct yaml *y, const char *key, int64_t *out, struct err *err)
{
    const struct yaml *member;
    if (!find_scalar(y, key, &member, err))
        return false;
    if (member == NULL)
        return true;
    if (member->quoted || !parse_i64(member->text, out))
        return wrong_value(member, key, "a whole number", err);
    return true;
}

bool
yaml_get_duration(const struct yaml *y, const char *key, int64_t *out_ns,
                  struct err *err)
{
    const struct yaml *member;
    if (!find_scalar(y, key, &member, err))
        return false;
    if (member != NULL && !quantity_duration(member->text, out_ns, err))
        return err_wrap(err, "line %d: %s", member->line, key);
    return true;
}

bool
yaml_get_size(const struct yaml *y, const char *key, uint64_t *out_bytes,
              struct err *err)
{
    const struct yaml *member;
    if (!find_scalar(y, key, &member, err))
        return false;
    if (member != NULL && !quantity_size(member->text, out_bytes, err))
        return err_wrap(err, "line %d: %s", member->line, key);
    return true;
}

/* The name in "$(NAME)" that text starts with, or the empty slice. */
static struct bytes
variable_name(struct bytes text)
{
    size_t len = 2;
    if (!bytes_starts_with(text, BYTES("$(")))
        return (struct bytes){0};
    while (len < text.len && (isalnum(text.at[len]) || text.at[len] == '_'))
        len++;
    if (len == text.len || text.at[len] != ')')
        return (struct bytes){0};
    return (struct bytes){text.at + 2, len - 2};
}

static bool
put_variable(struct bytes name, struct buf *out, struct err *err)
{
    CLEANUP(xfree) char *text = xasprintf("%.*s", BYTES_FMT(name));
    const char *value = getenv(text);
    if (value == NULL)
        return err_set(err, ERR_INVALID, "environment variable %s is not set", text);
    buf_put_str(out, value);
    return true;
}

bool
yaml_blame(const struct yaml *map, const char *key, struct err *err)
{
    const struct yaml *member = yaml_get(map, key);
    return err_wrap(err, "line %d: %s", member != NULL ? member->line : 1, key);
}

bool
yaml_expand_env(struct bytes text, struct buf *out, struct err *err)
{
    while (text.len > 0) {
        struct bytes name = variable_name(text);
        if (name.len == 0) {
            buf_put_u8(out, text.at[0]);
            bytes_skip(&text, 1);
            continue;
        }
        if (!put_variable(name, out, err))
            return false;
        bytes_skip(&text, name.len + strlen("$()"));
    }
    return buf_ok(out, err);
}
