/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader_trigger.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum { NAME_MAX_BYTES = 15 /* that the kernel keeps of a name */, COMM_LIMIT = 64 };

/* Between two questions to Prometheus whether it has reloaded. */
#define POLL_NS (250 * CLOCK_NS_PER_MS)

/* One whose configuration was bad does not tell that it was found bad again: then it is
 * taken as refused after this. A guess, above what a reload takes. */
#define REFUSED_AFTER_NS (20 * CLOCK_NS_PER_S)

struct search {
    struct bytes name;
    pid_t found; /* the least; 0: none */
};

static bool
has_name(const char *pid, struct bytes name)
{
    CLEANUP(xfree) char *path = xasprintf("/proc/%s/comm", pid);
    CLEANUP(buf_fini) struct buf comm = {0};
    struct err ignored; /* it has ended */
    return file_read_all(path, COMM_LIMIT, &comm, &ignored) && comm.len > 0 &&
           bytes_eq(bytes_of(comm.at, comm.len - 1), name);
}

static bool
look_at_process(void *arg, const char *entry, struct err *err)
{
    struct search *s = arg;
    (void)err;
    if (entry[strspn(entry, "0123456789")] != 0 || !has_name(entry, s->name))
        return true;
    pid_t pid = (pid_t)strtol(entry, NULL, 10);
    if (s->found == 0 || pid < s->found)
        s->found = pid;
    return true;
}

static bool
hang_up(const char *name, struct err *err)
{
    struct search s = {
        .name = bytes_of(name, NUM_MIN(strlen(name), (size_t)NAME_MAX_BYTES))};
    if (!file_list("/proc", look_at_process, &s, err))
        return false;
    if (s.found == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "no process is called \"%s\": correct --reloader.process-name, "
                       "or share the process namespace of the pod",
                       name);
    if (kill(s.found, SIGHUP) == 0)
        return true;
    int errnum = errno;
    err_sys(err, errnum, "signal process %d (%s)", (int)s.found, name);
    return errnum == EPERM ? err_wrap(err, "run the sidecar as the user of prometheus")
                           : false;
}

/* Whether the second of a reload is not over: another one in it would tell the same
 * time. */
static bool
is_now(const char *at)
{
    enum { SECONDS_LEN = sizeof "2026-11-23T10:20:30" - 1 };
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ns(), now);
    return strncmp(at, now, SECONDS_LEN) == 0;
}

static bool
sleep_for(const struct sidecar_reloader_trigger *t, int64_t sleep_ns, struct err *err)
{
    return t->pause(t->pause_arg, clock_deadline(sleep_ns)) ||
           err_set(err, ERR_CANCELLED, "there is news before prometheus has reloaded");
}

/* Ask what came of the signal until there is an answer. */
static bool
wait_until_loaded(const struct sidecar_reloader_trigger *t,
                  const struct sidecar_prom_loaded *before, int64_t deadline_ns,
                  const struct cancel *cancel, struct err *err)
{
    int64_t limit_ns = NUM_MIN(deadline_ns, clock_deadline(REFUSED_AFTER_NS));
    struct sidecar_prom_loaded now;
    do {
        if (!sleep_for(t, POLL_NS, err) ||
            !sidecar_prom_client_loaded(t->client, deadline_ns, cancel, &now, err))
            return false;
        if (now.is_good && strcmp(now.at, before->at) != 0)
            return true;
    } while ((now.is_good || !before->is_good) && clock_left_ns(limit_ns) > 0);
    if (now.is_good)
        return err_set(err, ERR_TIMEOUT, "prometheus has not reloaded at its signal");
    return err_set(err, ERR_INVALID,
                   "prometheus has refused the configuration or a rule, its log says "
                   "why, and goes on with those from before");
}

static bool
reload_by_signal(const struct sidecar_reloader_trigger *t, int64_t deadline_ns,
                 const struct cancel *cancel, struct err *err)
{
    struct sidecar_prom_loaded before;
    if (!sidecar_prom_client_loaded(t->client, deadline_ns, cancel, &before, err))
        return false;
    if (is_now(before.at) && !sleep_for(t, CLOCK_NS_PER_S, err))
        return false;
    return hang_up(t->process_name, err) &&
           wait_until_loaded(t, &before, deadline_ns, cancel, err);
}

bool
sidecar_reloader_trigger_run(const struct sidecar_reloader_trigger *t,
                             int64_t deadline_ns, const struct cancel *cancel,
                             struct err *err)
{
    return t->method == SIDECAR_RELOADER_HTTP
               ? sidecar_prom_client_reload(t->client, deadline_ns, cancel, err)
               : reload_by_signal(t, deadline_ns, cancel, err);
}
