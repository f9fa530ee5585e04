/* SPDX-License-Identifier: Apache-2.0 */
#include "store/label_arguments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "common/codec/quantity.h"
#include "common/net/form.h"
#include "common/tsdb/selector.h"

/* Matchers of a block are compared in pairs; a selector is a query of its own. */
enum { MAX_SELECTORS = 100, MAX_MATCHERS = 1000 };

/* What Prometheus writes for the first and the last time that it knows. */
static const struct {
    const char *text;
    int64_t ms;
} extremes[] = {{"-292273086-05-16T16:47:06Z", INT64_MIN},
                {"292277025-08-18T07:12:54.999999999Z", INT64_MAX}};

/* Decimal only: strtod knows words and hexadecimal, too. */
static bool
is_decimal(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("0123456789+-.eE", text.at[i]) == NULL || text.at[i] == 0)
            return false;
    return text.len > 0;
}

static bool
parse_seconds(struct bytes text, int64_t *ms)
{
    char *end;
    if (!is_decimal(text))
        return false;
    double ms_exact = strtod((const char *)text.at, &end) * 1000;
    if (*end != 0)
        return false;
    if (ms_exact >= (double)INT64_MAX)
        *ms = INT64_MAX;
    else if (ms_exact <= (double)INT64_MIN)
        *ms = INT64_MIN;
    else
        *ms = (int64_t)round(ms_exact);
    return true;
}

bool
store_label_arguments_time(struct bytes text, int64_t *ms, struct err *err)
{
    const char *at = (const char *)text.at;
    struct err unused;
    for (size_t i = 0; i < ARRAY_LEN(extremes); i++)
        if (bytes_eq(text, bytes_of_str(extremes[i].text))) {
            *ms = extremes[i].ms;
            return true;
        }
    if (parse_seconds(text, ms) ||
        (strlen(at) == text.len && quantity_rfc3339(at, ms, &unused)))
        return true;
    return err_set(err, ERR_INVALID, "cannot parse \"%s\" to a valid timestamp", at);
}

static bool
parse_limit(struct bytes text, uint64_t *limit, struct err *err)
{
    const char *at = (const char *)text.at;
    char *end;
    errno = 0;
    *limit = strtoull(at, &end, 10);
    bool is_digits = text.len > 0 && strspn(at, "0123456789") == text.len;
    if (!is_digits || errno != 0 || *end != 0)
        return err_set(err, ERR_INVALID, "\"%s\" is not a number from 0 on", at);
    return true;
}

/* Value of an argument that may be absent, or empty for that. */
static bool
find(const struct net_form *form, const char *name, struct bytes *value)
{
    return net_form_get(form, bytes_of_str(name), value) && value->len > 0;
}

static bool
wrap(const char *name, struct err *err)
{
    return err_wrap(err, err->code == ERR_INVALID ? "invalid parameter \"%s\"" : "%s",
                    name);
}

static bool
read_numbers(struct store_label_arguments *a, const struct net_form *form,
             struct err *err)
{
    struct bytes text;
    a->mint_ms = INT64_MIN;
    a->maxt_ms = INT64_MAX;
    if (find(form, "start", &text) &&
        !store_label_arguments_time(text, &a->mint_ms, err))
        return wrap("start", err);
    if (find(form, "end", &text) && !store_label_arguments_time(text, &a->maxt_ms, err))
        return wrap("end", err);
    if (find(form, "limit", &text) && !parse_limit(text, &a->limit, err))
        return wrap("limit", err);
    return true;
}

/* A selector that series without any label fulfil would mean every series there is. */
static bool
demands_something(const struct store_matcher_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (!tsdb_matcher_matches_absent(set->at[i]))
            return true;
    return false;
}

static bool
add_selector(struct store_label_arguments *a, struct bytes text, struct arena *arena,
             struct err *err)
{
    struct tsdb_selector selector;
    if (!tsdb_selector_parse(&selector, text, arena, err))
        return false;
    size_t matchers = selector.count;
    for (size_t i = 0; i < a->set_count; i++)
        matchers += a->sets[i].count;
    if (a->set_count == MAX_SELECTORS || matchers > MAX_MATCHERS)
        return err_set(err, ERR_INVALID,
                       "more than %d selectors or %d matchers in one request",
                       MAX_SELECTORS, MAX_MATCHERS);
    struct store_matcher_set *set = &a->sets[a->set_count++];
    if (!store_matcher_set_init(set, selector.count, arena, arena->budget, err))
        return false;
    for (size_t i = 0; i < selector.count; i++) {
        const struct tsdb_selector_term *t = &selector.at[i];
        if (!store_matcher_set_add(set, t->type, t->name, t->value, err))
            return false;
    }
    return demands_something(set) ||
           err_set(err, ERR_INVALID,
                   "match[] must contain at least one non-empty matcher");
}

static bool
read_selectors(struct store_label_arguments *a, const struct net_form *form,
               struct arena *arena, struct err *err)
{
    a->sets = arena_calloc(arena, MAX_SELECTORS, sizeof *a->sets);
    if (a->sets == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < form->count; i++)
        if (bytes_eq(form->at[i].name, BYTES("match[]")) &&
            !add_selector(a, form->at[i].value, arena, err))
            return wrap("match[]", err);
    return true;
}

static bool
is_form(const struct net_http_exchange *x)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = net_http_exchange_header(x, "Content-Type");
    return type != NULL && strncasecmp(type, form, sizeof form - 1) == 0;
}

bool
store_label_arguments_read(struct store_label_arguments *a,
                           const struct net_http_exchange *x, struct arena *arena,
                           struct err *err)
{
    struct net_form form = {0};
    *a = (struct store_label_arguments){0};
    if (is_form(x) && !net_form_parse(&form, net_http_exchange_body(x), arena, err))
        return err_wrap(err, "error parsing form values");
    if (!net_form_parse(&form, net_http_exchange_query(x), arena, err))
        return err_wrap(err, "error parsing form values");
    return read_numbers(a, &form, err) && read_selectors(a, &form, arena, err);
}

void
store_label_arguments_fini(struct store_label_arguments *a)
{
    for (size_t i = 0; i < a->set_count; i++)
        store_matcher_set_fini(&a->sets[i]);
    a->set_count = 0;
}
