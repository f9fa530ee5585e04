/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/labels.h"
#include "tests/support/guard.h"
#include "tests/unit/common/tsdb/fixture.h"

/* A set written as "name=value,name=value". */
struct set {
    struct tsdb_label at[8];
    size_t len;
};

static struct set
set_of(const char *text)
{
    struct set set = {0};
    while (*text != 0) {
        const char *equals = strchr(text, '='), *end = strchrnul(equals, ',');
        set.at[set.len++] = (struct tsdb_label){
            bytes_of(text, (size_t)(equals - text)),
            bytes_of(equals + 1, (size_t)(end - equals - 1)),
        };
        text = *end == ',' ? end + 1 : end;
    }
    return set;
}

static struct tsdb_labels
labels_of(const struct set *set)
{
    return (struct tsdb_labels){set->at, set->len};
}

static int
sign(int order)
{
    return (order > 0) - (order < 0);
}

static void
orders_pair_by_pair(void **state)
{
    (void)state;
    /* In ascending order. */
    static const char *const texts[] = {
        "",         "a=",  "a=1",  "a=1,b=2", "a=1,b=2,c=3", "a=1,c=0",
        "a=10,b=0", "a=2", "aa=0", "ab=0",    "b=0",         "\xc3\xa4=0",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
            struct set a = set_of(texts[i]), b = set_of(texts[k]);
            assert_int_equal(sign(tsdb_labels_cmp(labels_of(&a), labels_of(&b))),
                             (i > k) - (i < k));
        }
}

/* Values of each length that differ in each byte, or in none, against guard pages. */
static void
orders_values_of_any_length(void **state)
{
    (void)state;
    enum { MAX_LEN = 40 };
    static const uint8_t text[MAX_LEN + 1] = "0123456789abcdefghijklmnopqrstuvwxyzABCD";
    for (size_t len = 0; len <= MAX_LEN; len++)
        for (size_t at = 0; at <= len; at++) {
            uint8_t changed[MAX_LEN];
            memcpy(changed, text, len);
            if (at < len)
                changed[at]++;
            CLEANUP(guard_fini) struct guard a = guard_new(bytes_of(text, len));
            CLEANUP(guard_fini) struct guard b = guard_new(bytes_of(changed, len));
            const struct tsdb_label x = {BYTES("n"), a.bytes},
                                    y = {BYTES("n"), b.bytes};
            const struct tsdb_labels p = {&x, 1}, q = {&y, 1};
            assert_int_equal(sign(tsdb_labels_cmp(p, q)), at < len ? -1 : 0);
            assert_int_equal(sign(tsdb_labels_cmp(q, p)), at < len ? 1 : 0);
            assert_int_equal(tsdb_labels_cmp(p, p), 0);
        }
}

static void
knows_prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool expected;
    } cases[] = {
        {"", "", true},
        {"", "a=1", true},
        {"a=1", "a=1", true},
        {"a=1", "a=1,b=2", true},
        {"a=1", "a=2", false},
        {"a=1,b=2", "a=1", false},
        {"b=2", "a=1,b=2", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct set a = set_of(cases[i].a), b = set_of(cases[i].b);
        assert_int_equal(tsdb_labels_is_prefix(labels_of(&a), labels_of(&b)),
                         cases[i].expected);
    }
}

static void
gets_values_by_name(void **state)
{
    (void)state;
    struct set set = set_of("a=1,job=x");
    assert_bytes(tsdb_labels_get(labels_of(&set), BYTES("job")), BYTES("x"));
    assert_bytes(tsdb_labels_get(labels_of(&set), BYTES("jo")), BYTES(""));
    assert_bytes(tsdb_labels_get((struct tsdb_labels){0}, BYTES("a")), BYTES(""));
}

static void
external_labels_are_merged_and_win(void **state)
{
    (void)state;
    static const struct {
        const char *own, *external, *expected;
    } cases[] = {
        {"", "", ""},
        {"a=1", "", "a=1"},
        {"", "z=9", "z=9"},
        {"a=1,c=3", "b=2", "a=1,b=2,c=3"},
        {"b=1", "a=0,b=2,c=3", "a=0,b=2,c=3"},
        {"a=1,b=2", "a=x,b=y", "a=x,b=y"},
    };
    CLEANUP(room_fini) struct room room;
    room_init(&room, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct set own = set_of(cases[i].own), external = set_of(cases[i].external);
        struct set expected = set_of(cases[i].expected);
        struct tsdb_labels got = tsdb_labels_with_external(
            labels_of(&own), labels_of(&external), &room.arena);
        assert_int_equal(tsdb_labels_cmp(got, labels_of(&expected)), 0);
    }
}

