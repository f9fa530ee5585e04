/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "store/block_filter.h"
#include "tests/support/expect.h"

enum { NOW_MS = 1000000000, HOUR_MS = 3600000, MAX_BLOCKS = 60 };

static const struct store_block_rules everything = {
    .mint_ms = INT64_MIN / 2, .maxt_ms = INT64_MAX / 2, .deletion_delay_ms = HOUR_MS};

/* A ULID that was made at that time, the number in its random part. */
static struct tsdb_ulid
ulid_at(int64_t ms, uint8_t number)
{
    struct tsdb_ulid id = {0};
    for (int i = 0; i < 6; i++)
        id.raw[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.raw[TSDB_ULID_SIZE - 1] = number;
    return id;
}

static enum store_block_state
judge_one(const struct store_block_meta *meta, int64_t marked_ms,
          const struct store_block_rules *rules)
{
    struct store_candidate c = {
        .id = ulid_at(NOW_MS - 500, 1), .meta = meta, .marked_ms = marked_ms};
    store_block_filter(&c, 1, rules, NOW_MS);
    return c.state;
}

static void
judges_by_the_first_rule_that_is_broken(void **unused)
{
    static const struct {
        const char *name;
        struct store_block_meta meta;
        int64_t marked_ms; /* 0: not */
        struct store_block_rules rules;
        enum store_block_state expected;
    } cases[] = {
        {"plain", .meta.upload_time_ms = INT64_MIN, .rules.maxt_ms = 10,
         .expected = STORE_BLOCK_SERVED},
        {"downsampled", .meta.resolution_ms = 300000,
         .expected = STORE_BLOCK_DOWNSAMPLED},
        {"no coarser than wanted", .meta.resolution_ms = 300000,
         .rules = {.maxt_ms = 10, .max_resolution_ms = 300000},
         .expected = STORE_BLOCK_SERVED},
        {"coarser than wanted", .meta.resolution_ms = 3600000,
         .rules = {.maxt_ms = 10, .max_resolution_ms = 3599999},
         .expected = STORE_BLOCK_DOWNSAMPLED},
        {"of a resolution that there is not", .meta.resolution_ms = 300001,
         .rules = {.maxt_ms = 10, .max_resolution_ms = 3600000},
         .expected = STORE_BLOCK_DOWNSAMPLED},
        {"ends at mint", .meta = {.mint_ms = 5, .maxt_ms = 10},
         .rules = {.mint_ms = 10, .maxt_ms = 20}, .expected = STORE_BLOCK_SERVED},
        {"ends before mint", .meta = {.mint_ms = 5, .maxt_ms = 9},
         .rules = {.mint_ms = 10, .maxt_ms = 20}, .expected = STORE_BLOCK_OUTSIDE},
        {"begins at maxt", .meta = {.mint_ms = 20, .maxt_ms = 30},
         .rules = {.mint_ms = 10, .maxt_ms = 20}, .expected = STORE_BLOCK_SERVED},
        {"begins behind maxt", .meta = {.mint_ms = 21, .maxt_ms = 30},
         .rules = {.mint_ms = 10, .maxt_ms = 20}, .expected = STORE_BLOCK_OUTSIDE},
        {"uploaded long ago", .meta.upload_time_ms = 1,
         .rules.consistency_delay_ms = 1000, .expected = STORE_BLOCK_SERVED},
        {"uploaded just now", .meta.upload_time_ms = NOW_MS - 999,
         .rules.consistency_delay_ms = 1000, .expected = STORE_BLOCK_FRESH},
        {"upload unknown, made just now", .meta.upload_time_ms = INT64_MIN,
         .rules.consistency_delay_ms = 501, .expected = STORE_BLOCK_FRESH},
        {"upload unknown, old enough", .meta.upload_time_ms = INT64_MIN,
         .rules.consistency_delay_ms = 500, .expected = STORE_BLOCK_SERVED},
        {"fresh rewrite", .meta = {.upload_time_ms = NOW_MS, .is_rewrite = true},
         .rules.consistency_delay_ms = 1000, .expected = STORE_BLOCK_SERVED},
        {"from the near future", .meta.upload_time_ms = NOW_MS + 999,
         .rules.consistency_delay_ms = 1000, .expected = STORE_BLOCK_FRESH},
        {"from another time", .meta.upload_time_ms = NOW_MS + 1000,
         .rules.consistency_delay_ms = 1000, .expected = STORE_BLOCK_SERVED},
        {"from the future, without delay", .meta.upload_time_ms = NOW_MS + 1,
         .expected = STORE_BLOCK_SERVED},
        {"marked just now", .marked_ms = NOW_MS - 1000, .rules.deletion_delay_ms = 1000,
         .expected = STORE_BLOCK_SERVED},
        {"marked long ago", .marked_ms = NOW_MS - 1001, .rules.deletion_delay_ms = 1000,
         .expected = STORE_BLOCK_MARKED},
        {"marked before time began", .marked_ms = INT64_MIN,
         .expected = STORE_BLOCK_MARKED},
        {"outside and marked", .meta = {.mint_ms = 5, .maxt_ms = 9}, .marked_ms = 1,
         .rules = {.mint_ms = 10, .maxt_ms = 20}, .expected = STORE_BLOCK_OUTSIDE},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t marked_ms = cases[i].marked_ms == 0 ? INT64_MAX : cases[i].marked_ms;
        enum store_block_state got =
            judge_one(&cases[i].meta, marked_ms, &cases[i].rules);
        if (got != cases[i].expected)
            fail_msg("%s: state %d instead of %d", cases[i].name, (int)got,
                     (int)cases[i].expected);
    }
}

/* The selector is tried behind the time range and in front of the rest. */
static void
leaves_out_what_the_selector_does(void **unused)
{
    struct err err;
    CLEANUP(store_relabel_free) struct store_relabel *selector = NULL;
    CLEANUP(yaml_tree_free) struct yaml *tree = NULL;
    const struct tsdb_label a = {BYTES("cluster"), BYTES("a")},
                            b = {BYTES("cluster"), BYTES("b")};
    struct store_block_rules rules = {.maxt_ms = 10, .consistency_delay_ms = 1000};
    (void)unused;
    expect_ok(yaml_parse(BYTES("[{action: drop, source_labels: [cluster], regex: b}]"),
                         1 << 10, &tree, &err) &&
                  store_relabel_new(&selector, &tree, &err),
              err);
    rules.selector = selector;
    const struct {
        struct store_block_meta meta;
        enum store_block_state expected;
    } cases[] = {
        {{.external = {&a, 1}, .upload_time_ms = 1}, STORE_BLOCK_SERVED},
        {{.external = {&b, 1}, .upload_time_ms = 1}, STORE_BLOCK_UNSELECTED},
        {{.external = {&b, 1}, .upload_time_ms = NOW_MS}, STORE_BLOCK_UNSELECTED},
        {{.external = {&b, 1}, .mint_ms = 11, .maxt_ms = 12}, STORE_BLOCK_OUTSIDE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(judge_one(&cases[i].meta, INT64_MAX, &rules),
                         cases[i].expected);
}

/* A block whose sources are the letters of a text. */
struct case_block {
    const char *sources;
    const char *label;
    enum store_block_state expected;
};

static void
check_blocks(const struct case_block *blocks, size_t count)
{
    struct store_block_meta metas[8] = {0};
    struct store_candidate candidates[8];
    struct tsdb_ulid sources[8][8];
    struct tsdb_label labels[8];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < strlen(blocks[i].sources); k++)
            sources[i][k] = ulid_at(1, (uint8_t)blocks[i].sources[k]);
        labels[i] = (struct tsdb_label){BYTES("l"), bytes_of_str(blocks[i].label)};
        metas[i] = (struct store_block_meta){.external = {&labels[i], 1},
                                             .source_count = strlen(blocks[i].sources),
                                             .sources = sources[i]};
        candidates[i] = (struct store_candidate){
            .id = ulid_at(2, (uint8_t)i), .meta = &metas[i], .marked_ms = INT64_MAX};
    }
    store_block_filter(candidates, count, &everything, NOW_MS);
    for (size_t i = 0; i < count; i++)
        if (candidates[i].state != blocks[i].expected)
            fail_msg("block %zu of %s is in state %d", i, blocks[i].sources,
                     (int)candidates[i].state);
}

#define CHECK_BLOCKS(...)                                 \
    do {                                                  \
        const struct case_block blocks[] = {__VA_ARGS__}; \
        check_blocks(blocks, ARRAY_LEN(blocks));          \
    } while (0)

static void
drops_blocks_that_another_contains(void **unused)
{
    const enum store_block_state served = STORE_BLOCK_SERVED,
                                 dup = STORE_BLOCK_DUPLICATE;
    (void)unused;
    CHECK_BLOCKS({"a", "x", served}, {"b", "x", served});
    CHECK_BLOCKS({"a", "x", dup}, {"b", "x", dup}, {"ab", "x", served});
    CHECK_BLOCKS({"ba", "x", served}, {"ab", "x", dup});
    CHECK_BLOCKS({"a", "x", dup}, {"ab", "x", dup}, {"abc", "x", served},
                 {"cd", "x", served});
    CHECK_BLOCKS({"a", "x", served}, {"ab", "y", served}, {"a", "y", dup});
    CHECK_BLOCKS({"", "x", served});
    CHECK_BLOCKS({"", "x", dup}, {"a", "x", served}, {"", "y", served}, {"", "y", dup});
}

static bool
contains(const struct store_block_meta *outer, const struct store_block_meta *inner)
{
    for (size_t i = 0; i < inner->source_count; i++) {
        bool has = false;
        for (size_t k = 0; k < outer->source_count; k++)
            has |= tsdb_ulid_cmp(&inner->sources[i], &outer->sources[k]) == 0;
        if (!has)
            return false;
    }
    return true;
}

/* Random blocks: against the rule as it is written down. */
static void
drops_what_a_naive_filter_drops(void **unused)
{
    static struct store_block_meta metas[MAX_BLOCKS];
    static struct tsdb_ulid sources[MAX_BLOCKS][8];
    static struct store_candidate candidates[MAX_BLOCKS];
    (void)unused;
    srand(4711);
    for (size_t round = 0; round < 200; round++) {
        size_t count = 1 + (size_t)rand() % MAX_BLOCKS;
        for (size_t i = 0; i < count; i++) {
            size_t len = (size_t)rand() % 5;
            for (size_t k = 0; k < len; k++)
                sources[i][k] = ulid_at(1, (uint8_t)(rand() % 9));
            metas[i] =
                (struct store_block_meta){.source_count = len, .sources = sources[i]};
            candidates[i] = (struct store_candidate){.id = ulid_at(2, (uint8_t)i),
                                                     .meta = &metas[i],
                                                     .marked_ms = INT64_MAX};
        }
        store_block_filter(candidates, count, &everything, NOW_MS);
        bool is_kept[MAX_BLOCKS] = {0};
        for (size_t len = 5; len-- > 0;) {
            for (size_t i = 0; i < count; i++) {
                if (metas[i].source_count != len)
                    continue;
                is_kept[i] = true;
                for (size_t k = 0; k < count; k++)
                    if (k != i && is_kept[k] && contains(&metas[k], &metas[i]))
                        is_kept[i] = false;
                assert_int_equal(candidates[i].state == STORE_BLOCK_SERVED, is_kept[i]);
            }
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_by_the_first_rule_that_is_broken),
        cmocka_unit_test(leaves_out_what_the_selector_does),
        cmocka_unit_test(drops_blocks_that_another_contains),
        cmocka_unit_test(drops_what_a_naive_filter_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
