/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "store/options.h"

enum { ARGS_MAX = 8 };

/* args ends with NULL. */
static enum app_flags_result
parse(struct store_options *o, const char *const *args, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)"blockhouse-store"};
    int argc = 1;
    for (; *args != NULL; args++)
        argv[argc++] = (char *)*args;
    return store_options_parse(o, argc, argv, err);
}

static void
has_the_defaults_of_thanos(void **unused)
{
    struct err err;
    struct store_options o;
    (void)unused;
    assert_int_equal(parse(&o, (const char *const[]){NULL}, &err), APP_FLAGS_OK);
    assert_string_equal(o.http_address, "0.0.0.0:10902");
    assert_int_equal(o.http_grace_period_ns, 120 * CLOCK_NS_PER_S);
    assert_string_equal(o.data_dir, "./data");
    assert_int_equal(o.sync_block_duration_ns, 900 * CLOCK_NS_PER_S);
    assert_int_equal(o.block_sync_concurrency, 20);
    assert_int_equal(o.block_meta_fetch_concurrency, 32);
    /* They bound nothing. */
    assert_int_equal(store_time_bound_at(o.mint, 0), INT64_MIN);
    assert_int_equal(store_time_bound_at(o.maxt, 0), INT64_MAX);
    assert_int_equal(o.consistency_delay_ns, 0);
    assert_int_equal(o.ignore_deletion_marks_delay_ns, 24 * 3600 * CLOCK_NS_PER_S);
    assert_int_equal(o.limit_request_series, 0);
    assert_int_equal(o.limit_request_samples, 0);
    assert_int_equal(o.series_max_concurrency, 20);
    assert_int_equal(o.query_timeout_ns, 120 * CLOCK_NS_PER_S);
    assert_int_equal(o.read_max_samples, 50000000);
    assert_int_equal(o.lookahead_bytes, 16 << 20);
    assert_int_equal(o.level, LOG_LEVEL_INFO);
    assert_int_equal(o.format, LOG_FORMAT_LOGFMT);
}

static void
shares_the_memory_out(void **unused)
{
    struct err err;
    struct store_options o;
    (void)unused;
    assert_int_equal(parse(&o, (const char *const[]){NULL}, &err), APP_FLAGS_OK);
    assert_true(o.memory_limit_bytes >= 32 << 20);
    assert_int_equal(o.query_memory_limit_bytes, o.memory_limit_bytes / 4);
    static const char *const args[] = {"--store.memory-limit=1GiB",
                                       "--store.query-memory-limit=10MiB", NULL};
    assert_int_equal(parse(&o, args, &err), APP_FLAGS_OK);
    assert_int_equal(o.memory_limit_bytes, 1 << 30);
    assert_int_equal(o.query_memory_limit_bytes, 10 << 20);
}

static void
refuses_wrong_values(void **unused)
{
    static const char *const wrong[] = {
        "--min-time=never",
        "--max-time=",
        "--max-time=0000-01-01T00:00:00Z --min-time=-1h",
        "--log.level=loud",
        "--log.format=xml",
        "--block-sync-concurrency=0",
        "--store.grpc.series-max-concurrency=-1",
        "--store.memory-limit=1MiB",
        "--sync-block-duration=0s",
        "--no-such-flag",
    };
    struct err err;
    struct store_options o;
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[128];
        const char *args[4] = {NULL};
        size_t count = 0;
        snprintf(text, sizeof text, "%s", wrong[i]);
        for (char *arg = strtok(text, " "); arg != NULL; arg = strtok(NULL, " "))
            args[count++] = arg;
        if (parse(&o, args, &err) != APP_FLAGS_USAGE)
            fail_msg("%s is accepted", wrong[i]);
    }
}

static void
refuses_a_range_that_ends_before_it_begins(void **unused)
{
    static const char *const args[] = {"--min-time=-1h", "--max-time=-2h", NULL};
    struct err err;
    struct store_options o;
    (void)unused;
    assert_int_equal(parse(&o, args, &err), APP_FLAGS_USAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_defaults_of_thanos),
        cmocka_unit_test(shares_the_memory_out),
        cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(refuses_a_range_that_ends_before_it_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
