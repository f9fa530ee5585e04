/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/net/http_client_priv.h"

struct bytes
net_http_host_of(const char *url)
{
    const char *begin = strstr(url, "://");
    begin = begin != NULL ? begin + 3 : url;
    struct bytes host = bytes_of(begin, strcspn(begin, "/?#"));
    const uint8_t *at = host.len != 0 ? memrchr(host.at, '@', host.len) : NULL;
    if (at != NULL)
        bytes_skip(&host, (size_t)(at - host.at) + 1);
    return host;
}

bool
net_http_transfer_stop(struct net_http_transfer *x, enum err_code code, const char *why)
{
    return err_set(&x->failure, code, "%s %.*s: %s", x->request->method,
                   BYTES_FMT(x->host), why);
}

void
net_http_transfer_note_progress(struct net_http_transfer *x)
{
    int64_t now_ns = clock_mono_ns();
    if (x->is_connected)
        x->silence_ns = NUM_MAX(x->silence_ns, now_ns - x->progress_ns);
    x->progress_ns = now_ns;
}

static struct bytes
trimmed(struct bytes b)
{
    while (b.len > 0 && isspace(b.at[0]))
        bytes_skip(&b, 1);
    while (b.len > 0 && isspace(b.at[b.len - 1]))
        b.len--;
    return b;
}

/* Append "name: value\n" with the name in lower case. Lines without a colon are none of
 * HTTP/1.1 and dropped. */
static bool
keep_header(struct net_http_transfer *x, struct bytes line)
{
    struct net_http_response *r = x->response;
    const uint8_t *colon = memchr(line.at, ':', line.len);
    if (colon == NULL)
        return true;
    size_t name_len = (size_t)(colon - line.at);
    struct bytes value = line;
    bytes_skip(&value, name_len + 1);
    value = trimmed(value);
    if (name_len + value.len + 3 > sizeof r->headers - r->headers_len)
        return net_http_transfer_stop(x, ERR_UNSUPPORTED,
                                      "response headers are too large");
    char *to = r->headers + r->headers_len;
    for (size_t i = 0; i < name_len; i++)
        *to++ = (char)tolower(line.at[i]);
    *to++ = ':';
    *to++ = ' ';
    if (value.len != 0)
        memcpy(to, value.at, value.len);
    to[value.len] = '\n';
    r->headers_len += name_len + value.len + 3;
    return true;
}

static int
status_now(const struct net_http_transfer *x)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* A server that knows no Expect answers with 417, and curl asks again without. */
static bool
begins_again(const struct net_http_transfer *x, struct bytes line)
{
    return x->response->status == 417 && x->request->expect_continue_ns > 0 &&
           bytes_starts_with(line, BYTES("HTTP/"));
}

/* Called for each line: of interim answers (1xx), which are forgotten, of the answer,
 * and of trailers, which are ignored. */
static size_t
on_header(char *at, size_t size, size_t count, void *arg)
{
    struct net_http_transfer *x = arg;
    struct bytes line = trimmed(bytes_of(at, size * count));
    net_http_transfer_note_progress(x);
    if (x->headers_done && !begins_again(x, line))
        return size * count;
    if (bytes_starts_with(line, BYTES("HTTP/"))) {
        x->headers_done = false;
        x->response->headers_len = 0;
        x->response->error_body_len = 0;
        x->response->status = status_now(x);
    } else if (line.len == 0) {
        x->headers_done = x->response->status >= 200;
    } else if (!keep_header(x, line)) {
        return 0;
    }
    return size * count;
}

static bool
keep_error_body(struct net_http_transfer *x, struct bytes piece)
{
    struct net_http_response *r = x->response;
    size_t len = NUM_MIN(piece.len, sizeof r->error_body - r->error_body_len);
    memcpy(r->error_body + r->error_body_len, piece.at, len);
    r->error_body_len += len;
    x->error_body_full = len < piece.len;
    return !x->error_body_full;
}

static bool
take_body(struct net_http_transfer *x, struct bytes piece)
{
    if (net_http_status_code(x->response->status) != ERR_NONE)
        return keep_error_body(x, piece);
    x->response->body_bytes += piece.len;
    return x->request->sink == NULL ||
           x->request->sink(x->request->sink_arg, piece, &x->failure);
}

static size_t
on_body(char *at, size_t size, size_t count, void *arg)
{
    struct net_http_transfer *x = arg;
    struct bytes piece = bytes_of(at, size * count);
    if (piece.len == 0)
        return 0;
    net_http_transfer_note_progress(x);
    bool wanted = take_body(x, piece);
    x->progress_ns = clock_mono_ns();
    return wanted ? piece.len : 0;
}

static bool
fill_from_source(struct net_http_transfer *x, uint8_t *into, size_t room, size_t *got)
{
    const struct net_http_request *q = x->request;
    room = NUM_MIN(room, q->body_size - x->sent);
    *got = 0;
    if (room == 0)
        return true;
    if (!q->source(q->source_arg, into, room, got, &x->failure))
        return false;
    CHECK(*got <= room);
    return *got > 0 ||
           net_http_transfer_stop(x, ERR_IO,
                                  "the request body ended before its announced size");
}

