/* SPDX-License-Identifier: Apache-2.0 */
/* struct json is never defined: it stands for a json_t of jansson. */
#include "common/codec/json.h"

#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"

/* jansson has macros of these names. */
#undef json_is_object
#undef json_is_array

/* Documents here are a few levels deep. jansson's own limit of 2048 would take more of
 * its recursive parser's stack than a small thread has. */
enum { MAX_DEPTH = 64 };

static pthread_once_t memory_once = PTHREAD_ONCE_INIT;

static void
cleanse_and_free(void *at)
{
    if (at != NULL)
        digest_cleanse(at, malloc_usable_size(at));
    free(at);
}

static void
choose_memory(void)
{
    json_set_alloc_funcs(malloc, cleanse_and_free);
}

static json_t *
inner(const struct json *j)
{
    union {
        const struct json *borrowed;
        json_t *tree;
    } same = {j};
    return same.tree;
}

static struct json *
outer(json_t *tree)
{
    return (struct json *)tree;
}

/* Counts brackets outside of strings; what is not JSON is the parser's to refuse. */
static bool
is_too_deep(struct bytes text)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len && depth <= MAX_DEPTH; i++) {
        uint8_t c = text.at[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\';
        else if (c == '[' || c == '{')
            depth++;
        else if (c == ']' || c == '}')
            depth--;
    }
    return depth > MAX_DEPTH;
}

bool
json_parse(struct bytes text, size_t limit, struct json **out, struct err *err)
{
    json_error_t error;
    pthread_once(&memory_once, choose_memory);
    if (text.len > limit)
        return err_set(err, ERR_INVALID, "JSON of %zu bytes, limit %zu", text.len,
                       limit);
    if (is_too_deep(text))
        return err_set(err, ERR_INVALID, "JSON nested more than %d deep", MAX_DEPTH);
    const char *at = text.len > 0 ? (const char *)text.at : "";
    json_t *tree = json_loadb(at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (tree == NULL)
        return err_set(err, ERR_INVALID, "JSON line %d column %d: %s", error.line,
                       error.column, error.text);
    *out = outer(tree);
    return true;
}

static struct json *
made(json_t *tree)
{
    CHECK(tree != NULL);
    return outer(tree);
}

struct json *
json_new_object(void)
{
    return made(json_object());
}

struct json *
json_new_array(void)
{
    return made(json_array());
}

void
json_free(struct json **j)
{
    json_decref(inner(TAKE(*j)));
}

static int
put_piece(const char *piece, size_t len, void *arg)
{
    struct buf *out = arg;
    buf_put(out, bytes_of(piece, len));
    return 0;
}

struct tab_printer {
    struct buf *out;
    bool at_line_start;
};

/* jansson indents by blanks only: here each blank that begins a line becomes a tab. */
static int
put_piece_with_tabs(const char *piece, size_t len, void *arg)
{
    struct tab_printer *p = arg;
    for (size_t i = 0; i < len; i++) {
        bool indents = p->at_line_start && piece[i] == ' ';
        buf_put_u8(p->out, indents ? '\t' : (uint8_t)piece[i]);
        p->at_line_start = indents || piece[i] == '\n';
    }
    return 0;
}

void
json_print(const struct json *j, int indent, struct buf *out)
{
    int status;
    if (indent < 0) {
        struct tab_printer p = {.out = out};
        status = json_dump_callback(inner(j), put_piece_with_tabs, &p,
                                    JSON_INDENT(1) | JSON_ENCODE_ANY);
    } else {
        size_t layout = indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
        status = json_dump_callback(inner(j), put_piece, out, layout | JSON_ENCODE_ANY);
    }
    CHECK(status == 0);
}

struct json *
json_get(const struct json *j, const char *key)
{
    json_t *member = json_object_get(inner(j), key);
    return json_is_null(member) ? NULL : outer(member);
}

bool
json_is_object(const struct json *j)
{
    return j != NULL && json_typeof(inner(j)) == JSON_OBJECT;
}

bool
json_is_array(const struct json *j)
{
    return j != NULL && json_typeof(inner(j)) == JSON_ARRAY;
}

size_t
json_array_len(const struct json *j)
{
    return json_array_size(inner(j));
}

struct json *
json_array_at(const struct json *j, size_t i)
{
    return outer(json_array_get(inner(j), i));
}

bool
json_text(const struct json *j, const char **out)
{
    if (!json_is_string(inner(j)))
        return false;
    *out = json_string_value(inner(j));
    return true;
}

bool
json_i64(const struct json *j, int64_t *out)
{
    if (!json_is_integer(inner(j)))
        return false;
    *out = json_integer_value(inner(j));
    return true;
}

bool
json_bool(const struct json *j, bool *out)
{
    if (!json_is_boolean(inner(j)))
        return false;
    *out = json_is_true(inner(j));
    return true;
}

bool
json_each(const struct json *j, json_member_fn *fn, void *arg, struct err *err)
{
    json_t *tree = inner(j);
    for (void *i = json_object_iter(tree); i != NULL;
         i = json_object_iter_next(tree, i)) {
        json_t *value = json_object_iter_value(i);
        if (!fn(arg, json_object_iter_key(i), json_is_null(value) ? NULL : outer(value),
                err))
            return false;
    }
    return true;
}

/* jansson takes UTF-8 only. */
static json_t *
text_of(const char *value)
{
    json_t *text = json_string(value);
    if (text != NULL)
        return text;
    CLEANUP(xfree) char *ascii = xstrdup(value);
    for (char *c = ascii; *c != 0; c++)
        if ((uint8_t)*c >= 0x80)
            *c = '?';
    return json_string(ascii);
}

static void
set_member(struct json *j, const char *key, json_t *value)
{
    CHECK(json_object_set_new(inner(j), key, value) == 0);
}

void
json_set_text(struct json *j, const char *key, const char *value)
{
    set_member(j, key, text_of(value));
}

void
json_set_i64(struct json *j, const char *key, int64_t value)
{
    set_member(j, key, json_integer(value));
}

void
json_set_bool(struct json *j, const char *key, bool value)
{
    set_member(j, key, json_boolean(value));
}

void
json_set(struct json *j, const char *key, struct json **value)
{
    set_member(j, key, inner(TAKE(*value)));
}

void
json_remove(struct json *j, const char *key)
{
    json_object_del(inner(j), key);
}

static void
append(struct json *array, json_t *value)
{
    CHECK(json_array_append_new(inner(array), value) == 0);
}

void
json_append_text(struct json *array, const char *value)
{
    append(array, text_of(value));
}

void
json_append(struct json *array, struct json **value)
{
    append(array, inner(TAKE(*value)));
}
