/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/prom_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/net/http_client.h"
#include "sidecar/prom_client_config.h"

/* A configuration with thousands of targets is a few megabytes. */
enum { ANSWER_MAX = 32 * 1024 * 1024 };

/* How Prometheus refuses, with the status of one that is not ready. */
#define ADMIN_API_OFF "admin APIs disabled"
#define LIFECYCLE_API_OFF "Lifecycle API is not enabled"

/* Of a reason that comes as plain text. */
enum { REASON_MAX = 300 };

enum resource { CONFIG, FLAGS, SNAPSHOT, RELOAD, RUNTIME, RESOURCES };

static const struct {
    const char *method;
    const char *path;
} resources[RESOURCES] = {
    [CONFIG] = {"GET", "/api/v1/status/config"},
    [FLAGS] = {"GET", "/api/v1/status/flags"},
    [SNAPSHOT] = {"POST", "/api/v1/admin/tsdb/snapshot?skip_head=false"},
    [RELOAD] = {"POST", "/-/reload"},
    [RUNTIME] = {"GET", "/api/v1/status/runtimeinfo"},
};

struct sidecar_prom_client {
    struct net_http_client *http;
    struct sidecar_prom_client_config config;
    char *urls[RESOURCES];
    char *shown_urls[RESOURCES]; /* the same for errors: without user and password */
};

static const struct {
    const char *name;
    const char *text;
} states[SIDECAR_PROM_STATES] = {
    [SIDECAR_PROM_UP] = {"up", "prometheus answers"},
    [SIDECAR_PROM_UNREACHABLE] = {"unreachable", "prometheus cannot be reached"},
    [SIDECAR_PROM_REPLAYING] = {"replaying",
                                "prometheus is not ready yet (replays its log)"},
    [SIDECAR_PROM_REJECTING] = {"rejecting", "prometheus rejects the sidecar"},
    [SIDECAR_PROM_CONFUSED] = {"confused", "no answer as from a prometheus"},
    [SIDECAR_PROM_LOCKED] = {"locked", "credentials for prometheus cannot be read"},
    [SIDECAR_PROM_UNLABELED] = {"unlabeled", "prometheus has no external labels"},
};

const char *
sidecar_prom_state_text(enum sidecar_prom_state state)
{
    return states[state].text;
}

const char *
sidecar_prom_state_name(enum sidecar_prom_state state)
{
    return states[state].name;
}

static char *
join(const char *base, const char *path)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    return xasprintf("%.*s%s", (int)len, base, path);
}

static char *
without_user(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *host = scheme_end != NULL ? scheme_end + 3 : url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    return xasprintf("%.*s%s", (int)(host - url), url, at != NULL ? at + 1 : host);
}

bool
sidecar_prom_client_new(struct sidecar_prom_client **out, const char *url,
                        struct bytes config, struct err *err)
{
    CLEANUP(sidecar_prom_client_free)
    struct sidecar_prom_client *c = xcalloc(1, sizeof *c);
    if (!sidecar_prom_client_config_parse(&c->config, config, err))
        return false;
    c->config.http.user_agent = "blockhouse-sidecar";
    if (!net_http_client_new(&c->http, &c->config.http, err))
        return false;
    for (size_t i = 0; i < RESOURCES; i++) {
        c->urls[i] = join(url, resources[i].path);
        c->shown_urls[i] = without_user(c->urls[i]);
    }
    *out = TAKE(c);
    return true;
}

void
sidecar_prom_client_free(struct sidecar_prom_client **c)
{
    struct sidecar_prom_client *client = TAKE(*c);
    if (client == NULL)
        return;
    net_http_client_free(&client->http);
    sidecar_prom_client_config_fini(&client->config);
    for (size_t i = 0; i < RESOURCES; i++) {
        free(client->urls[i]);
        free(client->shown_urls[i]);
    }
    free(client);
}

static bool
collect(void *arg, struct bytes piece, struct err *err)
{
    struct buf *answer = arg;
    if (piece.len > ANSWER_MAX - answer->len)
        return err_set(err, ERR_INVALID, "the answer is larger than %d bytes",
                       ANSWER_MAX);
    buf_put(answer, piece);
    return true;
}

static enum sidecar_prom_state
state_of_status(int status)
{
    if (status == 503)
        return SIDECAR_PROM_REPLAYING;
    if (status == 401 || status == 403)
        return SIDECAR_PROM_REJECTING;
    return status == 200 ? SIDECAR_PROM_UP : SIDECAR_PROM_CONFUSED;
}

