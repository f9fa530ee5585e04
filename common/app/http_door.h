/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server of a daemon as its flags have it: the address, what is logged of
 * requests (--request.logging-config), and TLS, login and headers (--http.config). */
#ifndef COMMON_APP_HTTP_DOOR_H
#define COMMON_APP_HTTP_DOOR_H

#include "common/net/http_log.h"
#include "common/net/http_server.h"

/* Values of flags, borrowed; they outlive the door. */
struct app_http_door_flags {
    const char *address;
    const char *web_config; /* path; "": plain HTTP, open to all */
    const char *logging;
    const char *logging_file;
};

/* The zero value is closed. */
struct app_http_door {
    struct net_http_server *server; /* NULL: not open */
    /* private */
    struct net_http_log log;
    struct net_web *web;
};

/* Serve; of options, address, log and web are taken from the flags. *door must be
 * closed, with app_http_door_close also after a failure.
 * Errors those of app_flags_yaml, net_http_log_parse, net_web_open and
 * net_http_server_start; the text names the flag. */
NODISCARD bool app_http_door_open(struct app_http_door *door,
                                  const struct app_http_door_flags *flags,
                                  const struct net_http_server_options *options,
                                  struct err *err);

/* As net_http_server_stop, and release. Accepts a closed door. */
void app_http_door_close(struct app_http_door *door, int64_t deadline_ns);

#endif
