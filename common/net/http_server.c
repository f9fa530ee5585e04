/* SPDX-License-Identifier: Apache-2.0 */
/* Requests coming in. The library calls on_request several times for each: once when
 * the headers are there, once for each piece of the body, once at its end. The first
 * call judges framing, path, method and announced size. What it refuses is answered
 * there when a body would follow (the library then closes the connection), or else in
 * the last call, so that the connection lives on. */
#include "common/net/http_server.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/net/form.h"
#include "common/net/http_log.h"
#include "common/net/http_server_priv.h"
#include "common/net/listen.h"
#include "common/net/web.h"

enum {
    DEFAULT_CONNECTIONS = 256,
    /* For those who come while room is made. Beyond, the library closes at once. */
    SPARE_CONNECTIONS = 16,
    DEFAULT_IDLE_S = 120,
    DEFAULT_REQUEST_S = 30,
    STACK_BYTES = 512 * 1024,
    /* For headers, and for one chunk of an answer on its way out. */
    CONNECTION_BYTES = 64 * 1024,
    TARGET_MAX = 32 * 1024
};

/* How a request says how long its body is. */
struct framing {
    unsigned lengths;
    unsigned encodings;
    bool bad;
    uint64_t length; /* the largest that is announced */
};

static enum MHD_Result
note_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = arg;
    (void)kind;
    if (strpbrk(name, " \t") != NULL) {
        f->bad = true;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        f->lengths++;
        /* The library has refused what is not a number of 64 bits. */
        uint64_t length = strtoull(value, NULL, 10);
        f->length = NUM_MAX(f->length, length);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        f->encodings++;
        f->bad |= strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

/* Servers that read one request where a proxy in front read two are a way in: whatever
 * could be read in two ways is refused. */
static bool
is_ambiguous(const struct net_http_exchange *x, const struct framing *f)
{
    return f->bad || f->lengths + f->encodings > 1 ||
           (f->encodings != 0 && x->is_http_1_0);
}

static PRINTF_LIKE(3, 4) void preset(struct net_http_exchange *x, int status,
                                     const char *fmt, ...)
{
    va_list args;
    x->preset_status = status;
    va_start(args, fmt);
    vsnprintf(x->preset_text, sizeof x->preset_text, fmt, args);
    va_end(args);
}

/* Answer a method that has no route: 204 to OPTIONS, 405 to others. */
static void
preset_allow(struct net_http_exchange *x, const struct net_http_route *of_path)
{
    CLEANUP(buf_fini) struct buf allow = {0};
    net_http_route_print_allowed(x->server, of_path, &allow);
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_ALLOW, buf_text(&allow));
    if (strcmp(x->sample.method, "OPTIONS") == 0)
        preset(x, MHD_HTTP_NO_CONTENT, "%s", "");
    else
        preset(x, MHD_HTTP_METHOD_NOT_ALLOWED,
               "method not allowed: %.16s; allowed are %s", x->sample.method,
               buf_text(&allow));
}

/* Cut the target into path and query, and check the encoding of the path. False also
 * when there was no memory for it. */
static bool
split_target(struct net_http_exchange *x)
{
    size_t len;
    x->path = buf_bytes(&x->target);
    const uint8_t *mark = x->path.len > 0 ? memchr(x->path.at, '?', x->path.len) : NULL;
    if (mark != NULL) {
        x->query = x->path;
        x->path.len = (size_t)(mark - x->path.at);
        bytes_skip(&x->query, x->path.len + 1);
    }
    uint8_t *into = buf_reserve(&x->decoded, x->path.len + 1);
    return into != NULL && net_form_decode_path(x->path, into, &len);
}

