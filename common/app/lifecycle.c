/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/lifecycle.h"

#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/log.h"

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
app_lifecycle_begin(void)
{
    sigset_t set = awaited();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
}

void
app_lifecycle_wait(void)
{
    sigset_t set = awaited();
    int number = 0;
    do {
        CHECK(sigwait(&set, &number) == 0);
        if (number != WAKE_SIGNAL)
            LOG_INFO("caught signal", LOG_STR("signal", sigabbrev_np(number)));
    } while (number == SIGHUP || (number == WAKE_SIGNAL && !atomic_load(&failed)));
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

int
app_lifecycle_report(const char *program, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ERR_INVALID ? APP_EXIT_USAGE : APP_EXIT_FAILED;
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
