/* SPDX-License-Identifier: Apache-2.0 */
/* Connections live inside libcurl's easy handles. A handle serves one exchange at a
 * time; between exchanges it rests in the client's stack of idle handles with its
 * connection open, the most recently used on top, so that few stay warm. */
#include "common/net/http_client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* Received bytes come in pieces of at most this size; curl's default of 16 KiB costs
 * four times the calls. */
enum { RECEIVE_BYTES = 64 * 1024 };

enum { DEFAULT_MAX_IDLE = 16 };
#define DEFAULT_CONNECT_TIMEOUT_NS (10 * CLOCK_NS_PER_S)
#define DEFAULT_SILENCE_TIMEOUT_NS (120 * CLOCK_NS_PER_S)

struct net_http_client {
    char *user_agent;
    char *ca_file;
    bool insecure_skip_verify;
    int64_t connect_timeout_ns;
    int64_t silence_timeout_ns;
    size_t max_idle;
    struct mutex lock;
    /* guarded by lock */
    size_t idle_count;
    CURL *idle[];
};

/* One exchange under way: what the callbacks share. */
struct exchange {
    const struct net_http_client *client;
    const struct net_http_request *request;
    struct net_http_response *response;
    CURL *easy;
    struct bytes host;
    uint64_t sent;
    int64_t progress_ns; /* when a byte last moved, in either direction */
    bool headers_done;
    bool error_body_full; /* we stopped the transfer: the rest is of no interest */
    struct err failure;   /* why we stopped it, when code is not ERR_NONE */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void
init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool
net_http_client_new(struct net_http_client **out,
                    const struct net_http_client_options *options, struct err *err)
{
    pthread_once(&curl_once, init_curl);
    if (curl_ready != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "start libcurl: %s",
                       curl_easy_strerror(curl_ready));
    size_t max_idle = options->max_idle ? options->max_idle : DEFAULT_MAX_IDLE;
    struct net_http_client *c = xcalloc(1, sizeof *c + max_idle * sizeof *c->idle);
    c->max_idle = max_idle;
    c->user_agent = options->user_agent ? xstrdup(options->user_agent) : NULL;
    c->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
    c->insecure_skip_verify = options->insecure_skip_verify;
    c->connect_timeout_ns = options->connect_timeout_ns ? options->connect_timeout_ns
                                                        : DEFAULT_CONNECT_TIMEOUT_NS;
    c->silence_timeout_ns = options->first_byte_timeout_ns
                                ? options->first_byte_timeout_ns
                                : DEFAULT_SILENCE_TIMEOUT_NS;
    mutex_init(&c->lock, LOCK_HTTP_CLIENT);
    *out = c;
    return true;
}

void
net_http_client_free(struct net_http_client **out)
{
    struct net_http_client *c = TAKE(*out);
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->idle_count; i++)
        curl_easy_cleanup(c->idle[i]);
    mutex_fini(&c->lock);
    free(c->user_agent);
    free(c->ca_file);
    free(c);
}

static CURL *
take_handle(struct net_http_client *c)
{
    {
        MUTEX_SCOPE(&c->lock);
        if (c->idle_count > 0)
            return c->idle[--c->idle_count];
    }
    return curl_easy_init();
}

/* The reset keeps the connection and drops the pointers into the exchange, which even
 * a cleanup of the handle would follow. A handle whose exchange failed is not used
 * again: its connection is closed, and curl may keep buffers that refuse new options.
 */
static void
give_handle_back(struct net_http_client *c, CURL *easy, bool usable)
{
    curl_easy_reset(easy);
    if (usable) {
        MUTEX_SCOPE(&c->lock);
        if (c->idle_count < c->max_idle) {
            c->idle[c->idle_count++] = easy;
            return;
        }
    }
    curl_easy_cleanup(easy);
}

/* Host and port of a URL, for errors: without user, path and query, which may hold
 * secrets. */
static struct bytes
host_of(const char *url)
{
    const char *begin = strstr(url, "://");
    begin = begin != NULL ? begin + 3 : url;
    struct bytes host = bytes_of(begin, strcspn(begin, "/?#"));
    const uint8_t *at = host.len != 0 ? memrchr(host.at, '@', host.len) : NULL;
    if (at != NULL)
        bytes_skip(&host, (size_t)(at - host.at) + 1);
    return host;
}

static bool
stop_with(struct exchange *x, enum err_code code, const char *why)
{
    return err_set(&x->failure, code, "%s %.*s: %s", x->request->method,
                   BYTES_FMT(x->host), why);
}

