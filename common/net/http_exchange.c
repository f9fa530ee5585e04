/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. */
#include "common/net/http_server.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/net/http_server_priv.h"

/* What the library asks of a stream in one call when the length is known. */
enum { STREAM_BLOCK_BYTES = 64 * 1024 };

/* A guess: long enough for a slot to become free, short enough for a human. */
#define RETRY_AFTER_S "2"

struct stream {
    struct net_http_stream source;
    struct net_http_exchange *exchange;
    struct MHD_Response *response; /* which owns the stream */
    struct bytes rest;             /* of the current piece */
    uint64_t length;
};

void
net_http_exchange_unref(struct net_http_exchange **out)
{
    struct net_http_exchange *x = TAKE(*out);
    if (--x->users > 0)
        return;
    buf_fini(&x->target);
    buf_fini(&x->decoded);
    buf_fini(&x->body);
    buf_fini(&x->headers);
    buf_fini(&x->defaults);
    buf_fini(&x->trailers);
    free(x);
}

struct bytes
net_http_exchange_body(const struct net_http_exchange *x)
{
    return buf_bytes(&x->body);
}

const char *
net_http_exchange_header(const struct net_http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *
net_http_exchange_arg(const struct net_http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct bytes
net_http_exchange_query(const struct net_http_exchange *x)
{
    return x->query;
}

struct bytes
net_http_exchange_parameter(const struct net_http_exchange *x)
{
    return x->parameter;
}

int
net_http_exchange_fd(const struct net_http_exchange *x)
{
    return x->fd;
}

bool
net_http_exchange_gone(const struct net_http_exchange *x)
{
    struct pollfd p = {.fd = x->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void
net_http_put_field(struct buf *fields, const char *name, const char *value)
{
    buf_put(fields, bytes_of(name, strlen(name) + 1));
    buf_put(fields, bytes_of(value, strlen(value) + 1));
}

void
net_http_exchange_add_header(struct net_http_exchange *x, const char *name,
                             const char *value)
{
    CHECK(!x->replied);
    net_http_put_field(&x->headers, name, value);
}

void
net_http_exchange_add_trailer(struct net_http_exchange *x, const char *name,
                              const char *value)
{
    CHECK(x->takes_trailers);
    net_http_put_field(&x->trailers, name, value);
}

typedef enum MHD_Result add_field_fn(struct MHD_Response *response, const char *name,
                                     const char *value);

static void
copy_fields(const struct buf *fields, add_field_fn *add, struct MHD_Response *response)
{
    const char *at = (const char *)fields->at;
    const char *end = at + fields->len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        add(response, at, value);
        at = value + strlen(value) + 1;
    }
}

static enum MHD_Result
add_missing_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_get_response_header(response, name) != NULL
               ? MHD_NO
               : MHD_add_response_header(response, name, value);
}

/* Hand the reply to the library. response may be NULL: no memory; the connection is
 * then closed. */
static void
send_reply(struct net_http_exchange *x, int status, const char *content_type,
           struct MHD_Response *response)
{
    CHECK(!x->replied);
    x->replied = true;
    x->sample.status = status;
    if (response == NULL)
        return;
    if (content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (atomic_load(&x->server->stopping))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    copy_fields(&x->headers, MHD_add_response_header, response);
    copy_fields(&x->defaults, add_missing_header, response);
    bool is_for_now =
        status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS;
    if (is_for_now &&
        MHD_get_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER) == NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, RETRY_AFTER_S);
    x->queued =
        MHD_queue_response(x->connection, (unsigned)status, response) == MHD_YES;
    MHD_destroy_response(response);
}

void
net_http_reply(struct net_http_exchange *x, int status, const char *content_type,
               struct bytes body)
{
    CLEANUP(buf_fini) struct buf encoded = {0};
    if (net_http_encode_body(x, body, &encoded))
        body = buf_bytes(&encoded);
    /* The library copies; it takes a pointer to non-const for its other modes. */
    void *at = (void *)(uintptr_t)body.at;
    x->sample.response_bytes = body.len;
    send_reply(x, status, content_type,
               MHD_create_response_from_buffer(body.len, at, MHD_RESPMEM_MUST_COPY));
}

void
net_http_reply_line(struct net_http_exchange *x, int status, const char *text)
{
    CLEANUP(buf_fini) struct buf line = {0};
    buf_printf(&line, "%s\n", text);
    net_http_reply(x, status, "text/plain; charset=utf-8", buf_bytes(&line));
}

void
net_http_reply_err(struct net_http_exchange *x, const struct err *err)
{
    net_http_reply_line(x, net_http_status_of(err->code), err->text);
}

static ssize_t
abort_stream(const struct stream *s, const struct err *err)
{
    LOG_WARN("aborted an answer in mid-stream",
             LOG_STR("path", s->exchange->route->path),
             LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* position is what was sent already, room is not 0. A known length must be met: a body
 * that ends early is cut, so that the reader sees it. */
static ssize_t
on_stream_read(void *arg, uint64_t position, char *into, size_t room)
{
    struct stream *s = arg;
    struct err err = {0};
    if (s->rest.len == 0 && !s->source.next(s->source.arg, &s->rest, &err))
        return abort_stream(s, &err);
    size_t len = NUM_MIN(room, s->rest.len);
    if (len != 0) {
        memcpy(into, s->rest.at, len);
        bytes_skip(&s->rest, len);
        s->exchange->sample.response_bytes += len;
        return (ssize_t)len;
    }
    if (s->length == NET_HTTP_LENGTH_UNKNOWN) {
        copy_fields(&s->exchange->trailers, MHD_add_response_footer, s->response);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    err_set(&err, ERR_INTERNAL, "stream ended after %llu of %llu bytes",
            (unsigned long long)position, (unsigned long long)s->length);
    return abort_stream(s, &err);
}

static void
on_stream_end(void *arg)
{
    struct stream *s = arg;
    s->source.done(s->source.arg);
    net_http_exchange_unref(&s->exchange);
    free(s);
}

/* Returns NULL, with nothing kept, when memory is gone. */
static struct MHD_Response *
new_stream_response(struct net_http_exchange *x, uint64_t length,
                    struct net_http_stream source)
{
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct stream){.source = source, .exchange = x, .length = length};
    struct MHD_Response *response = MHD_create_response_from_callback(
        length == NET_HTTP_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : length,
        STREAM_BLOCK_BYTES, on_stream_read, s, on_stream_end);
    if (response == NULL) {
        free(s);
        return NULL;
    }
    s->response = response;
    x->users++;
    return response;
}

void
net_http_reply_stream(struct net_http_exchange *x, int status, const char *content_type,
                      uint64_t length, struct net_http_stream stream)
{
    if (x->is_http_1_0 && length == NET_HTTP_LENGTH_UNKNOWN) {
        stream.done(stream.arg);
        net_http_reply_line(x, MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED,
                            "this answer is a stream: HTTP/1.1 is needed");
        return;
    }
    struct err err;
    x->takes_trailers = length == NET_HTTP_LENGTH_UNKNOWN;
    if (!net_http_encode_stream(x, &length, &stream, &err)) {
        stream.done(stream.arg);
        net_http_reply_err(x, &err);
        return;
    }
    struct MHD_Response *response = new_stream_response(x, length, stream);
    if (response == NULL)
        stream.done(stream.arg);
    send_reply(x, status, content_type, response);
}

int
net_http_status_of(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return MHD_HTTP_OK;
    case ERR_INVALID:
        return MHD_HTTP_BAD_REQUEST;
    case ERR_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    case ERR_CONFLICT:
        return MHD_HTTP_CONFLICT;
    case ERR_BUDGET:
        return MHD_HTTP_UNPROCESSABLE_CONTENT;
    case ERR_DENIED:
        return MHD_HTTP_FORBIDDEN;
    case ERR_UNSUPPORTED:
        return MHD_HTTP_NOT_IMPLEMENTED;
    case ERR_THROTTLED:
        return MHD_HTTP_TOO_MANY_REQUESTS;
    case ERR_TIMEOUT:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    case ERR_UNAVAILABLE:
    case ERR_CANCELLED:
    case ERR_NOMEM:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_INTERNAL:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}
