/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tools/selector.h"
#include "tests/support/expect.h"

static const struct tsdb_label labels[] = {{BYTES("cluster"), BYTES("eu1")},
                                           {BYTES("path"), BYTES("a\"b\\c")}};

static void
matches_external_labels(void **state)
{
    static const struct {
        const char *texts[3];
        bool matches;
    } cases[] = {
        {{NULL}, true},
        {{"cluster=\"eu1\""}, true},
        {{"cluster=eu1"}, true},
        {{"cluster=\"eu2\""}, false},
        {{"cluster!=eu2"}, true},
        {{"cluster=~\"eu.\""}, true},
        {{"cluster!~\"eu.\""}, false},
        {{"cluster=eu1", "absent=\"\""}, true},
        {{"cluster=eu1", "absent=x"}, false},
        {{"path=\"a\\\"b\\\\c\""}, true},
        {{"path=a\"b\\c"}, true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct app_flag_list texts = {0};
        CLEANUP(tools_selector_fini) struct tools_selector s = {0};
        struct err err;
        while (cases[i].texts[texts.count] != NULL) {
            texts.at[texts.count] = cases[i].texts[texts.count];
            texts.count++;
        }
        expect_ok(tools_selector_parse(&s, &texts, &err), err);
        if (tools_selector_matches(&s, (struct tsdb_labels){labels, 2}) !=
            cases[i].matches)
            fail_msg("%s", cases[i].texts[0]);
    }
}

static void
names_what_is_wrong(void **state)
{
    static const char *const cases[] = {"",       "a",         "=b",     "a=\"b",
                                        "a!b",    "a=\"b\\",   "a=~(",   "a=\"b\"c",
                                        "=\"b\"", "a=\"b\\\"", "!~\"x\""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct app_flag_list texts = {{cases[i]}, 1};
        CLEANUP(tools_selector_fini) struct tools_selector s = {0};
        struct err err;
        expect_fails(tools_selector_parse(&s, &texts, &err), err, ERR_INVALID);
        assert_non_null(strstr(err.text, "--selector: "));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_external_labels),
        cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
