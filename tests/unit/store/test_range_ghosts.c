/* SPDX-License-Identifier: Apache-2.0 */
/* Random scripts against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/base/compiler.h"
#include "common/base/num.h"
#include "store/range_ghosts.h"

enum { COUNT = 16, STEPS = 20000, HASHES = 40, UNIT = 64, MOST = 20 * UNIT };

static uint64_t state = 88172645463325252u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 20) % n;
}

/* What the ring has, holes included; the oldest first. */
struct model {
    struct {
        uint64_t hash;
        size_t bytes; /* 0: a hole */
    } at[COUNT];
    size_t used;
};

static size_t
bytes_in(const struct model *m)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->used; i++)
        bytes += m->at[i].bytes;
    return bytes;
}

static void
model_add(struct model *m, uint64_t hash, size_t size)
{
    size_t bytes = (size / UNIT + 1) * UNIT;
    while (m->used == COUNT || bytes_in(m) + bytes > MOST)
        memmove(&m->at[0], &m->at[1], --m->used * sizeof m->at[0]);
    m->at[m->used].hash = hash;
    m->at[m->used++].bytes = bytes;
}

static bool
model_find(struct model *m, uint64_t hash, bool takes)
{
    for (size_t i = m->used; i-- > 0;)
        if (m->at[i].hash == hash && m->at[i].bytes > 0) {
            if (takes)
                m->at[i].bytes = 0;
            return true;
        }
    return false;
}

static void
does_as_the_model(void **unused)
{
    struct store_range_ghosts g;
    struct model m = {0};
    (void)unused;
    store_range_ghosts_init(&g, COUNT, MOST);
    for (size_t i = 0; i < STEPS; i++) {
        /* Some share a chain; some are added twice. */
        uint64_t hash = pick(HASHES) * 3;
        size_t size = pick(4 * UNIT);
        switch (pick(3)) {
        case 0:
            model_add(&m, hash, size);
            store_range_ghosts_add(&g, hash, size);
            break;
        case 1:
            assert_int_equal(store_range_ghosts_take(&g, hash),
                             model_find(&m, hash, true));
            break;
        default:
            assert_int_equal(store_range_ghosts_has(&g, hash),
                             model_find(&m, hash, false));
        }
        assert_int_equal(g.bytes, bytes_in(&m));
    }
    store_range_ghosts_fini(&g);
}

static void
takes_none_that_stands_for_too_much(void **unused)
{
    struct store_range_ghosts g, none = {0};
    (void)unused;
    store_range_ghosts_init(&g, COUNT, MOST);
    store_range_ghosts_add(&g, 1, MOST);
    assert_false(store_range_ghosts_has(&g, 1));
    store_range_ghosts_add(&g, 1, MOST - 1);
    assert_true(store_range_ghosts_has(&g, 1));
    store_range_ghosts_fini(&g);
    store_range_ghosts_add(&none, 1, 1);
    assert_false(store_range_ghosts_has(&none, 1));
    assert_false(store_range_ghosts_take(&none, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_as_the_model),
        cmocka_unit_test(takes_none_that_stands_for_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
