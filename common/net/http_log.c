/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_log.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum { SHOWN_MAX = 1024, PORT_MAX = 65535, FIRST_ERROR = 500 };

struct decision {
    const char *level;
    bool at_start;
    bool at_end;
};

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {
    {"DEBUG", LOG_LEVEL_DEBUG},
    {"INFO", LOG_LEVEL_INFO},
    {"WARNING", LOG_LEVEL_WARN},
    {"ERROR", LOG_LEVEL_ERROR},
};

/* One "options": it replaces those of the section around it as a whole, unless it says
 * nothing. */
static bool
read_options(const struct yaml *section, struct decision *out, struct err *err)
{
    static const char *const KEYS[] = {"level", "decision", NULL};
    static const char *const DECISIONS[] = {"log_start", "log_end", NULL};
    const struct yaml *options = yaml_get(section, "options");
    const struct yaml *decision = yaml_get(options, "decision");
    struct decision d = {.level = ""};
    if (!yaml_check_keys(options, KEYS, "options", err) ||
        !yaml_check_keys(decision, DECISIONS, "decision", err) ||
        !yaml_get_text(options, "level", &d.level, err) ||
        !yaml_get_bool(decision, "log_start", &d.at_start, err) ||
        !yaml_get_bool(decision, "log_end", &d.at_end, err))
        return false;
    if (d.at_start && !d.at_end)
        return yaml_refuse(decision, "log_start", err,
                           "the end of calls has to be logged, too: set log_end");
    if (*d.level == 0 && !d.at_end)
        return true;
    *out = d;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(d.level, levels[i].name) == 0)
            return true;
    return yaml_refuse(section, "options", err,
                       "unknown level \"%s\"; there are DEBUG, INFO, WARNING, ERROR",
                       d.level);
}

static bool
check_list(const struct yaml *section, const char *const keys[], struct err *err)
{
    const struct yaml *list = yaml_get(section, "config");
    if (list == NULL || list->kind == YAML_NULL)
        return true;
    if (list->kind != YAML_LIST)
        return yaml_refuse(section, "config", err, "want a list");
    for (size_t i = 0; i < list->count; i++)
        if (!yaml_check_keys(&list->children[i], keys, "config", err))
            return false;
    return true;
}

static bool
read_place(const struct yaml *entry, struct net_http_log_place *out, struct err *err)
{
    const char *path = "";
    int64_t port = 0;
    if (!yaml_get_text(entry, "path", &path, err) ||
        !yaml_get_i64(entry, "port", &port, err))
        return false;
    if (*path == 0)
        return yaml_refuse(entry, "path", err, "missing or empty");
    if (port <= 0 || port > PORT_MAX)
        return yaml_refuse(entry, "port", err, "missing, or not of 1 to %d", PORT_MAX);
    *out = (struct net_http_log_place){path, port};
    return true;
}

static bool
read_places(struct net_http_log *l, const struct yaml *http, struct err *err)
{
    static const char *const KEYS[] = {"path", "port", NULL};
    const struct yaml *list = yaml_get(http, "config");
    if (!check_list(http, KEYS, err))
        return false;
    if (list == NULL || list->count == 0)
        return true;
    l->places = xcalloc(list->count, sizeof *l->places);
    for (size_t i = 0; i < list->count; i++)
        if (!read_place(&list->children[i], &l->places[l->place_count++], err))
            return false;
    return true;
}

static bool
read_all(struct net_http_log *l, struct err *err)
{
    static const char *const KEYS[] = {"options", "http", "grpc", NULL};
    static const char *const SECTION[] = {"options", "config", NULL};
    static const char *const CALLS[] = {"service", "method", NULL};
    const struct yaml *http = yaml_get(l->tree, "http");
    const struct yaml *grpc = yaml_get(l->tree, "grpc");
    struct decision d = {.level = "ERROR"}, of_grpc = {0};
    if (!yaml_check_keys(l->tree, KEYS, "the request logging", err) ||
        !yaml_check_keys(http, SECTION, "http", err) ||
        !yaml_check_keys(grpc, SECTION, "grpc", err) ||
        !read_options(l->tree, &d, err) || !read_options(http, &d, err) ||
        !read_options(grpc, &of_grpc, err) || !check_list(grpc, CALLS, err) ||
        !read_places(l, http, err))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(d.level, levels[i].name) == 0)
            l->least = levels[i].level;
    l->at_start = d.at_start;
    l->at_end = d.at_end;
    l->has_grpc = grpc != NULL && grpc->kind != YAML_NULL;
    return true;
}

bool
net_http_log_parse(struct net_http_log *out, struct yaml **tree, struct err *err)
{
    CLEANUP(net_http_log_fini) struct net_http_log l = {.tree = TAKE(*tree)};
    *out = (struct net_http_log){0};
    if (!read_all(&l, err))
        return false;
    *out = l;
    l = (struct net_http_log){0};
    return true;
}

void
net_http_log_fini(struct net_http_log *l)
{
    free(l->places);
    yaml_tree_free(&l->tree);
    *l = (struct net_http_log){0};
}

bool
net_http_log_has(const struct net_http_log *l, struct bytes path, int64_t port)
{
    bool found = l->place_count == 0;
    for (size_t i = 0; i < l->place_count && !found; i++)
        found = l->places[i].port == port &&
                bytes_eq(bytes_of_str(l->places[i].path), path);
    return found && l->at_end;
}

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* "127.0.0.1:40000", or nothing. */
static void
print_client(int fd, char *text, size_t room)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[64], port[8];
    *text = 0;
    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0 &&
        getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, room, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void
print_method(const struct net_http_log_call *c, char *text, size_t room)
{
    struct bytes shown = c->target;
    shown.len = NUM_MIN(shown.len, (size_t)SHOWN_MAX);
    snprintf(text, room, "%s %.*s", c->method, BYTES_FMT(shown));
}

void
net_http_log_started(const struct net_http_log *l, const struct net_http_log_call *c)
{
    char method[SHOWN_MAX + 64];
    if (!l->at_start || l->least < LOG_LEVEL_DEBUG || !log_is_on(LOG_LEVEL_DEBUG))
        return;
    print_method(c, method, sizeof method);
    LOG_DEBUG("started call", LOG_STR("http.method", method),
              LOG_STR("http.request_id", or_empty(c->request_id)),
              LOG_STR("http.user_agent", or_empty(c->user_agent)),
              LOG_STR("thanos.method_name", c->handler));
}

void
net_http_log_finished(const struct net_http_log *l, const struct net_http_log_call *c)
{
    char method[SHOWN_MAX + 64], client[80], ms[32];
    enum log_level level = c->status >= FIRST_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG;
    if (level > l->least || !log_is_on(level))
        return;
    print_method(c, method, sizeof method);
    print_client(c->fd, client, sizeof client);
    snprintf(ms, sizeof ms, "%.3f", (double)c->duration_ns / (double)CLOCK_NS_PER_MS);
    LOG_AT(level, "finished call", LOG_STR("http.method", method),
           LOG_STR("http.request_id", or_empty(c->request_id)),
           LOG_STR("http.user_agent", or_empty(c->user_agent)),
           LOG_INT("http.status_code", c->status), LOG_STR("http.time_ms", ms),
           LOG_STR("http.remote_addr", client),
           LOG_STR("thanos.method_name", c->handler));
}
