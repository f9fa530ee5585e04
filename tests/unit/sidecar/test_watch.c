/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/watch.h"

/* Far above what any step takes: a wait that lasts this long was not woken. */
#define LONG_NS (20 * CLOCK_NS_PER_S)

struct world {
    char root[32];
    char *data;
    struct sidecar_watch *watch;
};

static void
make(const char *folder, const char *name)
{
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", folder, name);
    assert_true(file_mkdirs(path, &err));
}

static int
setup(void **state)
{
    struct err err;
    struct world *w = xcalloc(1, sizeof *w);
    snprintf(w->root, sizeof w->root, "/tmp/blockhouse-watch-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    w->data = xasprintf("%s/data", w->root);
    make(w->root, "data");
    assert_true(sidecar_watch_open(&w->watch, w->data, &err));
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct err err;
    struct world *w = *state;
    sidecar_watch_close(&w->watch);
    assert_true(file_remove_tree(w->root, &err));
    free(w->data);
    free(w);
    return 0;
}

static void
move_in(struct world *w, const char *name)
{
    CLEANUP(xfree) char *from = xasprintf("%s/new", w->root);
    CLEANUP(xfree) char *to = xasprintf("%s/%s", w->data, name);
    make(w->root, "new");
    assert_int_equal(rename(from, to), 0);
}

static bool
was_woken(struct world *w, int64_t limit_ns)
{
    int64_t deadline_ns = clock_deadline(limit_ns);
    sidecar_watch_wait(w->watch, deadline_ns);
    return clock_mono_ns() < deadline_ns;
}

static void
tells_of_a_block(void **state)
{
    struct world *w = *state;
    move_in(w, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_true(was_woken(w, LONG_NS));
}

static void
says_nothing_of_other_files(void **state)
{
    struct world *w = *state;
    move_in(w, "01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-deletion");
    move_in(w, "wal");
    assert_false(was_woken(w, CLOCK_NS_PER_S / 20));
}

static void
remembers_a_wake(void **state)
{
    struct world *w = *state;
    sidecar_watch_wake(w->watch);
    sidecar_watch_wake(w->watch);
    assert_true(was_woken(w, LONG_NS));
    assert_false(was_woken(w, CLOCK_NS_PER_S / 20));
}

static void *
wake(void *arg)
{
    sidecar_watch_wake(arg);
    return NULL;
}

static void
is_woken_by_another_thread(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake, w->watch), 0);
    assert_true(was_woken(w, LONG_NS));
    pthread_join(thread, NULL);
}

static void
watches_a_directory_that_comes_back(void **state)
{
    struct world *w = *state;
    struct err err;
    assert_true(file_remove_tree(w->data, &err));
    assert_false(was_woken(w, CLOCK_NS_PER_S / 20));
    make(w->root, "data");
    assert_false(was_woken(w, CLOCK_NS_PER_S / 20));
    move_in(w, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_true(was_woken(w, LONG_NS));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tells_of_a_block),
        CASE(says_nothing_of_other_files),
        CASE(remembers_a_wake),
        CASE(is_woken_by_another_thread),
        CASE(watches_a_directory_that_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
