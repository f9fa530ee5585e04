/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"

/* The wait ended although SIGTERM had not been seen yet. */
enum { ENDED_TOO_EARLY = 98, SETUP_FAILED = 99 };

/* Run body and then wait in a process of its own, since signals are the whole
 * process's; returns its exit status. A wait without end is ended by the alarm: -1. */
static int
status_of(void (*body)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sigset_t pending;
        alarm(10);
        app_lifecycle_begin();
        body();
        app_lifecycle_wait();
        sigpending(&pending);
        _exit(sigismember(&pending, SIGTERM) ? ENDED_TOO_EARLY
                                             : app_lifecycle_status());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
be_interrupted(void)
{
    kill(getpid(), SIGINT);
}

static void
be_terminated(void)
{
    kill(getpid(), SIGTERM);
}

static void *
fail_now(void *arg)
{
    struct err err;
    err_set(&err, ERR_IO, "the disk is gone");
    app_lifecycle_fail(&err);
    return arg;
}

static void
fail_on_a_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, fail_now, NULL) != 0)
        _exit(SETUP_FAILED);
    pthread_detach(thread);
}

/* Pending signals are taken in the order of their numbers: SIGTERM comes last. */
static void
be_disturbed_and_terminated(void)
{
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
}

static void
write_to_a_closed_pipe(void)
{
    int ends[2];
    if (pipe(ends) != 0 || close(ends[0]) != 0 || write(ends[1], "x", 1) != -1)
        _exit(SETUP_FAILED);
    kill(getpid(), SIGTERM);
}

static void
write_past_the_file_size_limit(void)
{
    const struct rlimit none = {0, 0};
    FILE *file = tmpfile();
    if (file == NULL || setrlimit(RLIMIT_FSIZE, &none) != 0 ||
        write(fileno(file), "x", 1) != -1 || errno != EFBIG)
        _exit(SETUP_FAILED);
    kill(getpid(), SIGTERM);
}

static void
signals_end_the_process_orderly(void **state)
{
    (void)state;
    assert_int_equal(status_of(be_interrupted), APP_EXIT_OK);
    assert_int_equal(status_of(be_terminated), APP_EXIT_OK);
    assert_int_equal(status_of(write_to_a_closed_pipe), APP_EXIT_OK);
    assert_int_equal(status_of(write_past_the_file_size_limit), APP_EXIT_OK);
}

static void
hang_up_and_stray_signals_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(status_of(be_disturbed_and_terminated), APP_EXIT_OK);
}

static void
failure_on_any_thread_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(status_of(fail_on_a_thread), APP_EXIT_FAILED);
}

static void
hang_past_the_deadline(void)
{
    app_lifecycle_end_within(10 * CLOCK_NS_PER_MS);
    for (;;)
        pause();
}

static void
fail_and_hang_past_the_deadline(void)
{
    fail_now(NULL);
    hang_past_the_deadline();
}

static void
deadline_ends_a_process_that_hangs(void **state)
{
    (void)state;
    assert_int_equal(status_of(hang_past_the_deadline), APP_EXIT_OK);
    assert_int_equal(status_of(fail_and_hang_past_the_deadline), APP_EXIT_FAILED);
}

static void
pause_until_the_deadline(void)
{
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_MS);
    raise(SIGHUP);
    app_lifecycle_pause(deadline_ns);
    _exit(clock_left_ns(deadline_ns) == 0 ? APP_EXIT_OK : APP_EXIT_FAILED);
}

static void
pause_until_a_signal(void)
{
    int64_t deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    raise(SIGTERM);
    app_lifecycle_pause(deadline_ns);
    _exit(clock_left_ns(deadline_ns) > 0 ? APP_EXIT_OK : APP_EXIT_FAILED);
}

static void
pause_ends_with_time_or_another_signal(void **state)
{
    (void)state;
    assert_int_equal(status_of(pause_until_the_deadline), APP_EXIT_OK);
    assert_int_equal(status_of(pause_until_a_signal), APP_EXIT_OK);
}

enum { NOBODY = 65534 };

/* What the same user, not root, may learn of a process from outside. */
struct outside {
    bool can_read_environment;
    bool can_trace;
    bool can_read_status;
};

static bool
can_read(pid_t pid, const char *name)
{
    char path[64], byte;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY);
    bool can = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0)
        close(fd);
    return can;
}

static struct outside
seen_from_outside(pid_t pid)
{
    struct outside seen = {
        .can_read_environment = can_read(pid, "environ"),
        .can_trace = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0,
        .can_read_status = can_read(pid, "status"),
    };
    return seen;
}

/* A daemon that has begun and waits; the test's process is its parent and observer. */
static pid_t
begin_daemon(bool with_debugging)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        app_lifecycle_begin();
        if (with_debugging)
            app_lifecycle_allow_debugging();
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* Exits with a bit for each thing that can be done from outside. */
static int
status_of_observer(bool with_debugging)
{
    int status = 0;
    pid_t observer = fork();
    assert_true(observer >= 0);
    if (observer == 0) {
        /* Dumpable again: to leave root for another user takes that away. */
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(SETUP_FAILED);
        prctl(PR_SET_DUMPABLE, 1);
        pid_t pid = begin_daemon(with_debugging);
        struct outside seen = seen_from_outside(pid);
        kill(pid, SIGKILL);
        _exit(seen.can_read_environment | seen.can_trace << 1 |
              seen.can_read_status << 2);
    }
    assert_int_equal(waitpid(observer, &status, 0), observer);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
memory_is_hidden_unless_debugging_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(status_of_observer(false), 4);
    /* Tracing may be forbidden here to everybody. */
    assert_int_equal(status_of_observer(true) | 2, 7);
}

static void
version_is_not_empty(void **state)
{
    (void)state;
    assert_true(*app_version() >= '0' && *app_version() <= '9');
    assert_true(*app_revision() != '\0');
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_end_the_process_orderly),
        cmocka_unit_test(hang_up_and_stray_signals_change_nothing),
        cmocka_unit_test(failure_on_any_thread_ends_the_process),
        cmocka_unit_test(deadline_ends_a_process_that_hangs),
        cmocka_unit_test(pause_ends_with_time_or_another_signal),
        cmocka_unit_test(memory_is_hidden_unless_debugging_is_allowed),
        cmocka_unit_test(version_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