static void
find_route(struct net_http_exchange *x)
{
    struct err err;
    if (x->target.len > TARGET_MAX) {
        preset(x, MHD_HTTP_URI_TOO_LONG, "path and query too long");
        return;
    }
    bool is_split = buf_ok(&x->target, &err) && split_target(x);
    if (!buf_ok(&x->target, &err) || !buf_ok(&x->decoded, &err)) {
        preset(x, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the request now");
        return;
    }
    if (!is_split) {
        preset(x, MHD_HTTP_BAD_REQUEST, "broken path");
        return;
    }
    struct net_http_match match =
        net_http_route_find(x->server, x->sample.method, x->path, x->decoded.at);
    x->route = match.route;
    x->parameter = match.parameter;
    if (match.of_path == NULL) {
        preset(x, MHD_HTTP_NOT_FOUND, "page not found");
        return;
    }
    x->sample.handler = match.of_path->name;
    if (x->route == NULL)
        preset_allow(x, match.of_path);
}

static void
preset_refusal(struct net_http_exchange *x, enum net_web_verdict verdict)
{
    buf_clear(&x->headers);
    if (verdict == NET_WEB_BUSY) {
        preset(x, MHD_HTTP_SERVICE_UNAVAILABLE,
               "too many passwords wait to be looked at");
        return;
    }
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                 "Basic realm=\"blockhouse\"");
    preset(x, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
}

/* Whether the client may ask at all, or has a refusal preset; its answers get the
 * configured headers. */
static bool
admit(struct net_http_exchange *x)
{
    struct net_web *web = x->server->web;
    if (web == NULL)
        return true;
    struct net_web_state *state = net_web_acquire(web);
    const struct yaml *headers = state->config.headers;
    for (size_t i = 0; headers != NULL && i < headers->count; i++)
        net_http_put_field(&x->defaults, headers->keys[i], headers->children[i].text);
    enum net_web_verdict verdict = net_web_admits(
        web, state, net_http_exchange_header(x, MHD_HTTP_HEADER_AUTHORIZATION));
    net_web_release(web, &state);
    if (verdict != NET_WEB_ADMITTED)
        preset_refusal(x, verdict);
    return verdict == NET_WEB_ADMITTED;
}

static void
judge(struct net_http_exchange *x, const struct framing *f)
{
    find_route(x);
    if (is_ambiguous(x, f))
        preset(x, MHD_HTTP_BAD_REQUEST, "ambiguous length of the request body");
    else if (admit(x) && x->route != NULL && f->length > x->route->max_body)
        preset(x, MHD_HTTP_CONTENT_TOO_LARGE,
               "request body too large: %" PRIu64 " bytes are above the limit of %zu",
               f->length, x->route->max_body);
}

/* What the library keeps of a connection for us. */
struct connection {
    struct net_http_peer *peer;
    struct net_web_session *tls; /* NULL: plain */
};

static struct connection *
open_connection(struct net_http_server *s, struct MHD_Connection *connection)
{
    struct connection *c = calloc(1, sizeof *c);
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (c == NULL)
        return NULL;
    c->peer = net_http_peers_open(
        s->peers, MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                      ->connect_fd);
    if (tls != NULL)
        c->tls = net_web_session_new(s->web, tls->tls_session);
    return c;
}

/* The library has ended its TLS session already. */
static void
close_connection(struct net_http_server *s, struct connection *c)
{
    if (c == NULL)
        return;
    net_http_peers_close(s->peers, &c->peer);
    net_web_session_free(&c->tls);
    free(c);
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *context = open_connection(arg, connection);
    else
        close_connection(arg, *context);
}

static struct net_http_peer *
peer_of(struct MHD_Connection *connection)
{
    struct connection *c =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
            ->socket_context;
    return c != NULL ? c->peer : NULL;
}

/* The library hands out the target of a request before it decodes it in place, and
 * keeps what this returns as the context of the request. */
static void *
on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct net_http_server *s = arg;
    struct net_http_exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->server = s;
    x->connection = connection;
    x->peer = peer_of(connection);
    net_http_peers_sends(s->peers, x->peer);
    x->users = 1;
    x->sample.handler = "none";
    buf_init(&x->body, s->budget);
    buf_init(&x->target, s->budget);
    buf_init(&x->decoded, s->budget);
    buf_put_str(&x->target, target);
    return x;
}

static void
count_running(struct net_http_server *s, int delta)
{
    MUTEX_SCOPE(&s->lock);
    s->running += (unsigned)delta;
    if (s->running == 0)
        cond_broadcast(&s->ended);
}

