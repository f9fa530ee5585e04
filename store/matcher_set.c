/* SPDX-License-Identifier: Apache-2.0 */
#include "store/matcher_set.h"

#include "common/codec/regex.h"

/* What a matcher takes beside a regular expression: its words, if it is a set. */
enum { MATCHER_BYTES = 32 * 1024, MATCHER_BYTES_PER_CHAR = 64 };

bool
store_matcher_set_init(struct store_matcher_set *s, size_t most, struct arena *arena,
                       struct budget *budget, struct err *err)
{
    *s = (struct store_matcher_set){.budget = budget};
    s->at = arena_calloc(arena, most, sizeof *s->at);
    return s->at != NULL || arena_ok(arena, err);
}

/* Give back what was charged for an expression that turned out to need no regex. */
static void
settle_charge(struct store_matcher_set *s, const struct tsdb_matcher *m)
{
    enum tsdb_matcher_type type = tsdb_matcher_type(m);
    enum tsdb_matcher_shape shape = tsdb_matcher_shape(m);
    bool needed = shape == TSDB_SHAPE_ANY || shape == TSDB_SHAPE_PREFIX;
    if (needed || type == TSDB_MATCH_EQ || type == TSDB_MATCH_NEQ)
        return;
    s->charge -= REGEX_MAX_BYTES;
    budget_give(s->budget, REGEX_MAX_BYTES);
}

bool
store_matcher_set_add(struct store_matcher_set *s, enum tsdb_matcher_type type,
                      struct bytes name, struct bytes value, struct err *err)
{
    bool regex = type == TSDB_MATCH_RE || type == TSDB_MATCH_NRE;
    size_t charge = MATCHER_BYTES + name.len + MATCHER_BYTES_PER_CHAR * value.len +
                    (regex ? REGEX_MAX_BYTES : 0);
    if (!budget_take(s->budget, charge, err))
        return false;
    s->charge += charge;
    if (!tsdb_matcher_new(&s->at[s->count], type, name, value, err))
        return false;
    settle_charge(s, s->at[s->count++]);
    return true;
}

void
store_matcher_set_fini(struct store_matcher_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        tsdb_matcher_free(&s->at[i]);
    if (s->budget != NULL)
        budget_give(s->budget, s->charge);
    *s = (struct store_matcher_set){0};
}
