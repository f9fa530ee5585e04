/* SPDX-License-Identifier: Apache-2.0 */
/* How Prometheus is made to read its configuration again. */
#ifndef SIDECAR_RELOADER_TRIGGER_H
#define SIDECAR_RELOADER_TRIGGER_H

#include "sidecar/prom_client.h"

enum sidecar_reloader_method {
    SIDECAR_RELOADER_HTTP,  /* POST /-/reload */
    SIDECAR_RELOADER_SIGNAL /* SIGHUP; then it is asked what came of it */
};

/* All is borrowed. */
struct sidecar_reloader_trigger {
    enum sidecar_reloader_method method;
    const char *process_name; /* of SIGNAL: the first process of this name */
    struct sidecar_prom_client *client;
    /* Sleep until deadline_ns; false when there is something better to do than to wait
     * for Prometheus. */
    bool (*pause)(void *arg, int64_t deadline_ns);
    void *pause_arg;
};

/* Make it reload, once; true: it has taken what the files hold.
 * Errors as of sidecar_prom_client_reload; ERR_NOT_FOUND: no such process; ERR_DENIED:
 * it may not be signalled; ERR_TIMEOUT: nothing came of it until deadline_ns;
 * ERR_CANCELLED, also when the pause was cut short. */
NODISCARD bool sidecar_reloader_trigger_run(const struct sidecar_reloader_trigger *t,
                                            int64_t deadline_ns,
                                            const struct cancel *cancel,
                                            struct err *err);

#endif
