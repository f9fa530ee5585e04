/* SPDX-License-Identifier: Apache-2.0 */
/* An absent label has the value "". So a matcher that holds for "" cannot be answered
 * by a union of lists alone: it is answered by taking away the series whose value
 * breaks it. Whether a matcher adds or subtracts follows from what it says of "", and
 * from whether another matcher on the same label already demands its presence.
 *
 * The smallest adding group is the base: only its series can be selected. Another group
 * is worth its postings only if they cost less than the series entries that they save;
 * else its matcher becomes a filter of series. Neither changes what is selected. */
#include "common/base/num.h"
#include "store/select_priv.h"

/* Costs in bytes that could be read from a bucket instead: of a series entry, as Thanos
 * takes it, and of testing a value, which is a guess: a regular expression takes 100 to
 * 200 ns. */
enum { SERIES_COST = 512, SCAN_COST = 32 };

/* A label that this share of all series has is worth no union of its postings. */
static const double NEARLY_ALL = 0.95;

static bool
push_range(struct store_select *s, struct store_select_group *g,
           struct store_posting_range range, struct err *err)
{
    struct store_posting_range *at =
        arena_grow(&s->arena, g->ranges, g->range_count, &g->range_cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&s->arena, err);
    g->ranges = at;
    g->ranges[g->range_count++] = range;
    g->bytes += range.len;
    return true;
}

static bool
look_up_set(struct store_select *s, const struct tsdb_matcher *m,
            struct store_select_group *g, struct err *err)
{
    size_t count;
    const struct bytes *values = tsdb_matcher_set(m, &count);
    for (size_t i = 0; i < count; i++) {
        bool found;
        struct store_posting_range range;
        if (values[i].len == 0)
            continue;
        if (i % STORE_SELECT_PATIENCE == STORE_SELECT_PATIENCE - 1 &&
            !store_fetch_check(s->source, err))
            return false;
        if (!store_index_header_find(s->block->header, tsdb_matcher_name(m), values[i],
                                     &found, &range, err))
            return false;
        if (found && !push_range(s, g, range, err))
            return false;
    }
    g->series = store_posting_refs(g->bytes, g->range_count);
    return true;
}

/* Whether the positive form holds for no value but "". */
static bool
is_empty_only(const struct tsdb_matcher *m)
{
    size_t count;
    if (tsdb_matcher_shape(m) != TSDB_SHAPE_SET)
        return false;
    const struct bytes *values = tsdb_matcher_set(m, &count);
    return count == 0 || (count == 1 && values[0].len == 0);
}

/* The lists of all values v of the matcher's label with matches(v) != g->subtract.
 * Values are never "". */
static bool
look_up(struct store_select *s, const struct tsdb_matcher *m,
        struct store_select_group *g, struct err *err)
{
    enum tsdb_matcher_shape shape = tsdb_matcher_shape(m);
    bool positive = g->subtract == tsdb_matcher_is_negative(m);
    bool holds = shape == TSDB_SHAPE_ALL || shape == TSDB_SHAPE_NONEMPTY;
    struct bytes prefix = {0};
    if (positive && shape == TSDB_SHAPE_SET)
        return look_up_set(s, m, g, err);
    if (!positive && holds)
        return true;
    if (positive && shape == TSDB_SHAPE_PREFIX)
        prefix = tsdb_matcher_prefix(m);
    if (!holds && !is_empty_only(m))
        g->matcher = m;
    if (!store_index_header_rows(s->block->header, tsdb_matcher_name(m), prefix,
                                 &g->rows, err) ||
        !store_index_header_span(s->block->header, g->rows, &g->bytes, err))
        return false;
    g->series = store_posting_refs(g->bytes, g->rows.end - g->rows.begin);
    if (g->matcher != NULL) { /* of the values that are tested, half may match */
        g->bytes /= 2;
        g->series /= 2;
    }
    return true;
}

static bool
demands_presence(const struct tsdb_matcher *const *matchers, size_t count,
                 struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_eq(tsdb_matcher_name(matchers[i]), name) &&
            !tsdb_matcher_matches_absent(matchers[i]))
            return true;
    return false;
}

static bool
is_subtracting(const struct tsdb_matcher *const *matchers, size_t count,
               const struct tsdb_matcher *m)
{
    return !demands_presence(matchers, count, tsdb_matcher_name(m)) ||
           (tsdb_matcher_is_negative(m) && tsdb_matcher_matches_absent(m));
}