/* What to do about a refusal. */
static const char *
advice(int status)
{
    if (status == 401 || status == 403)
        return "; give or correct the credentials in --prometheus.http-client";
    if (status >= 300 && status < 400)
        return "; redirects are not followed: correct --prometheus.url";
    return "";
}

struct call {
    int64_t deadline_ns;
    const struct cancel *cancel;
};

/* A refusal in plain text, as of /-/reload, in one line: what is wrong with the YAML of
 * a configuration stands in its second one. */
static char *
plain_reason(const struct net_http_response *response)
{
    char text[REASON_MAX + 1];
    size_t len = 0;
    for (size_t i = 0; i < response->error_body_len && len < REASON_MAX; i++) {
        uint8_t c = (uint8_t)response->error_body[i];
        if (c > ' ')
            text[len++] = (char)c;
        else if (len > 0 && text[len - 1] != ' ')
            text[len++] = ' ';
    }
    if (len > 0 && text[len - 1] == ' ')
        len--;
    return len > 0 ? xasprintf(": %.*s", (int)len, text) : xstrdup("");
}

/* The reason that Prometheus gives in the body of a refusal; "" for none. */
static char *
reason_of(const struct net_http_response *response, enum resource what)
{
    if (what == RELOAD)
        return plain_reason(response);
    CLEANUP(json_free) struct json *root = NULL;
    struct err ignored;
    const char *text;
    if (!json_parse(bytes_of(response->error_body, response->error_body_len),
                    sizeof response->error_body, &root, &ignored) ||
        !json_text(json_get(root, "error"), &text))
        return xstrdup("");
    return xasprintf(": %.200s", text);
}

/* Ask for a resource, its answer into *answer. */
static enum sidecar_prom_state
fetch(struct sidecar_prom_client *c, enum resource what, const struct call *call,
      struct buf *answer, struct err *err)
{
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    CLEANUP(sidecar_prom_auth_cleanse) struct buf auth = {0};
    if (!sidecar_prom_auth_header(&c->config.auth, &auth, err))
        return SIDECAR_PROM_LOCKED;
    const char *const headers[] = {auth.len > 0 ? (const char *)auth.at : NULL, NULL};
    struct net_http_request request = {
        .method = resources[what].method,
        .url = c->urls[what],
        .headers = headers,
        .sink = collect,
        .sink_arg = answer,
        .once = what == SNAPSHOT,
        .deadline_ns = call->deadline_ns,
        .cancel = call->cancel,
    };
    if (!net_http_perform(c->http, &request, response, err))
        return err->code == ERR_INVALID ? SIDECAR_PROM_CONFUSED
                                        : SIDECAR_PROM_UNREACHABLE;
    enum sidecar_prom_state state = state_of_status(response->status);
    if (state == SIDECAR_PROM_UP)
        return state;
    CLEANUP(xfree) char *reason = reason_of(response, what);
    err_set(err, net_http_status_code(response->status), "%s %s: status %d%s%s",
            resources[what].method, c->shown_urls[what], response->status, reason,
            advice(response->status));
    return state;
}

static bool
parse_labels(struct bytes answer, struct sidecar_ext_labels *labels, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    const char *config;
    if (!json_parse(answer, ANSWER_MAX, &root, err))
        return false;
    if (!json_text(json_get(json_get(root, "data"), "yaml"), &config))
        return err_set(err, ERR_INVALID, "the answer has no text data.yaml");
    return sidecar_ext_labels_parse(labels, bytes_of_str(config), err);
}

enum sidecar_prom_state
sidecar_prom_client_labels(struct sidecar_prom_client *c, int64_t deadline_ns,
                           const struct cancel *cancel,
                           struct sidecar_ext_labels *labels, struct err *err)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    const struct call call = {deadline_ns, cancel};
    enum sidecar_prom_state state = fetch(c, CONFIG, &call, &answer, err);
    if (state != SIDECAR_PROM_UP)
        return state;
    if (!parse_labels(buf_bytes(&answer), labels, err)) {
        err_wrap(err, "GET %s", c->shown_urls[CONFIG]);
        return SIDECAR_PROM_CONFUSED;
    }
    if (labels->set.len > 0)
        return SIDECAR_PROM_UP;
    err_set(err, ERR_NOT_FOUND,
            "set global.external_labels in the configuration of prometheus: blocks "
            "without labels are not shipped");
    return SIDECAR_PROM_UNLABELED;
}

