/* SPDX-License-Identifier: Apache-2.0 */
/* Of all actions only hashmod sets a label. So the labels of a block are never copied:
 * which earlier rule has set a source, if one has, is known when the rules are read,
 * and a block needs one number for each hashmod rule. */
#include "store/relabel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/regex.h"

enum action { KEEP, DROP, HASHMOD, ACTION_COUNT };

static const char *const action_names[ACTION_COUNT] = {"keep", "drop", "hashmod"};

/* Of a label that no rule has set. */
static const size_t NO_RULE = SIZE_MAX;

/* A label whose value takes part. */
struct source {
    struct bytes name;
    size_t hash_rule; /* the rule that has set it; NO_RULE: it is one of the block */
};

struct rule {
    enum action action;
    size_t source_count;
    struct source *sources;
    struct bytes separator;
    struct regex *regex;
    uint64_t modulus;    /* HASHMOD, above 0, like the next */
    struct bytes target; /* the label that is set */
};

struct store_relabel {
    struct yaml *tree; /* of which texts are borrowed */
    size_t count;
    struct rule *rules;
};

/* The rule before this one that sets the label, or NO_RULE. */
static size_t
setter_of(const struct store_relabel *r, size_t before, struct bytes name)
{
    for (size_t i = before; i-- > 0;)
        if (r->rules[i].action == HASHMOD && bytes_eq(r->rules[i].target, name))
            return i;
    return NO_RULE;
}

static bool
parse_action(struct rule *rule, const struct yaml *y, struct err *err)
{
    const char *action = "replace";
    if (!yaml_get_text(y, "action", &action, err))
        return false;
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcasecmp(action, action_names[i]) == 0) {
            rule->action = (enum action)i;
            return true;
        }
    }
    if (yaml_get(y, "action") == NULL)
        return err_set(err, ERR_INVALID,
                       "line %d: action is missing; keep, drop and hashmod select "
                       "blocks",
                       y->line);
    return yaml_refuse(y, "action", err,
                       "\"%s\" does not select blocks; keep, drop and hashmod do",
                       action);
}

static bool
parse_sources(struct store_relabel *r, size_t at, const struct yaml *y, struct err *err)
{
    const struct yaml *list = yaml_get(y, "source_labels");
    struct rule *rule = &r->rules[at];
    if (list == NULL || list->kind == YAML_NULL)
        return true;
    if (list->kind != YAML_LIST)
        return yaml_refuse(y, "source_labels", err,
                           "not a list of label names such as [__block_id]");
    rule->sources = xcalloc(list->count + 1, sizeof *rule->sources);
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml *name = &list->children[i];
        if (name->kind != YAML_SCALAR || name->text[0] == 0)
            return err_set(err, ERR_INVALID,
                           "line %d: source_labels: value %zu is not a label name",
                           name->line, i + 1);
        struct source *source = &rule->sources[rule->source_count++];
        source->name = bytes_of_str(name->text);
        source->hash_rule = setter_of(r, at, source->name);
    }
    return true;
}

/* A text that is there without a value is the empty one, as in Go. */
static bool
parse_text(const struct yaml *y, const char *key, const char **text, struct err *err)
{
    const struct yaml *member = yaml_get(y, key);
    if (member != NULL && member->kind == YAML_NULL)
        *text = "";
    return yaml_get_text(y, key, text, err);
}

static bool
parse_regex(struct rule *rule, const struct yaml *y, struct err *err)
{
    const char *regex = "(.*)";
    if (!parse_text(y, "regex", &regex, err))
        return false;
    return regex_new(&rule->regex, bytes_of_str(regex), err) ||
           yaml_blame(y, "regex", err);
}

static bool
parse_hashmod(struct rule *rule, const struct yaml *y, struct err *err)
{
    int64_t modulus = 0;
    const char *target = "";
    if (!yaml_get_i64(y, "modulus", &modulus, err) ||
        !yaml_get_text(y, "target_label", &target, err))
        return false;
    if (rule->action != HASHMOD)
        return true;
    if (modulus < 1)
        return err_set(err, ERR_INVALID,
                       "line %d: hashmod needs a modulus: the number of stores that "
                       "share the blocks",
                       y->line);
    if (*target == 0)
        return err_set(err, ERR_INVALID,
                       "line %d: hashmod needs a target_label, which the next rule "
                       "has as a source",
                       y->line);
    rule->modulus = (uint64_t)modulus;
    rule->target = bytes_of_str(target);
    return true;
}

