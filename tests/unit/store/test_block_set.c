/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "store/block_set.h"

enum { SOURCES_MAX = 4 };

static const struct tsdb_label x = {BYTES("l"), BYTES("x")},
                               y = {BYTES("l"), BYTES("y")};

/* What a block is said to be: its sources are the letters of a text, sorted. */
struct description {
    const char *name;
    const char *sources;
    const struct tsdb_label *label;
    int64_t resolution_ms;
};

/* sources has room for SOURCES_MAX. */
static struct store_block
block_of(const struct description *d, struct tsdb_ulid *sources)
{
    size_t count = strlen(d->sources);
    struct store_block b = {.id.raw = {(uint8_t)d->name[0]}};
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct tsdb_ulid){.raw = {(uint8_t)d->sources[i]}};
    b.meta = (struct store_block_meta){.resolution_ms = d->resolution_ms,
                                       .external = {d->label, 1},
                                       .source_count = count,
                                       .sources = sources};
    return b;
}

static void
knows_what_a_block_was_compacted_to(void **unused)
{
    static const struct description gone = {"g", "ab", &x, 0};
    static const struct {
        struct description block;
        bool replaces;
    } cases[] = {
        {{"n", "ab", &x, 0}, true},        {{"n", "abcd", &x, 0}, true},
        {{"g", "ab", &x, 0}, false}, /* itself */
        {{"n", "a", &x, 0}, false},        {{"n", "acd", &x, 0}, false},
        {{"n", "abc", &y, 0}, true}, /* as replicas become one */
        {{"n", "abc", &x, 300000}, false}, {{"n", "", &x, 0}, false},
    };
    struct tsdb_ulid gone_sources[SOURCES_MAX], sources[2][SOURCES_MAX];
    struct store_block old = block_of(&gone, gone_sources);
    struct store_block other = block_of(&cases[3].block, sources[0]);
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_block b = block_of(&cases[i].block, sources[1]);
        struct store_block *blocks[] = {&other, &b};
        struct store_block_set set = {.count = 2, .blocks = blocks};
        if (store_block_set_replaces(&set, &old) != cases[i].replaces)
            fail_msg("case %zu", i);
    }
}

static void
knows_nothing_of_a_block_without_sources(void **unused)
{
    static const struct description gone = {"g", "", &x, 0}, other = {"n", "a", &x, 0};
    struct tsdb_ulid none[SOURCES_MAX], sources[SOURCES_MAX];
    struct store_block old = block_of(&gone, none), b = block_of(&other, sources);
    struct store_block *blocks[] = {&b};
    struct store_block_set set = {.count = 1, .blocks = blocks};
    (void)unused;
    assert_false(store_block_set_replaces(&set, &old));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_a_block_was_compacted_to),
        cmocka_unit_test(knows_nothing_of_a_block_without_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
