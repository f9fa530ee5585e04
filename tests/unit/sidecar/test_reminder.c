/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/reminder.h"

static void
reminds_of_news_at_once_and_else_once_a_minute(void **state)
{
    struct sidecar_reminder r = {0};
    int64_t now_ns = 5;
    (void)state;
    clock_freeze(now_ns, 0);
    assert_true(sidecar_reminder_is_due(&r, 1));
    assert_false(sidecar_reminder_is_due(&r, 1));
    assert_true(sidecar_reminder_is_due(&r, 2));
    clock_freeze(now_ns + 59 * CLOCK_NS_PER_S, 0);
    assert_false(sidecar_reminder_is_due(&r, 2));
    clock_freeze(now_ns + 60 * CLOCK_NS_PER_S, 0);
    assert_true(sidecar_reminder_is_due(&r, 2));
    assert_false(sidecar_reminder_is_due(&r, 2));
    r = (struct sidecar_reminder){0};
    assert_true(sidecar_reminder_is_due(&r, 2));
    clock_unfreeze();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reminds_of_news_at_once_and_else_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