static bool
parse_rule(struct store_relabel *r, size_t at, const struct yaml *y, struct err *err)
{
    static const char *const KEYS[] = {
        "source_labels", "separator",   "regex",  "modulus",
        "target_label",  "replacement", "action", NULL};
    struct rule *rule = &r->rules[at];
    const char *separator = ";", *unused = "";
    if (y->kind == YAML_NULL)
        return err_set(err, ERR_INVALID, "line %d: a rule without keys", y->line);
    if (!yaml_check_keys(y, KEYS, "a relabel rule", err) ||
        !parse_action(rule, y, err) || !parse_sources(r, at, y, err) ||
        !parse_text(y, "separator", &separator, err) || !parse_regex(rule, y, err) ||
        !parse_text(y, "replacement", &unused, err) || !parse_hashmod(rule, y, err))
        return false;
    rule->separator = bytes_of_str(separator);
    return true;
}

bool
store_relabel_new(struct store_relabel **out, struct yaml **tree, struct err *err)
{
    CLEANUP(store_relabel_free) struct store_relabel *r = xcalloc(1, sizeof *r);
    const struct yaml *y = r->tree = TAKE(*tree);
    if (y->kind != YAML_NULL && y->kind != YAML_LIST)
        return err_set(err, ERR_INVALID,
                       "line %d: not a list of rules, each of which begins with \"- \"",
                       y->line);
    r->rules = xcalloc(y->count + 1, sizeof *r->rules);
    for (; r->count < y->count; r->count++) {
        if (!parse_rule(r, r->count, &y->children[r->count], err)) {
            r->count++;
            return false;
        }
    }
    *out = TAKE(r);
    return true;
}

void
store_relabel_free(struct store_relabel **out)
{
    struct store_relabel *r = TAKE(*out);
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++) {
        free(r->rules[i].sources);
        regex_free(&r->rules[i].regex);
    }
    free(r->rules);
    yaml_tree_free(&r->tree);
    free(r);
}

/* A block on its way through the rules. */
struct subject {
    struct tsdb_labels external;
    struct tsdb_ulid_text name;
    uint64_t *hashes; /* by rule */
};

static void
put_value(const struct subject *s, const struct source *source, struct buf *out)
{
    if (source->hash_rule != NO_RULE) {
        buf_printf(out, "%" PRIu64, s->hashes[source->hash_rule]);
        return;
    }
    struct bytes value = tsdb_labels_get(s->external, source->name);
    if (value.len == 0 && bytes_eq(source->name, BYTES("__block_id")))
        value = bytes_of_str(s->name.text);
    buf_put(out, value);
}

static void
join_values(const struct rule *rule, const struct subject *s, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < rule->source_count; i++) {
        if (i > 0)
            buf_put(out, rule->separator);
        put_value(s, &rule->sources[i], out);
    }
}

/* The second half of the digest: what is left of a longer number since the first
 * versions of Prometheus. */
static uint64_t
hash_of(struct bytes joined)
{
    uint8_t digest[DIGEST_MD5_SIZE];
    digest_md5(joined, digest);
    return be64_load(digest + DIGEST_MD5_SIZE / 2);
}

bool
store_relabel_keeps(const struct store_relabel *r, struct tsdb_labels external,
                    const struct tsdb_ulid *id)
{
    if (r == NULL || r->count == 0)
        return true;
    CLEANUP(buf_fini) struct buf joined = {0};
    CLEANUP(xfree) uint64_t *hashes = xcalloc(r->count, sizeof *hashes);
    const struct subject s = {external, tsdb_ulid_print(id), hashes};
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->rules[i];
        join_values(rule, &s, &joined);
        if (rule->action == HASHMOD)
            hashes[i] = hash_of(buf_bytes(&joined)) % rule->modulus;
        else if (regex_matches(rule->regex, buf_bytes(&joined)) !=
                 (rule->action == KEEP))
            return false;
    }
    return true;
}