static void
fill_from_body(const struct net_http_transfer *x, uint8_t *into, size_t room,
               size_t *got)
{
    struct bytes rest = x->request->body;
    bytes_skip(&rest, (size_t)x->sent);
    *got = NUM_MIN(room, rest.len);
    if (*got != 0)
        memcpy(into, rest.at, *got);
}

static size_t
on_read(char *into, size_t size, size_t count, void *arg)
{
    struct net_http_transfer *x = arg;
    size_t got = 0;
    if (x->request->source == NULL)
        fill_from_body(x, (uint8_t *)into, size * count, &got);
    else if (!fill_from_source(x, (uint8_t *)into, size * count, &got))
        return CURL_READFUNC_ABORT;
    x->sent += got;
    net_http_transfer_note_progress(x);
    return got;
}

/* An idle connection may turn out to be closed after a part of the body was sent on
 * it; curl then begins again on a new one. A source cannot go back. */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
    struct net_http_transfer *x = arg;
    if (x->request->source != NULL && x->sent != 0)
        return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_FAIL;
    x->sent = 0;
    return CURL_SEEKFUNC_OK;
}

/* Called when the connection stands, with its TLS, also when it is an old one. */
static int
on_connected(void *arg, char *remote_ip, char *local_ip, int remote_port,
             int local_port)
{
    struct net_http_transfer *x = arg;
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    net_http_transfer_note_progress(x);
    x->is_connected = true;
    return CURL_PREREQFUNC_OK;
}

/* Pieces of a head may be cut anywhere, so they are kept as they are: the buffer has
 * its room from the start and leaves no copies behind. */
static int
on_debug(CURL *easy, curl_infotype type, char *at, size_t len, void *arg)
{
    struct buf *head = arg;
    (void)easy;
    if (type == CURLINFO_HEADER_OUT && len <= NET_HTTP_SENT_HEAD_MAX - head->len)
        buf_put(head, bytes_of(at, len));
    return 0;
}

#define SET(easy, option, value) \
    (curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

static bool
trace_into(CURL *e, struct buf *head)
{
    return SET(e, CURLOPT_DEBUGFUNCTION, on_debug) && SET(e, CURLOPT_DEBUGDATA, head) &&
           SET(e, CURLOPT_VERBOSE, 1L);
}

bool
net_http_transfer_attach(struct net_http_transfer *x)
{
    CURL *e = x->easy;
    return SET(e, CURLOPT_HEADERFUNCTION, on_header) && SET(e, CURLOPT_HEADERDATA, x) &&
           SET(e, CURLOPT_WRITEFUNCTION, on_body) && SET(e, CURLOPT_WRITEDATA, x) &&
           SET(e, CURLOPT_READFUNCTION, on_read) && SET(e, CURLOPT_READDATA, x) &&
           SET(e, CURLOPT_SEEKFUNCTION, on_seek) && SET(e, CURLOPT_SEEKDATA, x) &&
           SET(e, CURLOPT_PREREQFUNCTION, on_connected) &&
           SET(e, CURLOPT_PREREQDATA, x) &&
           (x->sent_head == NULL || trace_into(e, x->sent_head));
}

uint64_t
net_http_body_size(const struct net_http_request *q)
{
    return q->source != NULL ? q->body_size : q->body.len;
}

static enum err_code
code_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR)
        return ERR_DENIED;
    if (code == CURLE_URL_MALFORMAT)
        return ERR_INVALID;
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return ERR_UNSUPPORTED;
    if (code == CURLE_OUT_OF_MEMORY)
        return ERR_NOMEM;
    return ERR_UNAVAILABLE;
}

/* Refuse what curl takes for success: an answer cut within its headers, which could be
 * one without a body, and a success that came before the request was sent. */
static void
doubt_success(struct net_http_transfer *x)
{
    if (!x->headers_done)
        net_http_transfer_stop(x, ERR_UNAVAILABLE,
                               "the server closed within its headers");
    else if (net_http_status_code(x->response->status) == ERR_NONE &&
             x->sent < net_http_body_size(x->request))
        net_http_transfer_stop(x, ERR_UNAVAILABLE,
                               "the server answered before it had the body");
}

bool
net_http_transfer_conclude(struct net_http_transfer *x, CURLcode code,
                           const char *detail, struct err *err)
{
    if (code == CURLE_WRITE_ERROR && x->error_body_full)
        return true;
    if (code == CURLE_OK)
        doubt_success(x);
    if (code == CURLE_OK && x->failure.code == ERR_NONE)
        return true;
    if (x->failure.code != ERR_NONE) {
        *err = x->failure;
        return false;
    }
    /* OpenSSL's words for an answer in plain text, the usual mistake. */
    if (code == CURLE_SSL_CONNECT_ERROR && strstr(detail, "wrong version number"))
        return err_set(err, ERR_UNSUPPORTED, "%s %.*s: the server does not speak TLS",
                       x->request->method, BYTES_FMT(x->host));
    return err_set(err, code_of(code), "%s %.*s: %s", x->request->method,
                   BYTES_FMT(x->host), *detail ? detail : curl_easy_strerror(code));
}
