/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/base/xmalloc.h"
#include "store/relabel.h"
#include "tests/support/expect.h"

enum { LIMIT = 1 << 16, BLOCKS = 8, LABELS = 2 };

static bool
make(struct store_relabel **r, const char *text, struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *tree = NULL;
    if (!yaml_parse(bytes_of_str(text), LIMIT, &tree, err))
        return false;
    bool ok = store_relabel_new(r, &tree, err);
    assert_null(tree);
    return ok;
}

/* External labels; the block is 100 ms older than the one before it, the first one was
 * made at 100 ms, and their random bits are 0. */
static const struct tsdb_label labels[BLOCKS][LABELS] = {
    {{BYTES("cluster"), BYTES("a")}, {BYTES("replica"), BYTES("0")}},
    {{BYTES("cluster"), BYTES("b")}, {BYTES("replica"), BYTES("0")}},
    {{BYTES("cluster"), BYTES("abc")}, {BYTES("replica"), BYTES("1")}},
    {{BYTES("cluster"), BYTES("line1\nline2")}},
    {{{0}, {0}}},
    {{BYTES("__block_id"), BYTES("mine")}},
    {{BYTES("cluster"), BYTES("a")}, {BYTES("shard"), BYTES("1")}},
    {{BYTES("cluster"), BYTES("zürich")}, {BYTES("replica"), BYTES("0")}},
};

static struct tsdb_labels
external_of(size_t block)
{
    size_t len = 0;
    while (len < LABELS && labels[block][len].name.len > 0)
        len++;
    return (struct tsdb_labels){labels[block], len};
}

static struct tsdb_ulid
ulid_at(uint64_t ms)
{
    struct tsdb_ulid id = {0};
    for (int i = 0; i < 6; i++)
        id.raw[i] = (uint8_t)(ms >> (40 - 8 * i));
    return id;
}

/* What the code of Prometheus 3.16 (model/relabel, with gopkg.in/yaml.v2 2.4.0) keeps:
 * one character per block, "1" for kept. */
static void
keeps_what_prometheus_keeps(void **unused)
{
    static const struct {
        const char *rules;
        const char *kept;
    } cases[] = {
        {"", "11111111"},
        {"[]", "11111111"},
        {"- {action: keep, source_labels: [cluster], regex: a}", "1.....1."},
        {"- {action: keep, source_labels: [cluster], regex: a|b}", "11....1."},
        {"- {action: drop, source_labels: [cluster], regex: 'a.*'}", ".1.111.1"},
        {"- {action: keep, source_labels: [cluster], regex: 'line1.line2'}",
         "...1...."},
        {"- {action: keep, source_labels: [cluster, replica], regex: 'a;0'}",
         "1......."},
        {"- {action: keep, source_labels: [cluster, replica], separator: '', regex: "
         "'a0'}",
         "1......."},
        {"- {action: keep, source_labels: [cluster, nowhere, replica], separator: /, "
         "regex: 'b//0'}",
         ".1......"},
        {"- {action: keep, source_labels: [cluster], regex: ''}", "....11.."},
        {"- {action: keep, source_labels: [cluster], regex: }", "....11.."},
        {"- {action: drop}", "........"},
        {"- {action: keep}", "11111111"},
        {"- {action: keep, source_labels: [replica], regex: 0}", "11.....1"},
        {"- {action: DROP, source_labels: [replica], regex: 0}", "..11111."},
        {"- {action: keep, source_labels: [__block_id], regex: '00000000[3-9C].*'}",
         "1111...."},
        {"- {action: keep, source_labels: [__block_id], regex: mine}", ".....1.."},
        {"- {action: hashmod, source_labels: [__block_id], target_label: shard, "
         "modulus: 2}\n"
         "- {action: keep, source_labels: [shard], regex: 0}",
         ".1111..."},
        {"- {action: hashmod, source_labels: [__block_id], target_label: shard, "
         "modulus: 2}\n"
         "- {action: keep, source_labels: [shard], regex: 1}",
         "1....111"},
        {"- {action: hashmod, source_labels: [__block_id], target_label: shard, "
         "modulus: 3}\n"
         "- {action: drop, source_labels: [shard], regex: 1|2}",
         "..11.1.."},
        {"- {action: hashmod, source_labels: [cluster, replica], target_label: t, "
         "modulus: 5}\n"
         "- {action: keep, source_labels: [t], regex: '[0-2]'}",
         "1.1...11"},
        {"- {action: hashmod, source_labels: [cluster], target_label: cluster, "
         "modulus: 1000}\n"
         "- {action: keep, source_labels: [cluster], regex: '[0-4]?[0-9]?[0-9]'}",
         ".111...1"},
        {"- {action: hashmod, source_labels: [cluster], target_label: t, modulus: 7}\n"
         "- {action: hashmod, source_labels: [t, replica], target_label: t, modulus: "
         "4}\n"
         "- {action: keep, source_labels: [t, t], regex: '0;0|3;3'}",
         ".1.1..1."},
        {"- {action: keep, source_labels: [shard], regex: 1}\n"
         "- {action: hashmod, source_labels: [cluster], target_label: shard, modulus: "
         "1}\n"
         "- {action: keep, source_labels: [shard], regex: 0}",
         "......1."},
        {"- {action: hashmod, target_label: t, modulus: 1000}\n"
         "- {action: keep, source_labels: [t], regex: 958}",
         "11111111"},
        {"- {action: keep, source_labels: [cluster], regex: 'z.rich'}", ".......1"},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(store_relabel_free) struct store_relabel *r = NULL;
        struct err err;
        char kept[BLOCKS + 1] = {0};
        expect_ok(make(&r, cases[i].rules, &err), err);
        for (size_t k = 0; k < BLOCKS; k++) {
            struct tsdb_ulid id = ulid_at(100 * (k + 1));
            kept[k] = store_relabel_keeps(r, external_of(k), &id) ? '1' : '.';
        }
        if (strcmp(kept, cases[i].kept) != 0)
            fail_msg("%s\nkeeps %s instead of %s", cases[i].rules, kept, cases[i].kept);
    }
}

