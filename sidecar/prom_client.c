/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/prom_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/net/http_client.h"

/* A configuration with thousands of targets is a few megabytes. */
enum { ANSWER_MAX = 32 * 1024 * 1024 };

struct sidecar_prom_client {
    struct net_http_client *http;
    char *config_url;
    char *shown_url; /* the same for errors: without user and password */
};

const char *
sidecar_prom_state_text(enum sidecar_prom_state state)
{
    switch (state) {
    case SIDECAR_PROM_UP:
        return "prometheus answers";
    case SIDECAR_PROM_UNREACHABLE:
        return "prometheus cannot be reached";
    case SIDECAR_PROM_REPLAYING:
        return "prometheus is not ready yet (replays its log)";
    case SIDECAR_PROM_REJECTING:
        return "prometheus rejects the sidecar";
    case SIDECAR_PROM_CONFUSED:
        return "no answer as from a prometheus";
    }
    return "unknown";
}

static char *
config_url(const char *base)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    return xasprintf("%.*s/api/v1/status/config", (int)len, base);
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
                        struct err *err)
{
    struct net_http_client_options options = {.user_agent = "blockhouse-sidecar",
                                              .max_idle = 1};
    struct net_http_client *http = NULL;
    if (!net_http_client_new(&http, &options, err))
        return false;
    *out = xcalloc(1, sizeof **out);
    (*out)->http = http;
    (*out)->config_url = config_url(url);
    (*out)->shown_url = without_user((*out)->config_url);
    return true;
}

void
sidecar_prom_client_free(struct sidecar_prom_client **c)
{
    struct sidecar_prom_client *client = TAKE(*c);
    if (client == NULL)
        return;
    net_http_client_free(&client->http);
    free(client->config_url);
    free(client->shown_url);
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

/* GET the configuration into *answer. */
static enum sidecar_prom_state
fetch(struct sidecar_prom_client *c, int64_t deadline_ns, const struct cancel *cancel,
      struct buf *answer, struct err *err)
{
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    struct net_http_request request = {
        .method = "GET",
        .url = c->config_url,
        .sink = collect,
        .sink_arg = answer,
        .deadline_ns = deadline_ns,
        .cancel = cancel,
    };
    if (!net_http_perform(c->http, &request, response, err))
        return err->code == ERR_INVALID ? SIDECAR_PROM_CONFUSED
                                        : SIDECAR_PROM_UNREACHABLE;
    enum sidecar_prom_state state = state_of_status(response->status);
    if (state != SIDECAR_PROM_UP)
        err_set(err, net_http_status_code(response->status), "GET %s: status %d",
                c->shown_url, response->status);
    return state;
}

static bool
parse_answer(struct bytes answer, struct sidecar_ext_labels *labels, struct err *err)
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
    enum sidecar_prom_state state = fetch(c, deadline_ns, cancel, &answer, err);
    if (state != SIDECAR_PROM_UP)
        return state;
    if (!parse_answer(buf_bytes(&answer), labels, err)) {
        err_wrap(err, "GET %s", c->shown_url);
        return SIDECAR_PROM_CONFUSED;
    }
    return SIDECAR_PROM_UP;
}
