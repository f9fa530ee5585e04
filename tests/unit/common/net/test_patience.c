/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/net/patience.h"

#define S CLOCK_NS_PER_S
#define MOST (120 * S)
#define NOW (1000 * S)
#define LATER (NOW + 3600 * S)

static int64_t
after_silences(struct net_patience *p, int64_t now_ns, unsigned count)
{
    int64_t limit = net_patience_limit(p, now_ns, MOST);
    for (unsigned i = 0; i < count; i++) {
        net_patience_note_silence(p, now_ns, limit, MOST);
        limit = net_patience_limit(p, now_ns, MOST);
    }
    return limit;
}

static void
nobody_waits_longer_than_the_client(void **state)
{
    struct net_patience p = {.first_ns = 5 * S};
    (void)state;
    assert_int_equal(net_patience_limit(NULL, NOW, MOST), MOST);
    assert_int_equal(net_patience_limit(&p, NOW, MOST), 5 * S);
    assert_int_equal(net_patience_limit(&p, NOW, 3 * S), 3 * S);
    net_patience_note_silence(NULL, NOW, MOST, MOST);
    net_patience_note_answer(NULL, NOW, MOST);
}

static void
grows_to_the_limit_while_no_answer_is_known(void **state)
{
    static const int64_t LIMITS[] = {5 * S, 10 * S, 20 * S, 40 * S, 80 * S, MOST, MOST};
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(LIMITS); i++) {
        struct net_patience p = {.first_ns = 5 * S};
        assert_int_equal(after_silences(&p, NOW, i), LIMITS[i]);
    }
}

static void
grows_once_where_one_is_known(void **state)
{
    struct net_patience p = {.first_ns = 5 * S};
    (void)state;
    net_patience_note_answer(&p, NOW, S);
    assert_int_equal(after_silences(&p, NOW, 10), 10 * S);
    net_patience_note_answer(&p, NOW, S);
    assert_int_equal(net_patience_limit(&p, NOW, MOST), 5 * S);
    assert_int_equal(after_silences(&p, LATER, 10), MOST);
}

/* Of many requests at the same time. */
static void
silences_together_count_once(void **state)
{
    struct net_patience p = {.first_ns = 5 * S};
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        net_patience_note_silence(&p, NOW, 5 * S, MOST);
    assert_int_equal(net_patience_limit(&p, NOW, MOST), 10 * S);
}

static void
waits_for_who_is_known_to_be_slow(void **state)
{
    struct net_patience p = {.first_ns = 5 * S};
    (void)state;
    net_patience_note_answer(&p, NOW, 15 * S);
    net_patience_note_answer(&p, NOW, S);
    assert_int_equal(net_patience_limit(&p, NOW, MOST), 30 * S);
    assert_int_equal(net_patience_limit(&p, NOW, 20 * S), 20 * S);
    assert_int_equal(net_patience_limit(&p, LATER, MOST), 5 * S);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_longer_than_the_client),
        cmocka_unit_test(grows_to_the_limit_while_no_answer_is_known),
        cmocka_unit_test(grows_once_where_one_is_known),
        cmocka_unit_test(silences_together_count_once),
        cmocka_unit_test(waits_for_who_is_known_to_be_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