static bool
is_success(int status)
{
    return status >= 200 && status < 300;
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
keep_header(struct exchange *x, struct bytes line)
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
        return stop_with(x, ERR_UNSUPPORTED, "response headers are too large");
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
status_now(const struct exchange *x)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Called for each line: of interim answers (1xx), which are forgotten, of the answer,
 * and of trailers, which are ignored. */
static size_t
on_header(char *at, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    struct bytes line = trimmed(bytes_of(at, size * count));
    x->progress_ns = clock_mono_ns();
    if (x->headers_done)
        return size * count;
    if (bytes_starts_with(line, BYTES("HTTP/"))) {
        x->response->headers_len = 0;
        x->response->status = status_now(x);
    } else if (line.len == 0) {
        x->headers_done = x->response->status >= 200;
    } else if (!keep_header(x, line)) {
        return 0;
    }
    return size * count;
}

static bool
keep_error_body(struct exchange *x, struct bytes piece)
{
    struct net_http_response *r = x->response;
    size_t len = NUM_MIN(piece.len, sizeof r->error_body - r->error_body_len);
    memcpy(r->error_body + r->error_body_len, piece.at, len);
    r->error_body_len += len;
    x->error_body_full = len < piece.len;
    return !x->error_body_full;
}

static bool
take_body(struct exchange *x, struct bytes piece)
{
    if (!is_success(x->response->status))
        return keep_error_body(x, piece);
    x->response->body_bytes += piece.len;
    return x->request->sink == NULL ||
           x->request->sink(x->request->sink_arg, piece, &x->failure);
}

static size_t
on_body(char *at, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    struct bytes piece = bytes_of(at, size * count);
    if (piece.len == 0)
        return 0;
    bool wanted = take_body(x, piece);
    x->progress_ns = clock_mono_ns();
    return wanted ? piece.len : 0;
}

static bool
fill_from_source(struct exchange *x, uint8_t *into, size_t room, size_t *got)
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
           stop_with(x, ERR_IO, "the request body ended before its announced size");
}

static void
fill_from_body(const struct exchange *x, uint8_t *into, size_t room, size_t *got)
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
    struct exchange *x = arg;
    size_t got = 0;
    if (x->request->source == NULL)
        fill_from_body(x, (uint8_t *)into, size * count, &got);
    else if (!fill_from_source(x, (uint8_t *)into, size * count, &got))
        return CURL_READFUNC_ABORT;
    x->sent += got;
    x->progress_ns = clock_mono_ns();
    return got;
}

/* An idle connection may turn out to be closed after a part of the body was sent on
 * it; curl then begins again on a new one. A source cannot go back. */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
    struct exchange *x = arg;
    if (x->request->source != NULL && x->sent != 0)
        return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_FAIL;
    x->sent = 0;
    return CURL_SEEKFUNC_OK;
}

