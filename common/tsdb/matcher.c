/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/matcher.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/codec/regex.h"
#include "common/tsdb/expression_priv.h"
#include "common/tsdb/labels.h"

/* Memory for the values of an expression. Enough for 256 short values, and for one
 * value in every two characters, "a|b|c". What would take more is left to the engine.
 */
enum { SET_BYTES = 32 * 1024, SET_BYTES_PER_CHAR = 64 };

struct tsdb_matcher {
    enum tsdb_matcher_type type;
    struct bytes name;
    struct bytes value;
    struct tsdb_expression form; /* of = or =~ */
    struct regex *regex;         /* for TSDB_SHAPE_ANY */
    bool matches_absent;
    struct budget budget;
    struct arena arena; /* of form */
    uint8_t text[];     /* name, value */
};

static struct tsdb_matcher *
matcher_new(enum tsdb_matcher_type type, struct bytes name, struct bytes value)
{
    struct tsdb_matcher *m = xcalloc(1, sizeof *m + name.len + value.len);
    m->type = type;
    m->name = bytes_of(m->text, name.len);
    m->value = bytes_of(m->text + name.len, value.len);
    memcpy(m->text, name.at, name.len);
    if (value.len > 0)
        memcpy(m->text + name.len, value.at, value.len);
    budget_init(&m->budget, "values of a matcher",
                SET_BYTES + SET_BYTES_PER_CHAR * value.len, NULL);
    arena_init(&m->arena, &m->budget);
    return m;
}

static bool
understand(struct tsdb_matcher *m, struct err *err)
{
    if (m->type == TSDB_MATCH_EQ || m->type == TSDB_MATCH_NEQ) {
        m->form = (struct tsdb_expression){
            .shape = TSDB_SHAPE_SET, .set = &m->value, .count = 1};
        return true;
    }
    if (tsdb_expression_recognise(&m->form, m->value, &m->arena))
        return true;
    arena_reset(&m->arena);
    m->form.shape = TSDB_SHAPE_ANY;
    return regex_new(&m->regex, m->value, err);
}

/* Longer ones first, because others are what they begin with. */
static const struct {
    const char *text;
    enum tsdb_matcher_type type;
} operators[] = {{"=~", TSDB_MATCH_RE},
                 {"!~", TSDB_MATCH_NRE},
                 {"!=", TSDB_MATCH_NEQ},
                 {"=", TSDB_MATCH_EQ}};

bool
tsdb_matcher_take_operator(struct bytes *text, enum tsdb_matcher_type *type)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        struct bytes operator= bytes_of_str(operators[i].text);
        if (!bytes_starts_with(*text, operator))
            continue;
        bytes_skip(text, operator.len);
        *type = operators[i].type;
        return true;
    }
    return false;
}

void
tsdb_matcher_print(const struct tsdb_matcher *m, struct buf *out)
{
    const struct tsdb_label pair = {m->name, m->value};
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (operators[i].type == m->type)
            tsdb_labels_print_pair(&pair, operators[i].text, out);
}

bool
tsdb_matcher_new(struct tsdb_matcher **out, enum tsdb_matcher_type type,
                 struct bytes name, struct bytes value, struct err *err)
{
    if ((unsigned)type > TSDB_MATCH_NRE)
        return err_set(err, ERR_INVALID, "matcher of unknown type %d", (int)type);
    if (name.len == 0)
        return err_set(err, ERR_INVALID, "matcher with an empty label name");
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = matcher_new(type, name, value);
    if (!understand(m, err))
        return err_wrap(err, "matcher of label %.*s", BYTES_FMT(name));
    m->matches_absent = tsdb_matcher_matches(m, (struct bytes){0});
    *out = TAKE(m);
    return true;
}

void
tsdb_matcher_free(struct tsdb_matcher **out)
{
    struct tsdb_matcher *m = TAKE(*out);
    if (m == NULL)
        return;
    regex_free(&m->regex);
    arena_fini(&m->arena);
    budget_fini(&m->budget);
    free(m);
}

struct bytes
tsdb_matcher_name(const struct tsdb_matcher *m)
{
    return m->name;
}

enum tsdb_matcher_type
tsdb_matcher_type(const struct tsdb_matcher *m)
{
    return m->type;
}

struct bytes
tsdb_matcher_value(const struct tsdb_matcher *m)
{
    return m->value;
}

/* Whether = or =~ holds. */
static bool
holds(const struct tsdb_matcher *m, struct bytes value)
{
    if (m->form.shape == TSDB_SHAPE_ANY)
        return regex_matches(m->regex, value);
    return tsdb_expression_matches(&m->form, value);
}

bool
tsdb_matcher_matches(const struct tsdb_matcher *m, struct bytes value)
{
    return holds(m, value) != tsdb_matcher_is_negative(m);
}

bool
tsdb_matcher_matches_absent(const struct tsdb_matcher *m)
{
    return m->matches_absent;
}

bool
tsdb_matcher_is_negative(const struct tsdb_matcher *m)
{
    return m->type == TSDB_MATCH_NEQ || m->type == TSDB_MATCH_NRE;
}

enum tsdb_matcher_shape
tsdb_matcher_shape(const struct tsdb_matcher *m)
{
    return m->form.shape;
}

const struct bytes *
tsdb_matcher_set(const struct tsdb_matcher *m, size_t *count)
{
    *count = m->form.count;
    return m->form.set;
}

struct bytes
tsdb_matcher_prefix(const struct tsdb_matcher *m)
{
    return m->form.prefix;
}
