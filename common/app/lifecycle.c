/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/lifecycle.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/app/notify.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/log_journal.h"
#include "common/base/pool.h"

/* Each arena keeps what was freed in it; with many threads that adds up to several
 * times what is in use. Four serve as well. */
enum { MALLOC_ARENAS = 4 };

/* Ours alone: wakes app_lifecycle_wait after app_lifecycle_fail. */
enum { WAKE_SIGNAL = SIGUSR1 };

static atomic_bool failed;

static sigset_t
awaited(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, WAKE_SIGNAL);
    return set;
}

void
app_lifecycle_begin_command(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
}

void
app_lifecycle_begin(void)
{
    sigset_t set = awaited();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    app_lifecycle_begin_command();
}

void
app_lifecycle_allow_debugging(void)
{
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
}

bool
app_lifecycle_log(const char *component, const char *name, enum log_level level,
                  enum log_format format, struct err *err)
{
    if (format == LOG_FORMAT_JOURNALD && !log_journal_open(LOG_JOURNAL_SOCKET, err))
        return err_wrap(err, "--log.format");
    log_setup(component, level, format);
    log_set_name(name);
    return true;
}

void
app_lifecycle_wait(void)
{
    sigset_t set = awaited();
    int number = 0;
    LOG_INFO("started", LOG_STR("version", app_version()),
             LOG_STR("revision", app_revision()));
    app_notify("READY=1");
    do {
        CHECK(sigwait(&set, &number) == 0);
        if (number != WAKE_SIGNAL)
            LOG_INFO("caught signal", LOG_STR("signal", sigabbrev_np(number)));
    } while (number == SIGHUP || (number == WAKE_SIGNAL && !atomic_load(&failed)));
    app_notify("STOPPING=1");
}

void
app_lifecycle_pause(int64_t deadline_ns)
{
    sigset_t set = awaited();
    for (;;) {
        int64_t left_ns = clock_left_ns(deadline_ns);
        const struct timespec left = {left_ns / CLOCK_NS_PER_S,
                                      left_ns % CLOCK_NS_PER_S};
        int number = sigtimedwait(&set, NULL, &left);
        if (number == SIGINT || number == SIGTERM || (number < 0 && errno == EAGAIN))
            return;
    }
}

void
app_lifecycle_fail(const struct err *err)
{
    LOG_ERROR("cannot go on", LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
    atomic_store(&failed, true);
    kill(getpid(), WAKE_SIGNAL);
}

int
app_lifecycle_status(void)
{
    return atomic_load(&failed) ? APP_EXIT_FAILED : APP_EXIT_OK;
}

static void *
end_at_deadline(void *arg)
{
    const int64_t *deadline_ns = arg;
    struct timespec until = {.tv_sec = *deadline_ns / CLOCK_NS_PER_S,
                             .tv_nsec = *deadline_ns % CLOCK_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    LOG_WARN("shutdown deadline has passed, leaving at once");
    _exit(app_lifecycle_status());
}

void
app_lifecycle_end_within(int64_t delay_ns)
{
    static int64_t deadline_ns; /* outlives the caller */
    pthread_t thread;
    struct err err;
    deadline_ns = clock_deadline(delay_ns);
    if (thread_start(&thread, "deadline", end_at_deadline, &deadline_ns, &err))
        pthread_detach(thread);
    else
        LOG_WARN("shutdown has no deadline", LOG_ERR(&err));
}

int
app_lifecycle_report(const char *program, const struct err *err, int status)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return status;
}

const char *
app_version(void)
{
    return BLOCKHOUSE_VERSION;
}

const char *
app_revision(void)
{
    return *BLOCKHOUSE_REVISION ? BLOCKHOUSE_REVISION : "unknown";
}
