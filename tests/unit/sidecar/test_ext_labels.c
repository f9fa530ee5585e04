/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/ext_labels.h"

static void
reads_the_global_section(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        const char *labels;
    } cases[] = {
        {"", "{}"},
        {"global:\n", "{}"},
        {"global:\n  scrape_interval: 15s\n", "{}"},
        {"global:\n  external_labels:\n    replica: a\n    cluster: eu1\n",
         "{cluster=\"eu1\", replica=\"a\"}"},
        {"global:\n  scrape_interval: 1m\n\n  external_labels:\n    a: \"1\"\n"
         "    empty: \"\"\nscrape_configs:\n- job_name: x\n",
         "{a=\"1\", empty=\"\"}"},
        {"rule_files: [a]\nglobal:\n  external_labels: {n: 007, b: yes}",
         "{b=\"yes\", n=\"007\"}"},
        /* what other sections hold does not matter */
        {"x: &anchor 1\nglobal: {external_labels: {a: b}}\ny: *anchor\n", "{a=\"b\"}"},
        {"scrape_configs:\n  global:\n    external_labels: {a: b}\n", "{}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
        CLEANUP(buf_fini) struct buf text = {0};
        if (!sidecar_ext_labels_parse(&labels, bytes_of_str(cases[i].config), &err))
            fail_msg("%zu: %s", i, err.text);
        tsdb_labels_print(labels.set, &text);
        assert_string_equal(buf_text(&text), cases[i].labels);
    }
}

static void
refuses_what_are_no_labels(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "global: [unclosed",
        "global:\n  external_labels: [a, b]\n",
        "global:\n  external_labels: text\n",
        "global:\n  external_labels: {a: [1]}\n",
        "global:\n  external_labels: {a: 1, a: 2}\n",
        "global:\n  external_labels: {\"\": 1}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct sidecar_ext_labels labels = {0};
        assert_false(sidecar_ext_labels_parse(&labels, bytes_of_str(cases[i]), &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void
copies_stand_alone(void **state)
{
    (void)state;
    struct err err;
    struct sidecar_ext_labels labels = {0};
    assert_true(sidecar_ext_labels_parse(
        &labels, BYTES("global: {external_labels: {a: b, c: ''}}"), &err));
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels copy = sidecar_ext_labels_copy(labels.set);
    assert_int_equal(tsdb_labels_cmp(copy.set, labels.set), 0);
    sidecar_ext_labels_fini(&labels);
    assert_int_equal(labels.set.len, 0);
    assert_true(bytes_eq(tsdb_labels_get(copy.set, BYTES("a")), BYTES("b")));
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels none = sidecar_ext_labels_copy(labels.set);
    assert_int_equal(none.set.len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_global_section),
        cmocka_unit_test(refuses_what_are_no_labels),
        cmocka_unit_test(copies_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
