/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "store/sync_pause.h"

#define S CLOCK_NS_PER_S
#define INTERVAL (900 * S)

static void
assert_about(int64_t pause_ns, int64_t wanted_ns)
{
    assert_in_range(pause_ns, wanted_ns - wanted_ns / 10, wanted_ns + wanted_ns / 10);
}

static void
rests_when_nothing_is_left(void **state)
{
    struct store_sync_pause p = {.interval_ns = INTERVAL};
    const struct store_sync_outcome done = {.has_listed = true, .is_done = true};
    (void)state;
    assert_about(store_sync_pause_after(&p, &done), INTERVAL);
}

static void
comes_back_soon_for_what_may_heal(void **state)
{
    static const struct store_sync_outcome LEFT = {.has_listed = true},
                                           UNLISTED = {.took_ns = 60 * S},
                                           SLOW = {.has_listed = true,
                                                   .took_ns = 60 * S},
                                           DONE = {.has_listed = true, .is_done = true};
    static const struct {
        const struct store_sync_outcome *outcome;
        int64_t pause_ns;
    } STEPS[] = {{&LEFT, 10 * S},     {&LEFT, 15 * S},   {&LEFT, 15 * S},
                 {&UNLISTED, 15 * S}, {&SLOW, 30 * S},   {&SLOW, 60 * S},
                 {&UNLISTED, 15 * S}, {&DONE, INTERVAL}, {&LEFT, 10 * S}};
    struct store_sync_pause p = {.interval_ns = INTERVAL};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++)
        assert_about(store_sync_pause_after(&p, STEPS[i].outcome), STEPS[i].pause_ns);
}

static void
comes_back_rarely_for_what_stays_refused(void **state)
{
    struct store_sync_pause p = {.interval_ns = INTERVAL};
    int64_t elapsed_ns = 1;
    unsigned passes = 0;
    (void)state;
    for (; elapsed_ns < 3600 * S; passes++) {
        const struct store_sync_outcome o = {.has_listed = true,
                                             .refused_ns = elapsed_ns};
        elapsed_ns += store_sync_pause_after(&p, &o);
    }
    assert_in_range(passes, 6, 12);
    const struct store_sync_outcome fresh = {.has_listed = true, .refused_ns = S};
    assert_about(store_sync_pause_after(&p, &fresh), 15 * S);
}

/* Also where that is shorter than any pause. */
static void
never_rests_longer_than_the_interval(void **state)
{
    struct store_sync_pause p = {.interval_ns = S};
    const struct store_sync_outcome left = {.has_listed = true, .refused_ns = 60 * S};
    (void)state;
    assert_about(store_sync_pause_after(&p, &left), S);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_when_nothing_is_left),
        cmocka_unit_test(comes_back_soon_for_what_may_heal),
        cmocka_unit_test(comes_back_rarely_for_what_stays_refused),
        cmocka_unit_test(never_rests_longer_than_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
