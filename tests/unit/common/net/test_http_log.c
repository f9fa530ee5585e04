/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/compiler.h"
#include "common/net/http_log.h"

static bool
parse(struct net_http_log *l, const char *text, struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *tree = NULL;
    assert_true(yaml_parse(bytes_of_str(text), 10000, &tree, err));
    return net_http_log_parse(l, &tree, err);
}

static void
logs_nothing_unless_told(void **state)
{
    static const char *const texts[] = {"", "{}", "options: {level: DEBUG}",
                                        "http: {config: [{path: /a, port: 1}]}"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(net_http_log_fini) struct net_http_log l;
        assert_true(parse(&l, texts[i], &err));
        assert_false(net_http_log_has(&l, BYTES("/a"), 1));
    }
}

static void
chooses_by_path_and_port(void **state)
{
    CLEANUP(net_http_log_fini) struct net_http_log l;
    struct err err;
    (void)state;
    assert_true(
        parse(&l,
              "options: {level: INFO, decision: {log_start: true, log_end: true}}\n"
              "http:\n  config:\n  - {path: /a, port: 1}\n  - {path: /b, port: 2}\n",
              &err));
    assert_int_equal(l.least, LOG_LEVEL_INFO);
    assert_true(l.at_start);
    assert_true(net_http_log_has(&l, BYTES("/a"), 1));
    assert_true(net_http_log_has(&l, BYTES("/b"), 2));
    assert_false(net_http_log_has(&l, BYTES("/a"), 2));
    assert_false(net_http_log_has(&l, BYTES("/a/"), 1));
}

static void
lets_the_options_of_http_replace_the_common_ones(void **state)
{
    CLEANUP(net_http_log_fini) struct net_http_log l;
    struct err err;
    (void)state;
    assert_true(
        parse(&l,
              "options: {level: INFO, decision: {log_start: true, log_end: true}}\n"
              "http: {options: {level: DEBUG, decision: {log_end: true}}}\n"
              "grpc: {config: [{service: s, method: m}]}\n",
              &err));
    assert_int_equal(l.least, LOG_LEVEL_DEBUG);
    assert_false(l.at_start);
    assert_true(l.has_grpc);
    assert_true(net_http_log_has(&l, BYTES("/any"), 7));
}

static void
refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"option: {}", "line 1: unknown key \"option\""},
        {"options: {level: LOUD}", "unknown level \"LOUD\""},
        {"options: {decision: {log_end: true}}", "unknown level \"\""},
        {"options:\n  level: INFO\n  decision: {log_start: true}", "line 3: log_start"},
        {"http: {options: {level: info}}", "unknown level \"info\""},
        {"grpc: {options: {level: X}}", "unknown level \"X\""},
        {"grpc: {config: [{path: x}]}", "unknown key \"path\""},
        {"http: {config: {path: x}}", "line 1: config: want a list"},
        {"http: {config: [{path: /a}]}", "port: missing"},
        {"http: {config: [{path: /a, port: 65536}]}", "port: missing, or not"},
        {"http:\n  config:\n  - {port: 1}", "path: missing"},
        {"http: {config: [{path: /a, port: 1, host: h}]}", "unknown key \"host\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(net_http_log_fini) struct net_http_log l;
        struct err err;
        if (parse(&l, cases[i].text, &err) || strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" is not in \"%s\"", i, cases[i].says, err.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_nothing_unless_told),
        cmocka_unit_test(chooses_by_path_and_port),
        cmocka_unit_test(lets_the_options_of_http_replace_the_common_ones),
        cmocka_unit_test(refuses_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
