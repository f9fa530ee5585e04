/* SPDX-License-Identifier: Apache-2.0 */
/* Requests coming in. The library calls on_request several times for each: once when
 * the headers are there, once for each piece of the body, once at its end. The first
 * call judges framing, path, method and announced size. What it refuses is answered
 * there when a body would follow (the library then closes the connection), or else in
 * the last call, so that the connection lives on. */
#include "common/net/http_server.h"

#include <microhttpd.h>
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
#include "common/net/http_server_priv.h"
#include "common/net/listen.h"

enum {
    DEFAULT_CONNECTIONS = 256,
    DEFAULT_IDLE_S = 120,
    STACK_BYTES = 512 * 1024,
    /* For headers, and for one chunk of an answer on its way out. */
    CONNECTION_BYTES = 64 * 1024
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

static bool
has_method(const struct net_http_route *r, const char *method)
{
    return strcmp(r->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

static void
preset(struct net_http_exchange *x, int status, const char *text)
{
    x->preset_status = status;
    x->preset_text = text;
}

/* Answer a method that has no route: 204 to OPTIONS, 405 to others. */
static void
preset_allow(struct net_http_exchange *x, const char *path)
{
    const struct net_http_server *s = x->server;
    CLEANUP(buf_fini) struct buf allow = {0};
    for (size_t i = 0; i < s->route_count; i++)
        if (strcmp(s->routes[i].path, path) == 0)
            buf_printf(&allow, "%s, %s", s->routes[i].method,
                       strcmp(s->routes[i].method, "GET") == 0 ? "HEAD, " : "");
    buf_put_str(&allow, "OPTIONS");
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_ALLOW, buf_text(&allow));
    if (strcmp(x->sample.method, "OPTIONS") == 0)
        preset(x, MHD_HTTP_NO_CONTENT, NULL);
    else
        preset(x, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed");
}

static void
find_route(struct net_http_exchange *x, const char *path)
{
    const struct net_http_server *s = x->server;
    const struct net_http_route *of_path = NULL;
    for (size_t i = 0; i < s->route_count && x->route == NULL; i++) {
        if (strcmp(s->routes[i].path, path) != 0)
            continue;
        of_path = &s->routes[i];
        if (has_method(of_path, x->sample.method))
            x->route = of_path;
    }
    if (of_path == NULL) {
        preset(x, MHD_HTTP_NOT_FOUND, "page not found");
        return;
    }
    x->sample.handler = of_path->name;
    if (x->route == NULL)
        preset_allow(x, path);
}

static void
judge(struct net_http_exchange *x, const char *path, const struct framing *f)
{
    find_route(x, path);
    if (is_ambiguous(x, f))
        preset(x, MHD_HTTP_BAD_REQUEST, "ambiguous length of the request body");
    else if (x->route != NULL && f->length > x->route->max_body)
        preset(x, MHD_HTTP_CONTENT_TOO_LARGE, "request body too large");
}

static struct net_http_exchange *
exchange_new(struct net_http_server *s, struct MHD_Connection *connection,
             const char *method, const char *version)
{
    struct net_http_exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->server = s;
    x->connection = connection;
    x->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                ->connect_fd;
    x->is_http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
    x->users = 1;
    x->begin_ns = clock_mono_ns();
    x->sample.method = method;
    x->sample.handler = "none";
    buf_init(&x->body, s->budget);
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
    if (x->preset_text != NULL)
        net_http_reply_line(x, x->preset_status, x->preset_text);
    else
        net_http_reply(x, x->preset_status, NULL, (struct bytes){0});
    return x->queued ? MHD_YES : MHD_NO;
}

static enum MHD_Result
on_headers(struct net_http_exchange *x, const char *path)
{
    struct framing f = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, note_header, &f);
    judge(x, path, &f);
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
    if (x == NULL) {
        x = exchange_new(arg, connection, method, version);
        *context = x;
        return x != NULL ? on_headers(x, path) : MHD_NO;
    }
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
    if (x->sample.status == 0)
        x->sample.status = CLIENT_CLOSED_REQUEST;
    x->sample.duration_ns = clock_mono_ns() - x->begin_ns;
    x->sample.request_bytes = x->received;
    net_http_metrics_end(s->metrics, &x->sample);
    net_http_exchange_unref(&x);
    count_running(s, -1);
}

static struct MHD_Daemon *
start_daemon(struct net_http_server *s, int fd, unsigned connections, unsigned idle_s)
{
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC,
        0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, s, MHD_OPTION_CONNECTION_LIMIT,
        connections, MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_END);
}

static void
free_server(struct net_http_server **out)
{
    struct net_http_server *s = TAKE(*out);
    if (s == NULL)
        return;
    net_http_metrics_free(&s->metrics);
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
    s->port = port;
    s->daemon = start_daemon(
        s, fd, o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS,
        o->idle_timeout_s ? o->idle_timeout_s : DEFAULT_IDLE_S);
    if (s->daemon == NULL)
        return err_set(err, ERR_INTERNAL, "start the HTTP server on %s", o->address);
    fd = -1;
    LOG_INFO("listening", LOG_STR("addr", o->address));
    *out = TAKE(s);
    return true;
}

uint16_t
net_http_server_port(const struct net_http_server *s)
{
    return s->port;
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
    MHD_stop_daemon(s->daemon);
}
