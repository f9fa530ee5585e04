/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/aborts.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"

bool
aborts(void (*fn)(void *arg), void *arg)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        fn(arg);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
