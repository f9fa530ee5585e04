/* SPDX-License-Identifier: Apache-2.0 */
/* Start and end of a daemon: signals, exit status, version. */
#ifndef COMMON_APP_LIFECYCLE_H
#define COMMON_APP_LIFECYCLE_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/log.h"

/* Exit statuses. */
enum { APP_EXIT_OK = 0, APP_EXIT_FAILED = 1, APP_EXIT_USAGE = 2 };

/* Before any thread starts and any secret is read: block SIGINT, SIGTERM, SIGHUP in all
 * threads, ignore SIGPIPE and SIGXFSZ (both are errors of a write), bound the number of
 * malloc arenas. The memory, and with it the credentials, is nobody's to see but
 * root's: there are no core dumps, and no other process may trace this one. */
void app_lifecycle_begin(void);

/* The same for a program that signals end as usual. */
void app_lifecycle_begin_command(void);

/* Core dumps and debuggers are allowed from now on. */
void app_lifecycle_allow_debugging(void);

/* Set up the log: component and name as log_setup and log_set_name take them.
 * Errors ERR_UNAVAILABLE: it is to go to a journal that is not there. */
NODISCARD bool app_lifecycle_log(const char *component, const char *name,
                                 enum log_level level, enum log_format format,
                                 struct err *err);

/* Wait for SIGINT or SIGTERM and log it. SIGHUP is logged and changes nothing. The
 * service manager is told that the process is ready, and then that it stops. */
void app_lifecycle_wait(void);

/* While the process stops: wait until deadline_ns, or for another SIGINT or SIGTERM. */
void app_lifecycle_pause(int64_t deadline_ns);

/* From any thread: make app_lifecycle_wait return, for a failure that must end the
 * process; the status is then APP_EXIT_FAILED. */
void app_lifecycle_fail(const struct err *err);

/* The process has delay_ns from now to end; then it is ended with app_lifecycle_status,
 * whatever still runs: a thread may hang in a call to a dead file server. At most once.
 */
void app_lifecycle_end_within(int64_t delay_ns);

/* Exit status after app_lifecycle_wait has returned. */
int app_lifecycle_status(void);

/* Print "program: text" to stderr; returns status. As in Thanos APP_EXIT_USAGE is for
 * flags that cannot be read, APP_EXIT_FAILED for all else. */
int app_lifecycle_report(const char *program, const struct err *err, int status);

/* "0.1.0", from the build. */
const char *app_version(void);
const char *app_revision(void);

#endif