/* Fifteen blocks named by their number, in three shards: the example of Thanos's own
 * tests (pkg/block/fetcher_test.go at e103a81). */
static void
shares_blocks_out_as_thanos_does(void **unused)
{
    static const char shards[] = "202210122101011";
    size_t owners[sizeof shards] = {0};
    (void)unused;
    for (int shard = 0; shard < 3; shard++) {
        CLEANUP(store_relabel_free) struct store_relabel *r = NULL;
        struct err err;
        char rules[256];
        snprintf(rules, sizeof rules,
                 "- action: hashmod\n"
                 "  source_labels: [\"__block_id\"]\n"
                 "  target_label: shard\n"
                 "  modulus: 3\n"
                 "- action: keep\n"
                 "  source_labels: [\"shard\"]\n"
                 "  regex: %d\n",
                 shard);
        expect_ok(make(&r, rules, &err), err);
        for (uint64_t i = 1; i < sizeof shards; i++) {
            struct tsdb_ulid id = ulid_at(i);
            bool kept = store_relabel_keeps(r, (struct tsdb_labels){0}, &id);
            if (kept != (shards[i - 1] == '0' + shard))
                fail_msg("block %d in shard %d", (int)i, shard);
            owners[i] += kept;
        }
    }
    for (size_t i = 1; i < sizeof shards; i++)
        assert_int_equal(owners[i], 1);
}

static void
keeps_all_without_rules(void **unused)
{
    struct tsdb_ulid id = ulid_at(1);
    (void)unused;
    assert_true(store_relabel_keeps(NULL, (struct tsdb_labels){0}, &id));
}

static void
names_line_and_key_of_what_it_does_not_take(void **unused)
{
    static const struct {
        const char *rules;
        const char *error;
    } cases[] = {
        {"a: b", "line 1: not a list of rules"},
        {"keep", "line 1: not a list of rules"},
        {"-", "line 1: a rule without keys"},
        {"- keep", "line 1: a relabel rule is not a map of keys"},
        {"- action: keep\n  regexp: a", "line 2: unknown key \"regexp\""},
        {"- regex: a", "line 1: action is missing; keep, drop and hashmod"},
        {"- regex: a\n  action: replace",
         "line 2: action: \"replace\" does not select blocks; keep, drop and hashmod"},
        {"- action: ''", "line 1: action: \"\" does not select blocks"},
        {"- action: [keep]", "line 1: action is a list"},
        {"- action: labelkeep", "\"labelkeep\" does not select"},
        {"- action: keep\n  source_labels: cluster",
         "line 2: source_labels: not a list of label names such as [__block_id]"},
        {"- action: keep\n  source_labels:\n    - a\n    - ''",
         "line 4: source_labels: value 2 is not a label name"},
        {"- action: keep\n  source_labels: [[a]]", "line 2: source_labels: value 1"},
        {"- action: keep\n\n  regex: '('", "line 3: regex: regular expression \"(\""},
        {"- action: keep\n  separator: [a]", "line 2: separator is a list"},
        {"- action: keep\n  modulus: x",
         "line 2: modulus: \"x\" is not a whole number"},
        {"- action: keep\n- action: hashmod\n  target_label: t",
         "line 2: hashmod needs a modulus"},
        {"- {action: hashmod, target_label: t, modulus: 0}", "hashmod needs a modulus"},
        {"- {action: hashmod, target_label: t, modulus: -2}",
         "hashmod needs a modulus"},
        {"- {action: hashmod, modulus: 2}", "line 1: hashmod needs a target_label"},
        {"- {action: hashmod, modulus: 2, target_label: t, regex: '['}",
         "line 1: regex"},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_relabel *r = NULL;
        struct err err;
        expect_fails(make(&r, cases[i].rules, &err), err, ERR_INVALID);
        assert_null(r);
        if (strstr(err.text, cases[i].error) == NULL)
            fail_msg("\"%s\": %s", cases[i].rules, err.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_prometheus_keeps),
        cmocka_unit_test(shares_blocks_out_as_thanos_does),
        cmocka_unit_test(keeps_all_without_rules),
        cmocka_unit_test(names_line_and_key_of_what_it_does_not_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