enum sidecar_prom_state
sidecar_prom_client_flags(struct sidecar_prom_client *c, int64_t deadline_ns,
                          const struct cancel *cancel, struct sidecar_prom_flags *flags,
                          struct err *err)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    const struct call call = {deadline_ns, cancel};
    enum sidecar_prom_state state = fetch(c, FLAGS, &call, &answer, err);
    if (state == SIDECAR_PROM_CONFUSED && err->code == ERR_NOT_FOUND)
        return SIDECAR_PROM_UP;
    if (state != SIDECAR_PROM_UP)
        return state;
    if (sidecar_prom_flags_parse(flags, buf_bytes(&answer), err))
        return SIDECAR_PROM_UP;
    err_wrap(err, "GET %s", c->shown_urls[FLAGS]);
    return SIDECAR_PROM_CONFUSED;
}

bool
sidecar_prom_client_is_snapshot_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-";
    return *name != 0 && name[strspn(name, allowed)] == 0;
}

static bool
parse_snapshot(struct bytes answer, char **name, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    const char *text;
    if (!json_parse(answer, ANSWER_MAX, &root, err))
        return false;
    if (!json_text(json_get(json_get(root, "data"), "name"), &text) ||
        !sidecar_prom_client_is_snapshot_name(text))
        return err_set(err, ERR_INVALID, "the answer has no name of a snapshot");
    *name = xstrdup(text);
    return true;
}

bool
sidecar_prom_client_snapshot(struct sidecar_prom_client *c, int64_t deadline_ns,
                             const struct cancel *cancel, char **name, struct err *err)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    const struct call call = {deadline_ns, cancel};
    enum sidecar_prom_state state = fetch(c, SNAPSHOT, &call, &answer, err);
    if (state == SIDECAR_PROM_UP)
        return parse_snapshot(buf_bytes(&answer), name, err) ||
               err_wrap(err, "POST %s", c->shown_urls[SNAPSHOT]);
    if (strstr(err->text, ADMIN_API_OFF) != NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "the admin API of prometheus is off: start it with "
                       "--web.enable-admin-api");
    if (state == SIDECAR_PROM_REPLAYING)
        err->code = ERR_UNAVAILABLE;
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_INVALID;
    return false;
}

bool
sidecar_prom_client_reload(struct sidecar_prom_client *c, int64_t deadline_ns,
                           const struct cancel *cancel, struct err *err)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    const struct call call = {deadline_ns, cancel};
    enum sidecar_prom_state state = fetch(c, RELOAD, &call, &answer, err);
    if (state == SIDECAR_PROM_UP)
        return true;
    if (strstr(err->text, LIFECYCLE_API_OFF) != NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "prometheus cannot be told to reload: start it with "
                       "--web.enable-lifecycle, or use --reloader.method=signal");
    if (state == SIDECAR_PROM_REPLAYING)
        err->code = ERR_UNAVAILABLE;
    else if (state == SIDECAR_PROM_CONFUSED)
        err->code = ERR_INVALID;
    return false;
}

static bool
parse_loaded(struct bytes answer, struct sidecar_prom_loaded *loaded, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    const char *at;
    if (!json_parse(answer, ANSWER_MAX, &root, err))
        return false;
    const struct json *data = json_get(root, "data");
    if (!json_bool(json_get(data, "reloadConfigSuccess"), &loaded->is_good) ||
        !json_text(json_get(data, "lastConfigTime"), &at))
        return err_set(err, ERR_INVALID,
                       "the answer does not say what became of the last reload");
    snprintf(loaded->at, sizeof loaded->at, "%s", at);
    return true;
}

bool
sidecar_prom_client_loaded(struct sidecar_prom_client *c, int64_t deadline_ns,
                           const struct cancel *cancel,
                           struct sidecar_prom_loaded *loaded, struct err *err)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    const struct call call = {deadline_ns, cancel};
    enum sidecar_prom_state state = fetch(c, RUNTIME, &call, &answer, err);
    if (state == SIDECAR_PROM_UP)
        return parse_loaded(buf_bytes(&answer), loaded, err) ||
               err_wrap(err, "GET %s", c->shown_urls[RUNTIME]);
    if (state == SIDECAR_PROM_REPLAYING)
        err->code = ERR_UNAVAILABLE;
    return false;
}
