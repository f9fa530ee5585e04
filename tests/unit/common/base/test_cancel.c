/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/cancel.h"
#include "common/base/clock.h"
#include "common/base/compiler.h"

static bool
becomes_readable(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1 && (p.revents & POLLIN) != 0;
}

static bool
is_readable(int fd)
{
    return becomes_readable(fd, 0);
}

static void
zero_value_is_not_raised(void **state)
{
    CLEANUP(cancel_fini) struct cancel c = {0};
    (void)state;
    assert_false(cancel_is_raised(&c));
    assert_false(cancel_is_raised(NULL));
    assert_int_equal(cancel_fd(NULL), -1);
    assert_false(cancel_wait(&c, 0));
    assert_false(cancel_wait(NULL, CLOCK_NS_PER_MS));
}

static void
descriptor_tells_what_the_flag_does(void **state)
{
    CLEANUP(cancel_fini) struct cancel early = {0};
    CLEANUP(cancel_fini) struct cancel late = {0};
    (void)state;
    int fd = cancel_fd(&early);
    assert_true(fd >= 0);
    assert_false(is_readable(fd));
    assert_int_equal(cancel_fd(&early), fd);
    cancel_raise(&early);
    cancel_raise(&early);
    assert_true(cancel_is_raised(&early));
    assert_true(is_readable(fd));
    /* Raised before anybody waited. */
    cancel_raise(&late);
    assert_true(is_readable(cancel_fd(&late)));
}

static void
child_is_raised_with_its_parent(void **state)
{
    CLEANUP(cancel_fini) struct cancel root = {0};
    CLEANUP(cancel_fini) struct cancel parent = {.parent = &root};
    CLEANUP(cancel_fini) struct cancel child = {.parent = &parent};
    CLEANUP(cancel_fini) struct cancel sibling = {.parent = &parent};
    (void)state;
    int fd = cancel_fd(&child);
    assert_true(fd >= 0);
    assert_int_equal(cancel_fd(&child), fd);
    assert_false(is_readable(fd));
    cancel_raise(&sibling);
    assert_true(cancel_is_raised(&sibling));
    assert_true(is_readable(cancel_fd(&sibling)));
    assert_false(cancel_is_raised(&child) || cancel_is_raised(&parent));
    assert_false(is_readable(fd));
    cancel_raise(&root);
    assert_true(cancel_is_raised(&child));
    assert_true(is_readable(fd));
    assert_true(cancel_wait(&child, 60 * CLOCK_NS_PER_S));
}

static void
fini_makes_the_zero_value(void **state)
{
    struct cancel c = {0};
    (void)state;
    int fd = cancel_fd(&c);
    cancel_raise(&c);
    cancel_fini(&c);
    assert_false(cancel_is_raised(&c));
    assert_int_equal(close(fd), -1);
    cancel_fini(&c);
}

static void
waits_the_whole_time_unless_raised(void **state)
{
    CLEANUP(cancel_fini) struct cancel c = {0};
    (void)state;
    int64_t begin = clock_mono_ns();
    assert_false(cancel_wait(&c, 30 * CLOCK_NS_PER_MS));
    assert_true(clock_mono_ns() - begin >= 30 * CLOCK_NS_PER_MS);
    cancel_raise(&c);
    assert_true(cancel_wait(&c, CLOCK_NEVER));
}

static void *
wait_for_ever(void *arg)
{
    struct cancel *c = arg;
    /* The flag is up before the descriptor tells. */
    return cancel_wait(c, CLOCK_NEVER) && becomes_readable(cancel_fd(c), 60000) ? c
                                                                                : NULL;
}

/* Both orders of raising and waiting come up over the rounds; a wake-up that is lost
 * hangs. */
static void
wakes_every_waiter(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        CLEANUP(cancel_fini) struct cancel c = {0};
        pthread_t waiters[4];
        for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
            assert_int_equal(pthread_create(&waiters[i], NULL, wait_for_ever, &c), 0);
        cancel_raise(&c);
        for (size_t i = 0; i < ARRAY_LEN(waiters); i++) {
            void *woken = NULL;
            pthread_join(waiters[i], &woken);
            assert_ptr_equal(woken, &c);
        }
    }
}

static void *
raise_it(void *arg)
{
    cancel_raise(arg);
    return NULL;
}

static void
waits_without_a_descriptor(void **state)
{
    CLEANUP(cancel_fini) struct cancel c = {0};
    struct rlimit old;
    pthread_t raiser;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int fd = cancel_fd(&c);
    int64_t begin = clock_mono_ns();
    bool raised = cancel_wait(&c, 25 * CLOCK_NS_PER_MS);
    int64_t waited_ns = clock_mono_ns() - begin;
    int created = pthread_create(&raiser, NULL, raise_it, &c);
    bool woken = created == 0 && cancel_wait(&c, CLOCK_NEVER);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(created, 0);
    pthread_join(raiser, NULL);
    assert_int_equal(fd, -1);
    assert_false(raised);
    assert_true(waited_ns >= 25 * CLOCK_NS_PER_MS);
    assert_true(woken);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_value_is_not_raised),
        cmocka_unit_test(descriptor_tells_what_the_flag_does),
        cmocka_unit_test(child_is_raised_with_its_parent),
        cmocka_unit_test(fini_makes_the_zero_value),
        cmocka_unit_test(waits_the_whole_time_unless_raised),
        cmocka_unit_test(wakes_every_waiter),
        cmocka_unit_test(waits_without_a_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
