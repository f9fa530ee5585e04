/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/heap.h"

enum { SOURCES = 9 };

static bool
is_before(const void *arg, size_t a, size_t b)
{
    const int *keys = arg;
    return keys[a] < keys[b];
}

/* Every order in which the keys can be pushed that a rotation and a stride give. */
static void
pops_in_order_whatever_was_pushed_first(void **state)
{
    static const int keys[SOURCES] = {5, 3, 9, 3, 1, 7, 7, 0, 2};
    (void)state;
    for (size_t from = 0; from < SOURCES; from++)
        for (size_t stride = 1; stride < SOURCES; stride++) {
            size_t at[SOURCES];
            struct heap h = {.at = at, .is_before = is_before, .arg = keys};
            size_t pushed = 0;
            for (size_t i = 0; i < SOURCES; i++)
                if (SOURCES % 3 != 0 || stride % 3 != 0) {
                    heap_push(&h, (from + i * stride) % SOURCES);
                    pushed++;
                }
            int last = -1;
            for (; pushed > 0; pushed--) {
                int key = keys[heap_pop(&h)];
                assert_true(key >= last);
                last = key;
            }
            assert_int_equal(h.count, 0);
        }
}

static void
takes_new_sources_between_pops(void **state)
{
    static const int keys[] = {4, 2, 3, 1};
    size_t at[4];
    struct heap h = {.at = at, .is_before = is_before, .arg = keys};
    (void)state;
    heap_push(&h, 0);
    heap_push(&h, 1);
    assert_int_equal(heap_pop(&h), 1);
    heap_push(&h, 2);
    heap_push(&h, 3);
    assert_int_equal(heap_pop(&h), 3);
    assert_int_equal(heap_pop(&h), 2);
    assert_int_equal(heap_pop(&h), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_in_order_whatever_was_pushed_first),
        cmocka_unit_test(takes_new_sources_between_pops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
