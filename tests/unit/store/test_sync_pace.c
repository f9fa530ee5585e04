/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "store/sync_pace.h"

static const int64_t S = CLOCK_NS_PER_S;

static int64_t
failed(struct store_sync_pace *p, bool has_listed, int64_t took_ns)
{
    return store_sync_pace_end(
        p, &(struct store_sync_pass){.has_listed = has_listed, .took_ns = took_ns});
}

static int64_t
complete(struct store_sync_pace *p)
{
    return store_sync_pace_end(p, &(struct store_sync_pass){.has_listed = true,
                                                            .is_complete = true,
                                                            .took_ns = 100 * S});
}

static void
waits_an_interval_after_a_complete_pass(void **unused)
{
    struct store_sync_pace p;
    (void)unused;
    store_sync_pace_init(&p, 900 * S);
    assert_int_equal(complete(&p), 900 * S);
    assert_int_equal(complete(&p), 900 * S);
}

static void
tries_again_sooner(void **unused)
{
    struct store_sync_pace p;
    (void)unused;
    store_sync_pace_init(&p, 900 * S);
    assert_int_equal(failed(&p, true, S), 10 * S);
    assert_int_equal(failed(&p, true, S), 15 * S);
    assert_int_equal(failed(&p, true, S), 15 * S);
    assert_int_equal(complete(&p), 900 * S);
    assert_int_equal(failed(&p, true, S), 10 * S);
}

/* A pass that takes long is a burden if it is made over and over. */
static void
spares_a_bucket_that_takes_long(void **unused)
{
    struct store_sync_pace p;
    (void)unused;
    store_sync_pace_init(&p, 900 * S);
    static const int64_t waits_s[] = {10, 20, 40, 50, 50};
    for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++)
        assert_int_equal(failed(&p, true, 5 * S), waits_s[i] * S);
    for (int i = 0; i < 10; i++)
        failed(&p, true, 3600 * S);
    assert_int_equal(failed(&p, true, 3600 * S), 900 * S);
    assert_int_equal(failed(&p, false, 3600 * S), 15 * S);
}

static void
waits_no_longer_than_the_interval(void **unused)
{
    struct store_sync_pace p;
    (void)unused;
    store_sync_pace_init(&p, 3 * S);
    assert_int_equal(failed(&p, false, 0), 3 * S);
    assert_int_equal(failed(&p, true, 100 * S), 3 * S);
}

static void
comes_back_rarely_for_what_stays_refused(void **unused)
{
    struct store_sync_pace p;
    int64_t elapsed_ns = 1;
    unsigned passes = 0;
    (void)unused;
    store_sync_pace_init(&p, 900 * S);
    for (; elapsed_ns < 3600 * S; passes++)
        elapsed_ns += store_sync_pace_end(
            &p,
            &(struct store_sync_pass){.has_listed = true, .refused_ns = elapsed_ns});
    assert_in_range(passes, 6, 12);
    assert_int_equal(
        store_sync_pace_end(
            &p, &(struct store_sync_pass){.has_listed = true, .refused_ns = S}),
        15 * S);
}

static void
suggestions_slow_down_while_they_follow_each_other(void **unused)
{
    struct store_sync_pace p;
    (void)unused;
    store_sync_pace_init(&p, 60 * S);
    static const int64_t waits_s[] = {5, 10, 20, 40, 60, 60};
    for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++) {
        assert_int_equal(p.suggested_ns, waits_s[i] * S);
        store_sync_pace_begin(&p, true);
    }
    store_sync_pace_begin(&p, false);
    assert_int_equal(p.suggested_ns, 5 * S);
}

static void
jitter_is_a_tenth_at_most(void **unused)
{
    (void)unused;
    assert_int_equal(store_sync_pace_jittered(1000, 0), 900);
    assert_int_equal(store_sync_pace_jittered(1000, 100), 1000);
    assert_int_equal(store_sync_pace_jittered(1000, 200), 1100);
    assert_int_equal(store_sync_pace_jittered(1000, 201), 900);
    assert_in_range(store_sync_pace_jittered(1000, UINT64_MAX), 900, 1100);
    assert_int_equal(store_sync_pace_jittered(0, UINT64_MAX), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_an_interval_after_a_complete_pass),
        cmocka_unit_test(tries_again_sooner),
        cmocka_unit_test(spares_a_bucket_that_takes_long),
        cmocka_unit_test(waits_no_longer_than_the_interval),
        cmocka_unit_test(comes_back_rarely_for_what_stays_refused),
        cmocka_unit_test(suggestions_slow_down_while_they_follow_each_other),
        cmocka_unit_test(jitter_is_a_tenth_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
