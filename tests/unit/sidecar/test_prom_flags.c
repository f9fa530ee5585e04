/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/prom_flags.h"

#define H (3600 * CLOCK_NS_PER_S)

static const char ANSWER[] = "{\"status\":\"success\",\"data\":{"
                             "\"storage.tsdb.path\":\"data/\","
                             "\"storage.tsdb.delay-compact-file.path\":\"data/s.json\","
                             "\"storage.tsdb.min-block-duration\":\"2h\","
                             "\"storage.tsdb.max-block-duration\":\"1d12h\",\"web."
                             "enable-lifecycle\":\"false\"}}";

static void
reads_the_answer(void **state)
{
    struct err err;
    CLEANUP(sidecar_prom_flags_fini) struct sidecar_prom_flags f = {0};
    (void)state;
    assert_true(sidecar_prom_flags_parse(&f, bytes_of_str(ANSWER), &err));
    assert_true(f.told);
    assert_string_equal(f.tsdb_path, "data/");
    assert_string_equal(f.delay_compact_file, "data/s.json");
    assert_int_equal(f.min_block_ns, 2 * H);
    assert_int_equal(f.max_block_ns, 36 * H);
}

static void
flags_that_are_missing_are_not_known(void **state)
{
    struct err err;
    CLEANUP(sidecar_prom_flags_fini) struct sidecar_prom_flags f = {0};
    (void)state;
    assert_true(sidecar_prom_flags_parse(&f, BYTES("{\"data\":{}}"), &err));
    assert_true(f.told);
    assert_string_equal(f.tsdb_path, "");
    assert_string_equal(f.delay_compact_file, "");
    assert_int_equal(f.min_block_ns, 0);
}

