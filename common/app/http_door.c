/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/http_door.h"

#include "common/app/flags.h"
#include "common/net/web.h"

static bool
read_logging(struct app_http_door *door, const struct app_http_door_flags *flags,
             struct err *err)
{
    static const char name[] = "request.logging-config";
    CLEANUP(yaml_tree_free) struct yaml *tree = NULL;
    if (!app_flags_yaml(name, flags->logging, flags->logging_file, &tree, err))
        return false;
    if (!net_http_log_parse(&door->log, &tree, err))
        return app_flags_content_fail(name, flags->logging_file, err);
    if (door->log.has_grpc)
        LOG_WARN("grpc of --request.logging-config is without effect in this version");
    return true;
}

static bool
open_web(struct app_http_door *door, const char *path, struct metrics_registry *metrics,
         struct err *err)
{
    return *path == 0 || net_web_open(&door->web, path, metrics, err) ||
           err_wrap(err, "--http.config");
}

bool
app_http_door_open(struct app_http_door *door, const struct app_http_door_flags *flags,
                   const struct net_http_server_options *options, struct err *err)
{
    if (!read_logging(door, flags, err) ||
        !open_web(door, flags->web_config, options->metrics, err))
        return false;
    struct net_http_server_options own = *options;
    own.address = flags->address;
    own.log = &door->log;
    own.web = door->web;
    return net_http_server_start(&door->server, &own, err) ||
           err_wrap(err, "--http-address");
}

void
app_http_door_close(struct app_http_door *door, int64_t deadline_ns)
{
    net_http_server_stop(&door->server, deadline_ns);
    net_web_close(&door->web);
    net_http_log_fini(&door->log);
}