static void
merging_without_memory_gives_an_empty_set(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    room_init(&room, 16);
    struct set own = set_of("a=1"), external = set_of("b=2");
    struct err err;
    assert_int_equal(
        tsdb_labels_with_external(labels_of(&own), labels_of(&external), &room.arena)
            .len,
        0);
    assert_failed(arena_ok(&room.arena, &err), &err, ERR_BUDGET);
}

static void
sorts_and_refuses_what_is_no_set(void **state)
{
    (void)state;
    struct set set = set_of("b=2,c=3,a=1");
    struct set sorted = set_of("a=1,b=2,c=3");
    assert_true(tsdb_labels_sort(set.at, set.len));
    assert_int_equal(tsdb_labels_cmp(labels_of(&set), labels_of(&sorted)), 0);
    struct set twice = set_of("b=2,a=1,b=3"), nameless = set_of("b=2,=3");
    assert_false(tsdb_labels_sort(twice.at, twice.len));
    assert_false(tsdb_labels_sort(nameless.at, nameless.len));
    assert_true(tsdb_labels_sort(NULL, 0));
}

static void
expect_printed(const struct tsdb_label *at, size_t len, const char *expected)
{
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print((struct tsdb_labels){at, len}, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void
prints_as_promql(void **state)
{
    (void)state;
    static const struct tsdb_label plain[] = {
        {BYTES("__name__"), BYTES("up")},
        {BYTES("a1"), BYTES("k\xc3\xb6ln\n\"x\"\\\x01\xff")},
    };
    static const struct tsdb_label quoted[] = {
        {BYTES("1a"), BYTES("1")},
        {BYTES("k8s.pod"), BYTES("")},
    };
    expect_printed(NULL, 0, "{}");
    expect_printed(plain, 1, "{__name__=\"up\"}");
    expect_printed(plain, 2,
                   "{__name__=\"up\", a1=\"k\xc3\xb6ln\\n\\\"x\\\"\\\\\\x01\\xff\"}");
    expect_printed(quoted, 2, "{\"1a\"=\"1\", \"k8s.pod\"=\"\"}");
}

static void
printed_sets_fit_a_log_line(void **state)
{
    (void)state;
    static uint8_t filler[5000];
    struct tsdb_label many[100];
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct tsdb_label){BYTES("n"), bytes_of(filler, sizeof filler)};
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print((struct tsdb_labels){many, 1}, &text);
    assert_non_null(strstr(buf_text(&text), "xxx...\"}"));
    assert_true(text.len < 100);
    buf_clear(&text);
    tsdb_labels_print((struct tsdb_labels){many, ARRAY_LEN(many)}, &text);
    assert_non_null(strstr(buf_text(&text), "\", ...}"));
    assert_true(text.len < 450);
}

static void
unescapes_names(void **state)
{
    static const struct {
        const char *escaped;
        const char *name;
    } cases[] = {
        {"job", "job"},
        {"", ""},
        {"U__", ""},
        {"U__a", "a"},
        {"U__k8s_2e_pod", "k8s.pod"},
        {"U__a__b", "a_b"},
        {"U__a_FC_b", "a\xc3\xbc"
                      "b"},
        {"U___1f600_", "\xf0\x9f\x98\x80"},
        {"U___10ffff_", "\xf4\x8f\xbf\xbf"},
        /* Of another form: kept. */
        {"U_a", "U_a"},
        {"U__a_", "U__a_"},
        {"U__a_2e", "U__a_2e"},
        {"U__a_2g_", "U__a_2g_"},
        {"U___d800_", "U___d800_"},
        {"U___110000_", "U___110000_"},
        {"U___0000061_", "U___0000061_"},
    };
    struct budget budget;
    struct arena arena;
    (void)state;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(guard_fini)
        struct guard g = guard_new(bytes_of_str(cases[i].escaped));
        struct bytes name = tsdb_labels_unescape_name(g.bytes, &arena);
        if (!bytes_eq(name, bytes_of_str(cases[i].name)))
            fail_msg("%s: %.*s", cases[i].escaped, BYTES_FMT(name));
    }
    arena_fini(&arena);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_pair_by_pair),
        cmocka_unit_test(orders_values_of_any_length),
        cmocka_unit_test(knows_prefixes),
        cmocka_unit_test(gets_values_by_name),
        cmocka_unit_test(external_labels_are_merged_and_win),
        cmocka_unit_test(merging_without_memory_gives_an_empty_set),
        cmocka_unit_test(sorts_and_refuses_what_is_no_set),
        cmocka_unit_test(unescapes_names),
        cmocka_unit_test(prints_as_promql),
        cmocka_unit_test(printed_sets_fit_a_log_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