static void
refuses_other_answers(void **state)
{
    static const char *const answers[] = {
        "",
        "[]",
        "{}",
        "{\"data\":[]}",
        "{\"data\":\"x\"}",
        "{\"data\":{\"storage.tsdb.min-block-duration\":\"two\"}}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers) + strlen(ANSWER); i++) {
        struct err err = {0};
        struct sidecar_prom_flags f = {0};
        struct bytes answer = i < ARRAY_LEN(answers)
                                  ? bytes_of_str(answers[i])
                                  : bytes_of(ANSWER, i - ARRAY_LEN(answers));
        assert_false(sidecar_prom_flags_parse(&f, answer, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(f.tsdb_path);
    }
}

static enum sidecar_prom_flags_verdict_kind
judge_file(const char *theirs, const char *their_directory, const char *ours)
{
    struct sidecar_prom_flags f = {.told = true,
                                   .tsdb_path = (char *)(uintptr_t)their_directory,
                                   .delay_compact_file = (char *)(uintptr_t)theirs,
                                   .min_block_ns = 2 * H,
                                   .max_block_ns = 36 * H};
    const struct sidecar_prom_flags_wanted wanted = {.tsdb_path = ours,
                                                     .state_name = "s.json"};
    struct sidecar_prom_flags_verdict verdict;
    sidecar_prom_flags_judge(&f, &wanted, &verdict);
    bool bad = verdict.kind == SIDECAR_PROM_FLAGS_OTHER_DELAY_FILE;
    assert_int_equal(verdict.level, bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO);
    if (bad &&
        (strstr(verdict.text, theirs) == NULL || strstr(verdict.text, ours) == NULL ||
         strstr(verdict.text, "s.json") == NULL))
        fail_msg("\"%s\" does not name both files", verdict.text);
    return verdict.kind;
}

static void
knows_its_state_file_by_every_name(void **state)
{
    static const struct {
        const char *theirs;
        const char *their_directory;
        const char *ours;
        bool same;
    } cases[] = {
        {"/p/s.json", "/p", "/p", true},
        {"/p//./q/../s.json", "/x", "/p/", true},
        {"/../p/s.json", "/x", "/p", true},
        {"/p/s.json", "/p/../p", "/mnt/p", true}, /* other mount points */
        {"data/s.json", "data", "/srv/data", true},
        {"./data/s.json", "data/", "/srv/data", true},
        {"s.json", ".", "/srv/data", true},
        {"../s.json", "..", "/srv/data", true},
        {"../../a/s.json", "../x/../../a", "/srv/data", true},
        {"data/s.json", "", "data", true},
        {"/p/t.json", "/p", "/p", false},
        {"/q/s.json", "/p", "/p", false},
        {"data/s.json", "/p", "/p", false},
        {"../s.json", "../..", "/p", false},
        {"/p/s.json/", "/x", "/p", true},
        {"/", "/p", "/p", false},
        {".", "/p", "/p", false},
        {"..", "/p", "/p", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool same = judge_file(cases[i].theirs, cases[i].their_directory,
                               cases[i].ours) == SIDECAR_PROM_FLAGS_SUITABLE;
        if (same != cases[i].same)
            fail_msg("%s in %s and %s: %d", cases[i].theirs, cases[i].their_directory,
                     cases[i].ours, same);
    }
}

static void
resolves_its_own_directory(void **state)
{
    char directory[] = "/tmp/test-prom-flags-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(directory));
    CLEANUP(xfree) char *real = realpath(directory, NULL);
    CLEANUP(xfree) char *theirs = xasprintf("%s/s.json", real);
    CLEANUP(xfree) char *link = xasprintf("%s.link", directory);
    assert_int_equal(symlink(directory, link), 0);
    assert_int_equal(judge_file(theirs, "", link), SIDECAR_PROM_FLAGS_SUITABLE);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void
judges_the_length_of_blocks(void **state)
{
    static const struct {
        int64_t min_ns;
        int64_t max_ns;
        struct sidecar_prom_flags_wanted wanted;
        enum sidecar_prom_flags_verdict_kind kind;
        enum log_level level;
        const char *says;
    } cases[] = {
        {2 * H, 2 * H, {0}, SIDECAR_PROM_FLAGS_SUITABLE, LOG_LEVEL_INFO, "leaves"},
        {0, 0, {0}, SIDECAR_PROM_FLAGS_SUITABLE, LOG_LEVEL_INFO, "leaves"},
        {0, 36 * H, {0}, SIDECAR_PROM_FLAGS_SUITABLE, LOG_LEVEL_INFO, "leaves"},
        {H / 2,
         H / 2,
         {0},
         SIDECAR_PROM_FLAGS_UNUSUAL_BLOCKS,
         LOG_LEVEL_WARN,
         "blocks of 30m"},
        {2 * H,
         36 * H,
         {0},
         SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS,
         LOG_LEVEL_ERROR,
         "from 2h up to 36h, without waiting for the sidecar; one that it compacts "
         "while "
         "the sidecar does not run is never shipped"},
        {2 * H,
         36 * H,
         {.ignore_unequal_blocks = true},
         SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS,
         LOG_LEVEL_WARN,
         "never shipped"},
        {1500 * CLOCK_NS_PER_MS,
         36 * H,
         {.upload_compacted = true},
         SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS,
         LOG_LEVEL_ERROR,
         "from 1500ms up to 36h, without waiting for the sidecar; one that it compacts "
         "while the sidecar does not run is shipped as part of a longer one"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sidecar_prom_flags f = {.told = true,
                                       .tsdb_path = (char *)(uintptr_t) "",
                                       .delay_compact_file = (char *)(uintptr_t) "",
                                       .min_block_ns = cases[i].min_ns,
                                       .max_block_ns = cases[i].max_ns};
        struct sidecar_prom_flags_verdict verdict;
        sidecar_prom_flags_judge(&f, &cases[i].wanted, &verdict);
        assert_int_equal(verdict.kind, cases[i].kind);
        assert_int_equal(verdict.level, cases[i].level);
        if (strstr(verdict.text, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", verdict.text, cases[i].says);
    }
}

/* Whatever else is wrong with the flags loses more. */
static void
misses_the_admin_api_if_it_is_needed(void **state)
{
    static const struct {
        const char *flags;
        bool needed;
        enum sidecar_prom_flags_verdict_kind kind;
    } cases[] = {
        {"\"web.enable-admin-api\":\"false\"", true, SIDECAR_PROM_FLAGS_NO_ADMIN_API},
        {"\"web.enable-admin-api\":\"false\"", false, SIDECAR_PROM_FLAGS_SUITABLE},
        {"\"web.enable-admin-api\":\"true\"", true, SIDECAR_PROM_FLAGS_SUITABLE},
        {"", true, SIDECAR_PROM_FLAGS_SUITABLE},
        {"\"web.enable-admin-api\":\"false\","
         "\"storage.tsdb.min-block-duration\":\"2h\","
         "\"storage.tsdb.max-block-duration\":\"1d\"",
         true, SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        CLEANUP(sidecar_prom_flags_fini) struct sidecar_prom_flags f = {0};
        CLEANUP(xfree) char *answer = xasprintf("{\"data\":{%s}}", cases[i].flags);
        const struct sidecar_prom_flags_wanted wanted = {
            .tsdb_path = "/p", .state_name = "s", .admin_api = cases[i].needed};
        struct sidecar_prom_flags_verdict verdict;
        assert_true(sidecar_prom_flags_parse(&f, bytes_of_str(answer), &err));
        sidecar_prom_flags_judge(&f, &wanted, &verdict);
        assert_int_equal(verdict.kind, cases[i].kind);
        if (verdict.kind == SIDECAR_PROM_FLAGS_NO_ADMIN_API)
            assert_non_null(strstr(verdict.text, "--web.enable-admin-api"));
    }
}

static void
does_not_judge_what_it_was_not_told(void **state)
{
    const struct sidecar_prom_flags f = {0};
    const struct sidecar_prom_flags_wanted wanted = {0};
    struct sidecar_prom_flags_verdict verdict;
    (void)state;
    sidecar_prom_flags_judge(&f, &wanted, &verdict);
    assert_int_equal(verdict.kind, SIDECAR_PROM_FLAGS_UNKNOWN);
    assert_int_equal(verdict.level, LOG_LEVEL_INFO);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_answer),
        cmocka_unit_test(flags_that_are_missing_are_not_known),
        cmocka_unit_test(refuses_other_answers),
        cmocka_unit_test(knows_its_state_file_by_every_name),
        cmocka_unit_test(resolves_its_own_directory),
        cmocka_unit_test(judges_the_length_of_blocks),
        cmocka_unit_test(misses_the_admin_api_if_it_is_needed),
        cmocka_unit_test(does_not_judge_what_it_was_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