/* Groups keep their matchers beside them until it is known which become filters. */
struct plan {
    struct store_select *s;
    const struct tsdb_matcher **of; /* the matcher of each group */
    size_t base;
    bool has_base;
    uint64_t all; /* series of the block */
};

static bool
add_group(struct plan *p, const struct tsdb_matcher *m, bool subtract, struct err *err)
{
    struct store_select *s = p->s;
    struct store_select_group g = {.subtract = subtract};
    if (tsdb_matcher_shape(m) == TSDB_SHAPE_ALL && !tsdb_matcher_is_negative(m))
        return true;
    if (!store_fetch_check(s->source, err) || !look_up(s, m, &g, err))
        return false;
    if (!store_select_has_more(&g)) {
        s->nothing = s->nothing || !subtract;
        return true;
    }
    g.series = NUM_MIN(g.series, p->all);
    if (!subtract && (!p->has_base || g.series < s->groups[p->base].series)) {
        p->base = s->group_count;
        p->has_base = true;
    }
    p->of[s->group_count] = m;
    s->groups[s->group_count++] = g;
    return true;
}

/* Whether the list of all series is a better base than all values of a label. */
static bool
is_nearly_all(const struct plan *p)
{
    const struct store_select_group *g = &p->s->groups[p->base];
    return g->range_count == 0 && g->matcher == NULL &&
           (double)g->series >= NEARLY_ALL * (double)p->all;
}

static bool
add_all_series(struct plan *p, struct err *err)
{
    struct store_select *s = p->s;
    struct store_select_group g = {.series = p->all};
    if (!push_range(s, &g, store_index_header_all(s->block->header), err))
        return false;
    p->base = s->group_count;
    s->groups[s->group_count++] = g;
    return true;
}

/* Whether a group's postings cost less than the entries of the base that they save. */
static bool
is_worth_it(const struct plan *p, const struct store_select_group *base,
            const struct store_select_group *g)
{
    double cost = (double)g->bytes + SCAN_COST * (double)(g->rows.end - g->rows.begin);
    uint64_t dropped = g->subtract ? g->series : p->all - g->series;
    double share = (double)dropped / (double)NUM_MAX(p->all, (uint64_t)1);
    return cost <= (double)base->series * share * SERIES_COST;
}

/* Put the base first, and behind it the groups that are worth their postings. */
static void
part_groups(struct plan *p)
{
    struct store_select *s = p->s;
    const struct store_select_group base = s->groups[p->base];
    size_t kept = 1;
    s->groups[p->base] = s->groups[0];
    p->of[p->base] = p->of[0];
    for (size_t i = 1; i < s->group_count; i++) {
        const struct store_select_group g = s->groups[i];
        if (s->is_exact || is_worth_it(p, &base, &g))
            s->groups[kept++] = g;
        else
            s->filters[s->filter_count++] = p->of[i];
    }
    s->groups[0] = base;
    s->group_count = kept;
}

bool
store_select_plan(struct store_select *s, const struct tsdb_matcher *const *matchers,
                  size_t count, struct err *err)
{
    struct store_posting_range all = store_index_header_all(s->block->header);
    struct plan p = {.s = s, .all = store_posting_refs(all.len, 1)};
    s->groups = arena_calloc(&s->arena, count + 1, sizeof *s->groups);
    s->filters = arena_calloc(&s->arena, count + 1, sizeof *s->filters);
    p.of = arena_calloc(&s->arena, count + 1, sizeof *p.of);
    if (s->groups == NULL || s->filters == NULL || p.of == NULL)
        return arena_ok(&s->arena, err);
    s->nothing = all.len == 0;
    for (size_t i = 0; i < count && !s->nothing; i++)
        if (!add_group(&p, matchers[i], is_subtracting(matchers, count, matchers[i]),
                       err))
            return false;
    if (s->nothing)
        return true;
    if (p.has_base && !s->is_exact && is_nearly_all(&p)) {
        s->filters[s->filter_count++] = p.of[p.base];
        s->groups[p.base] = s->groups[--s->group_count];
        p.of[p.base] = p.of[s->group_count];
        p.has_base = false;
    }
    if (!p.has_base && !add_all_series(&p, err))
        return false;
    part_groups(&p);
    return true;
}