static enum MHD_Result
reply_preset(struct net_http_exchange *x)
{
    if (x->preset_text[0] != 0)
        net_http_reply_line(x, x->preset_status, x->preset_text);
    else
        net_http_reply(x, x->preset_status, NULL, (struct bytes){0});
    return x->queued ? MHD_YES : MHD_NO;
}

static struct net_http_log_call
call_of(const struct net_http_exchange *x)
{
    return (struct net_http_log_call){
        .method = x->sample.method,
        .target = buf_bytes(&x->target),
        .request_id = net_http_exchange_header(x, "X-Request-ID"),
        .user_agent = net_http_exchange_header(x, MHD_HTTP_HEADER_USER_AGENT),
        .handler = x->sample.handler,
        .fd = x->fd,
        .status = x->sample.status,
        .duration_ns = x->sample.duration_ns,
    };
}

static void
log_start(struct net_http_exchange *x)
{
    const struct net_http_server *s = x->server;
    x->is_logged = s->log != NULL && net_http_log_has(s->log, x->path, s->port);
    if (!x->is_logged)
        return;
    const struct net_http_log_call call = call_of(x);
    net_http_log_started(s->log, &call);
}

static enum MHD_Result
on_headers(struct net_http_exchange *x, const char *method, const char *version)
{
    struct framing f = {0};
    x->begun = true;
    x->fd = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                ->connect_fd;
    x->is_http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
    x->begin_ns = clock_mono_ns();
    x->sample.method = method;
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, note_header, &f);
    judge(x, &f);
    log_start(x);
    count_running(x->server, 1);
    net_http_metrics_begin(x->server->metrics, x->sample.handler, x->sample.method);
    bool body_follows = f.length != 0 || f.encodings != 0;
    return x->preset_status != 0 && body_follows ? reply_preset(x) : MHD_YES;
}

/* A body beyond its limit, or of a request that is refused anyway, closes the
 * connection: the library cannot answer while a body is coming in. A body beyond the
 * budget is read to its end, which is near, and then refused. */
static enum MHD_Result
on_body(struct net_http_exchange *x, struct bytes piece)
{
    x->received += piece.len;
    if (x->preset_status != 0) {
        x->sample.status = x->preset_status;
        return MHD_NO;
    }
    if (x->received > x->route->max_body) {
        x->sample.status = MHD_HTTP_CONTENT_TOO_LARGE;
        return MHD_NO;
    }
    buf_put(&x->body, piece);
    return MHD_YES;
}

static enum MHD_Result
on_complete_request(struct net_http_exchange *x)
{
    struct err err;
    net_http_peers_waits(x->server->peers, x->peer);
    if (x->preset_status != 0)
        return reply_preset(x);
    if (buf_ok(&x->body, &err))
        x->route->handler(x->route->arg, x);
    else
        net_http_reply_err(x, &err);
    CHECK(x->replied);
    return x->queued ? MHD_YES : MHD_NO;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
           const char *method, const char *version, const char *piece,
           size_t *piece_len, void **context)
{
    struct net_http_exchange *x = *context;
    (void)arg, (void)connection, (void)path;
    if (x == NULL)
        return MHD_NO;
    if (!x->begun)
        return on_headers(x, method, version);
    if (*piece_len == 0)
        return on_complete_request(x);
    struct bytes body = bytes_of(piece, *piece_len);
    *piece_len = 0;
    return on_body(x, body);
}

static void
on_end(void *arg, struct MHD_Connection *connection, void **context,
       enum MHD_RequestTerminationCode code)
{
    /* Of a client that left before an answer; a habit of other servers' logs. */
    enum { CLIENT_CLOSED_REQUEST = 499 };
    struct net_http_server *s = arg;
    struct net_http_exchange *x = *context;
    (void)connection, (void)code;
    if (x == NULL)
        return;
    *context = NULL;
    bool begun = x->begun;
    net_http_peers_rests(s->peers, x->peer);
    if (x->sample.status == 0)
        x->sample.status = CLIENT_CLOSED_REQUEST;
    x->sample.duration_ns = clock_mono_ns() - x->begin_ns;
    x->sample.request_bytes = x->received;
    if (begun)
        net_http_metrics_end(s->metrics, &x->sample);
    if (x->is_logged) {
        const struct net_http_log_call call = call_of(x);
        net_http_log_finished(s->log, &call);
    }
    net_http_exchange_unref(&x);
    if (begun)
        count_running(s, -1);
}

