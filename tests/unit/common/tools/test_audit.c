/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket side of the check; what the content may hold is tested in
 * tests/unit/common/tsdb/test_block_verify.c, the tool in tests/e2e/bucket_tool.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tools/audit.h"
#include "tests/unit/common/tools/fixture.h"

static enum tools_verdict
audit(struct fixture *f, struct tools_report *report)
{
    struct tools_progress progress;
    tools_progress_begin(&progress, 1);
    const struct tools_audit how = {f->bucket, &f->budget, &progress};
    fixture_list(f);
    size_t before = budget_used(&f->budget);
    tools_audit_block(&how, &f->blocks.at[0], report);
    assert_int_equal(budget_used(&f->budget), before);
    return report->verdict;
}

static void
passes_a_whole_block(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tools_report_fini) struct tools_report report = {0};
    fixture_block(f, 1);
    if (audit(f, &report) != TOOLS_OK)
        fail_msg("%s: %s", report.problems[0].object, report.problems[0].what);
    assert_int_equal(report.totals.samples, FIXTURE_SAMPLES);
    assert_int_equal(report.problem_count, 0);
}

static void
knows_what_it_could_not_read(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {"meta.json", "index", "chunks/000001"};
    static const enum faulty_how hows[] = {FAULTY_REFUSE, FAULTY_CUT};
    fixture_block(f, 1);
    for (size_t i = 0; i < ARRAY_LEN(parts) * ARRAY_LEN(hows); i++) {
        CLEANUP(tools_report_fini) struct tools_report report = {0};
        faulty_bucket_add(f->bucket,
                          (struct faulty_rule){.ops = FAULTY_GET,
                                               .part = parts[i % ARRAY_LEN(parts)],
                                               .how = hows[i / ARRAY_LEN(parts)]});
        assert_int_equal(audit(f, &report), TOOLS_UNREAD);
        assert_int_equal(report.kept, 1);
        faulty_bucket_heal(f->bucket);
    }
}

static void
does_not_believe_a_liar(void **state)
{
    struct fixture *f = *state;
    fixture_block(f, 1);
    for (unsigned first = 1; first <= 2; first++) {
        CLEANUP(tools_report_fini) struct tools_report report = {0};
        faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                          .part = "index",
                                                          .first = first,
                                                          .how = FAULTY_FLIP});
        assert_int_equal(audit(f, &report), TOOLS_BROKEN);
        faulty_bucket_heal(f->bucket);
    }
    CLEANUP(tools_report_fini) struct tools_report report = {0};
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "chunks",
                                                      .how = FAULTY_TRUNCATE});
    assert_int_equal(audit(f, &report), TOOLS_UNREAD);
    assert_non_null(strstr(report.problems[0].what, "has become shorter"));
}

static void
counts_more_problems_than_it_keeps(void **state)
{
    struct fixture *f = *state;
    struct err err;
    CLEANUP(tools_report_fini) struct tools_report report = {0};
    fixture_block(f, 1);
    for (int i = 0; i < 2 * TOOLS_PROBLEMS_MAX; i++) {
        CLEANUP(xfree) char *name = xasprintf("stray-%d", i);
        CLEANUP(xfree) char *path = fixture_path(f, 1, name);
        expect_ok(file_replace(path, BYTES("x"), &err), err);
    }
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "index"});
    assert_int_equal(audit(f, &report), TOOLS_UNREAD);
    assert_int_equal(report.kept, TOOLS_PROBLEMS_MAX);
    assert_int_equal(report.problem_count, 2 * TOOLS_PROBLEMS_MAX + 1);
    assert_string_equal(report.problems[TOOLS_PROBLEMS_MAX - 1].object, "");
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(passes_a_whole_block),
        CASE(knows_what_it_could_not_read),
        CASE(does_not_believe_a_liar),
        CASE(counts_more_problems_than_it_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