/* Called whenever something moved, and once a second when nothing does. */
static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
            curl_off_t ulnow)
{
    struct exchange *x = arg;
    (void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
    int64_t now = clock_mono_ns();
    if (cancel_is_raised(x->request->cancel))
        stop_with(x, ERR_CANCELLED, "cancelled");
    else if (now >= x->request->deadline_ns)
        stop_with(x, ERR_TIMEOUT, "the deadline has passed");
    else if (now - x->progress_ns >= x->client->silence_timeout_ns)
        stop_with(x, ERR_TIMEOUT, "the server is silent");
    return x->failure.code != ERR_NONE;
}

static void
free_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static bool
append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

/* "Expect:" removes the header that would delay each upload by a round trip. */
static bool
make_headers(const struct net_http_request *q, struct curl_slist **list)
{
    bool ok = append(list, "Expect:");
    for (size_t i = 0; ok && q->headers != NULL && q->headers[i] != NULL; i++)
        ok = append(list, q->headers[i]);
    return ok;
}

#define SET(easy, option, value) \
    (curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

/* Milliseconds, rounded up, as curl takes them: 0 would be no limit, and what lies
 * beyond an int is none either. */
static long
curl_ms(int64_t ns)
{
    int64_t ms = ns / CLOCK_NS_PER_MS + 1;
    return ms > INT_MAX ? 0 : (long)ms;
}

static bool
set_client(CURL *e, const struct net_http_client *c)
{
    long verify = c->insecure_skip_verify ? 0 : 1;
    return SET(e, CURLOPT_USERAGENT, c->user_agent) &&
           (c->ca_file == NULL || SET(e, CURLOPT_CAINFO, c->ca_file)) &&
           SET(e, CURLOPT_SSL_VERIFYPEER, verify) &&
           SET(e, CURLOPT_SSL_VERIFYHOST, 2 * verify) &&
           SET(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(e, CURLOPT_CONNECTTIMEOUT_MS, curl_ms(c->connect_timeout_ns)) &&
           SET(e, CURLOPT_PROTOCOLS_STR, "http,https") && SET(e, CURLOPT_PROXY, "") &&
           SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(e, CURLOPT_MAXCONNECTS, 1L) && SET(e, CURLOPT_NOSIGNAL, 1L) &&
           SET(e, CURLOPT_PATH_AS_IS, 1L) && SET(e, CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES) &&
           /* Without it a cancelled exchange waits for the resolver's thread. */
           SET(e, CURLOPT_QUICK_EXIT, 1L);
}

static bool
set_callbacks(CURL *e, struct exchange *x)
{
    return SET(e, CURLOPT_HEADERFUNCTION, on_header) && SET(e, CURLOPT_HEADERDATA, x) &&
           SET(e, CURLOPT_WRITEFUNCTION, on_body) && SET(e, CURLOPT_WRITEDATA, x) &&
           SET(e, CURLOPT_READFUNCTION, on_read) && SET(e, CURLOPT_READDATA, x) &&
           SET(e, CURLOPT_SEEKFUNCTION, on_seek) && SET(e, CURLOPT_SEEKDATA, x) &&
           SET(e, CURLOPT_XFERINFOFUNCTION, on_progress) &&
           SET(e, CURLOPT_XFERINFODATA, x) && SET(e, CURLOPT_NOPROGRESS, 0L);
}

static bool
has_body(const struct net_http_request *q)
{
    return q->source != NULL || q->body.len != 0 || strcmp(q->method, "PUT") == 0 ||
           strcmp(q->method, "POST") == 0;
}

static uint64_t
body_size(const struct net_http_request *q)
{
    return q->source != NULL ? q->body_size : q->body.len;
}

static bool
set_method(CURL *e, const struct net_http_request *q)
{
    if (strcmp(q->method, "HEAD") == 0)
        return SET(e, CURLOPT_NOBODY, 1L);
    if (!has_body(q))
        return SET(e, CURLOPT_CUSTOMREQUEST, q->method);
    return SET(e, CURLOPT_UPLOAD, 1L) && SET(e, CURLOPT_CUSTOMREQUEST, q->method) &&
           SET(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_size(q));
}

static bool
set_request(CURL *e, const struct net_http_request *q, struct curl_slist *headers)
{
    return SET(e, CURLOPT_URL, q->url) && SET(e, CURLOPT_HTTPHEADER, headers) &&
           SET(e, CURLOPT_TIMEOUT_MS, curl_ms(clock_left_ns(q->deadline_ns))) &&
           set_method(e, q);
}

static enum err_code
code_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (code == CURLE_PARTIAL_FILE)
        return ERR_CORRUPT;
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
doubt_success(struct exchange *x)
{
    if (!x->headers_done)
        stop_with(x, ERR_UNAVAILABLE, "the server closed within its headers");
    else if (is_success(x->response->status) && x->sent < body_size(x->request))
        stop_with(x, ERR_UNAVAILABLE, "the server answered before it had the body");
}

/* detail is curl's own account of the failure; may be empty. */
static bool
conclude(struct exchange *x, CURLcode code, const char *detail, struct err *err)
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
    return err_set(err, code_of(code), "%s %.*s: %s", x->request->method,
                   BYTES_FMT(x->host), *detail ? detail : curl_easy_strerror(code));
}

bool
net_http_perform(struct net_http_client *c, const struct net_http_request *request,
                 struct net_http_response *response, struct err *err)
{
    CLEANUP(free_list) struct curl_slist *headers = NULL;
    char detail[CURL_ERROR_SIZE] = "";
    struct exchange x = {.client = c,
                         .request = request,
                         .response = response,
                         .host = host_of(request->url),
                         .progress_ns = clock_mono_ns(),
                         .easy = take_handle(c)};
    response->status = 0;
    response->body_bytes = 0;
    response->headers_len = 0;
    response->error_body_len = 0;
    if (x.easy == NULL)
        return err_set(err, ERR_NOMEM, "no memory for an HTTP connection");
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (make_headers(request, &headers) && set_client(x.easy, c) &&
        set_callbacks(x.easy, &x) && set_request(x.easy, request, headers) &&
        SET(x.easy, CURLOPT_ERRORBUFFER, detail))
        code = curl_easy_perform(x.easy);
    bool ok = conclude(&x, code, detail, err);
    give_handle_back(c, x.easy, ok && code == CURLE_OK);
    return ok;
}

struct bytes
net_http_response_header(const struct net_http_response *r, const char *name)
{
    struct bytes wanted = bytes_of_str(name);
    struct bytes rest = bytes_of(r->headers, r->headers_len);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.at, '\n', rest.len);
        CHECK(end != NULL);
        struct bytes line = {rest.at, (size_t)(end - rest.at)};
        bytes_skip(&rest, line.len + 1);
        if (!bytes_starts_with(line, wanted))
            continue;
        bytes_skip(&line, wanted.len);
        if (bytes_starts_with(line, BYTES(": "))) {
            bytes_skip(&line, 2);
            return line;
        }
    }
    return (struct bytes){0};
}

enum err_code
net_http_status_code(int status)
{
    if (is_success(status))
        return ERR_NONE;
    switch (status) {
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 408:
        return ERR_TIMEOUT;
    case 429:
    case 503:
        return ERR_THROTTLED;
    default:
        break;
    }
    if (status >= 500)
        return ERR_UNAVAILABLE;
    return status >= 400 ? ERR_INVALID : ERR_UNSUPPORTED;
}