static struct MHD_Daemon *
start_daemon(struct net_http_server *s, int fd, unsigned connections, unsigned idle_s)
{
    bool has_tls = s->web != NULL && net_web_has_tls(s->web);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, net_web_tls_no_certificate()},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC | (has_tls ? MHD_USE_TLS : 0U),
        0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, s, MHD_OPTION_CONNECTION_LIMIT,
        connections, MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_ARRAY, has_tls ? tls : tls + 1, MHD_OPTION_END);
}

static void
free_server(struct net_http_server **out)
{
    struct net_http_server *s = TAKE(*out);
    if (s == NULL)
        return;
    net_http_metrics_free(&s->metrics);
    net_http_peers_free(&s->peers);
    cond_fini(&s->ended);
    mutex_fini(&s->lock);
    free(s);
}

static struct net_http_server *
new_server(const struct net_http_server_options *o)
{
    struct net_http_server *s = xcalloc(1, sizeof *s);
    s->routes = o->routes;
    s->route_count = o->route_count;
    s->budget = o->budget;
    s->web = o->web;
    s->log = o->log;
    s->metrics = net_http_metrics_new(o->metrics);
    for (size_t i = 0; i < o->route_count; i++)
        net_http_metrics_prepare(s->metrics, o->routes[i].name, o->routes[i].method);
    mutex_init(&s->lock, LOCK_HTTP_SERVER);
    cond_init(&s->ended);
    return s;
}

bool
net_http_server_start(struct net_http_server **out,
                      const struct net_http_server_options *o, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    uint16_t port;
    if (!net_listen(o->address, &fd, &port, err))
        return false;
    CLEANUP(free_server) struct net_http_server *s = new_server(o);
    unsigned connections =
        o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS;
    unsigned idle_s = o->idle_timeout_s ? o->idle_timeout_s : DEFAULT_IDLE_S;
    unsigned request_s =
        o->request_timeout_s ? o->request_timeout_s : DEFAULT_REQUEST_S;
    const struct net_http_peers_options peers = {
        .most = connections,
        .request_timeout_ns = request_s * CLOCK_NS_PER_S,
        .idle_timeout_ns = idle_s * CLOCK_NS_PER_S,
    };
    s->port = port;
    if (!net_http_peers_new(&s->peers, &peers, err))
        return false;
    s->daemon = start_daemon(s, fd, connections + SPARE_CONNECTIONS, idle_s);
    if (s->daemon == NULL)
        return err_set(err, ERR_INTERNAL, "start the HTTP server on %s", o->address);
    fd = -1;
    LOG_INFO("listening", LOG_STR("addr", o->address),
             LOG_STR("scheme",
                     s->web != NULL && net_web_has_tls(s->web) ? "https" : "http"));
    *out = TAKE(s);
    return true;
}

uint16_t
net_http_server_port(const struct net_http_server *s)
{
    return s->port;
}

void
net_http_server_close_connections(struct net_http_server *s)
{
    atomic_store(&s->stopping, true);
}

void
net_http_server_stop(struct net_http_server **out, int64_t deadline_ns)
{
    CLEANUP(free_server) struct net_http_server *s = TAKE(*out);
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    CLEANUP(file_close) int fd = MHD_quiesce_daemon(s->daemon);
    /* The library only stops to accept: the kernel would still take connections. */
    shutdown(fd, SHUT_RDWR);
    {
        MUTEX_SCOPE(&s->lock);
        while (s->running > 0 && cond_wait_until(&s->ended, &s->lock, deadline_ns))
            ;
    }
    if (s->web != NULL)
        net_web_stop(s->web);
    MHD_stop_daemon(s->daemon);
}
