/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that asks drives its exchange: it lets curl do what can be done, then
 * polls curl's sockets together with the descriptor of the caller's cancel, until the
 * nearest of the limits that hold in this phase. So nothing wakes up without a reason,
 * and what ends an exchange ends it at once, also while it looks up a name or shakes
 * hands. */
#include "common/net/http_client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/net/http_client_priv.h"
#include "common/net/http_trace_priv.h"

/* Received bytes come in pieces of at most this size; curl's default of 16 KiB costs
 * four times the calls. */
enum { RECEIVE_BYTES = 64 * 1024 };

/* A large body goes out in pieces of this size, which curl holds while it sends. 1 GiB
 * from the page cache to a sink on the loopback: 1.6 GB/s with 64 KiB (curl's default),
 * 2.6 with 128, 3.3 with 256, 3.9 with 512, 3.0 with 1 MiB and with 2. */
enum { LARGE_BODY_BYTES = 1024 * 1024, SEND_BYTES = 512 * 1024 };

enum { DEFAULT_MAX_IDLE = 16, ADDRESS_LIFETIME_S = 60 };
#define DEFAULT_CONNECT_TIMEOUT_NS (10 * CLOCK_NS_PER_S)
#define DEFAULT_SILENCE_TIMEOUT_NS (120 * CLOCK_NS_PER_S)
#define DEFAULT_IDLE_TIMEOUT_NS (90 * CLOCK_NS_PER_S)

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void
init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static const char *
copy_of(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static void
free_copy(const char *text)
{
    free((char *)(uintptr_t)text);
}

/* *o is a copy of the caller's. */
static void
own_options(struct net_http_client_options *o)
{
    o->user_agent = copy_of(o->user_agent);
    o->ca_file = copy_of(o->ca_file);
    o->cert_file = copy_of(o->cert_file);
    o->key_file = copy_of(o->key_file);
    o->server_name = copy_of(o->server_name);
    o->proxy = copy_of(o->proxy);
    if (o->connect_timeout_ns == 0)
        o->connect_timeout_ns = DEFAULT_CONNECT_TIMEOUT_NS;
    if (o->first_byte_timeout_ns == 0)
        o->first_byte_timeout_ns = DEFAULT_SILENCE_TIMEOUT_NS;
    if (o->idle_timeout_ns == 0)
        o->idle_timeout_ns = DEFAULT_IDLE_TIMEOUT_NS;
    if (o->max_idle == 0)
        o->max_idle = DEFAULT_MAX_IDLE;
}

static void
free_options(struct net_http_client_options *o)
{
    free_copy(o->user_agent);
    free_copy(o->ca_file);
    free_copy(o->cert_file);
    free_copy(o->key_file);
    free_copy(o->server_name);
    if (o->proxy != NULL)
        digest_cleanse((char *)(uintptr_t)o->proxy, strlen(o->proxy));
    free_copy(o->proxy);
}

/* curl's own complaint about a proxy would show its password. */
static bool
check_proxy(const char *proxy, const char *whose, struct err *err)
{
    static const char *const schemes[] = {"http", "https", "socks5", "socks5h"};
    bool known = false;
    if (proxy == NULL)
        return true;
    CURLU *url = curl_url();
    char *scheme = NULL;
    if (url != NULL &&
        curl_url_set(url, CURLUPART_URL, proxy,
                     CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
        for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
            known |= strcmp(scheme, schemes[i]) == 0;
    curl_free(scheme);
    curl_url_cleanup(url);
    return known || err_set(err, ERR_INVALID,
                            "%s is no URL of a proxy: write http://host:port, or "
                            "https or socks5",
                            whose);
}

bool
net_http_client_new(struct net_http_client **out,
                    const struct net_http_client_options *options, struct err *err)
{
    pthread_once(&curl_once, init_curl);
    if (curl_ready != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "start libcurl: %s",
                       curl_easy_strerror(curl_ready));
    struct net_http_client_options own = *options;
    own_options(&own);
    struct net_http_client *c = xcalloc(1, sizeof *c + own.max_idle * sizeof *c->idle);
    c->options = own;
    if (own.proxy_of_environment)
        net_http_proxies_init(&c->proxies);
    if (!net_http_share_init(c, err) ||
        !check_proxy(own.proxy, "the configured proxy", err) ||
        !check_proxy(c->proxies.http, "the environment variable HTTP_PROXY", err) ||
        !check_proxy(c->proxies.https, "the environment variable HTTPS_PROXY", err)) {
        net_http_client_free(&c);
        return false;
    }
    *out = c;
    return true;
}

void
net_http_client_free(struct net_http_client **out)
{
    struct net_http_client *c = TAKE(*out);
    if (c == NULL)
        return;
    net_http_share_fini(c);
    net_http_proxies_fini(&c->proxies);
    free_options(&c->options);
    free(c);
}

/* Copies of a request in the form that curl takes. */
struct prepared {
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct buf url; /* empty: the request's */
};

static void
free_list(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at != NULL; at = at->next)
        digest_cleanse(at->data, strlen(at->data));
    curl_slist_free_all(list);
}

static void
prepared_fini(struct prepared *p)
{
    free_list(p->headers);
    free_list(p->connect_to);
    digest_cleanse(p->url.at, p->url.len);
    buf_fini(&p->url);
}

static bool
append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static bool
append_text(struct curl_slist **list, const char *before, struct bytes text)
{
    CLEANUP(xfree) char *line = xasprintf("%s%.*s", before, BYTES_FMT(text));
    return append(list, line);
}

static bool
is_https(const char *url)
{
    return strncasecmp(url, "https://", strlen("https://")) == 0;
}

/* Split host and port; an address loses its brackets. */
static void
split_host(struct bytes authority, struct bytes *host, struct bytes *port)
{
    const uint8_t *colon =
        authority.len > 0 ? memrchr(authority.at, ':', authority.len) : NULL;
    *host = authority;
    *port = (struct bytes){0};
    if (colon != NULL &&
        memchr(colon, ']', (size_t)(authority.at + authority.len - colon)) == NULL) {
        host->len = (size_t)(colon - authority.at);
        *port = bytes_of(colon + 1, authority.len - host->len - 1);
    }
    if (host->len >= 2 && host->at[0] == '[') {
        bytes_skip(host, 1);
        host->len--;
    }
}

/* curl takes the name for TLS from the URL. So the URL gets the name, the connection is
 * led to the host, and the Host header is what it would have been. */
static bool
rename_server(const struct net_http_client *c, const char *url, struct prepared *p)
{
    struct bytes authority = net_http_host_of(url), host, port;
    struct bytes all = bytes_of_str(url);
    size_t begin = (size_t)(authority.at - all.at), end = begin + authority.len;
    split_host(authority, &host, &port);
    buf_put(&p->url, bytes_of(url, begin));
    buf_put_str(&p->url, c->options.server_name);
    buf_put_str(&p->url, port.len > 0 ? ":" : "");
    buf_put(&p->url, port);
    buf_put(&p->url, bytes_of(url + end, all.len - end));
    buf_put_u8(&p->url, 0);
    CLEANUP(buf_fini) struct buf to = {0};
    buf_put(&to, authority);
    buf_put_str(&to, port.len > 0 ? "" : ":");
    return append_text(&p->connect_to, "::", buf_bytes(&to)) &&
           append_text(&p->headers, "Host: ", authority);
}

/* "Expect:" removes the header with which curl delays large uploads by itself. */
static bool
prepare(const struct net_http_client *c, const struct net_http_request *q,
        struct prepared *p)
{
    bool ok = append(&p->headers,
                     q->expect_continue_ns > 0 ? "Expect: 100-continue" : "Expect:");
    if (ok && c->options.server_name != NULL && is_https(q->url))
        ok = rename_server(c, q->url, p);
    for (size_t i = 0; ok && q->headers != NULL && q->headers[i] != NULL; i++)
        ok = append(&p->headers, q->headers[i]);
    return ok;
}

#define SET(easy, option, value) \
    (curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

/* Rounded up, as curl takes them: 0 would be its default, and what lies beyond an int
 * is as good as no limit. */
static long
curl_limit(int64_t ns, int64_t unit_ns)
{
    return (long)NUM_MIN((ns - 1) / unit_ns + 1, INT_MAX);
}

static bool
set_tls(CURL *e, const struct net_http_client_options *o)
{
    long verify = o->insecure_skip_verify ? 0 : 1;
    /* Without a timeout of 0 a libcurl that has no directory of authorities would not
     * look at the file again for a day. */
    return (o->ca_file == NULL || (SET(e, CURLOPT_CAINFO, o->ca_file) &&
                                   SET(e, CURLOPT_PROXY_CAINFO, o->ca_file) &&
                                   SET(e, CURLOPT_CA_CACHE_TIMEOUT, 0L))) &&
           (o->cert_file == NULL || SET(e, CURLOPT_SSLCERT, o->cert_file)) &&
           (o->key_file == NULL || SET(e, CURLOPT_SSLKEY, o->key_file)) &&
           SET(e, CURLOPT_SSL_VERIFYPEER, verify) &&
           SET(e, CURLOPT_SSL_VERIFYHOST, 2 * verify) &&
           SET(e, CURLOPT_PROXY_SSL_VERIFYPEER, verify) &&
           SET(e, CURLOPT_PROXY_SSL_VERIFYHOST, 2 * verify) &&
           SET(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

/* NOPROXY is ours to judge: curl would read it from the environment. */
static bool
set_proxy(CURL *e, const struct net_http_client *c, const char *url)
{
    struct bytes host, port;
    bool https = is_https(url);
    split_host(net_http_host_of(url), &host, &port);
    if (port.len == 0)
        port = https ? BYTES("443") : BYTES("80");
    const char *proxy = c->options.proxy;
    if (proxy == NULL)
        proxy = net_http_proxies_get(&c->proxies, https, host, port);
    return SET(e, CURLOPT_PROXY, proxy != NULL ? proxy : "") &&
           SET(e, CURLOPT_NOPROXY, "") && SET(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static bool
set_client(CURL *e, const struct net_http_client_options *o)
{
    return SET(e, CURLOPT_USERAGENT, o->user_agent) && set_tls(e, o) &&
           SET(e, CURLOPT_CONNECTTIMEOUT_MS,
               curl_limit(o->connect_timeout_ns, CLOCK_NS_PER_MS)) &&
           SET(e, CURLOPT_MAXAGE_CONN,
               curl_limit(o->idle_timeout_ns, CLOCK_NS_PER_S)) &&
           SET(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)ADDRESS_LIFETIME_S) &&
           SET(e, CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(e, CURLOPT_NOSIGNAL, 1L) && SET(e, CURLOPT_PATH_AS_IS, 1L) &&
           SET(e, CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES) &&
           /* Without it a cancelled exchange waits for the resolver's thread. */
           SET(e, CURLOPT_QUICK_EXIT, 1L);
}

static bool
has_body(const struct net_http_request *q)
{
    return q->source != NULL || q->body.len != 0 || strcmp(q->method, "PUT") == 0 ||
           strcmp(q->method, "POST") == 0;
}

static bool
set_body(CURL *e, const struct net_http_request *q)
{
    uint64_t size = net_http_body_size(q);
    return SET(e, CURLOPT_UPLOAD, 1L) &&
           SET(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size) &&
           (size < LARGE_BODY_BYTES ||
            SET(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES)) &&
           (q->expect_continue_ns == 0 ||
            SET(e, CURLOPT_EXPECT_100_TIMEOUT_MS,
                curl_limit(q->expect_continue_ns, CLOCK_NS_PER_MS)));
}

static bool
set_method(CURL *e, const struct net_http_request *q)
{
    if (strcmp(q->method, "HEAD") == 0)
        return SET(e, CURLOPT_NOBODY, 1L);
    return (!has_body(q) || set_body(e, q)) &&
           SET(e, CURLOPT_CUSTOMREQUEST, q->method) &&
           SET(e, CURLOPT_FRESH_CONNECT, q->once ? 1L : 0L);
}

static bool
set_request(CURL *e, const struct net_http_request *q, const struct prepared *p)
{
    const char *url = p->url.len > 0 ? (const char *)p->url.at : q->url;
    return SET(e, CURLOPT_URL, url) && SET(e, CURLOPT_HTTPHEADER, p->headers) &&
           SET(e, CURLOPT_CONNECT_TO, p->connect_to) && set_method(e, q);
}

struct limit {
    int64_t at_ns;
    const char *passed; /* what to say then */
    bool is_silence;
};

static int64_t
later(int64_t from_ns, int64_t delay_ns)
{
    int64_t at_ns = CLOCK_NEVER;
    (void)num_add(from_ns, delay_ns, &at_ns);
    return at_ns;
}

/* Notice when TCP stands; of that, curl tells the port before it tells the time. From
 * then on resolving and connecting do not count, neither here nor for curl, which would
 * go on counting. */
static void
watch_connecting(const struct net_http_client_options *o, struct net_http_transfer *x)
{
    long port = 0;
    if (!x->is_connected && x->handshake_ns == 0 && o->tls_handshake_timeout_ns > 0 &&
        curl_easy_getinfo(x->easy, CURLINFO_LOCAL_PORT, &port) == CURLE_OK &&
        port > 0 && SET(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)INT_MAX))
        x->handshake_ns = clock_mono_ns();
}

static struct limit
nearest_limit(const struct net_http_client_options *o,
              const struct net_http_transfer *x)
{
    struct limit l;
    if (x->is_connected)
        l = (struct limit){later(x->progress_ns, x->silence_limit_ns),
                           "the server is silent", true};
    else if (x->handshake_ns != 0)
        l = (struct limit){later(x->handshake_ns, o->tls_handshake_timeout_ns),
                           "the TLS handshake takes too long", false};
    else
        l = (struct limit){later(x->progress_ns, o->connect_timeout_ns),
                           "connecting takes too long", false};
    if (x->request->deadline_ns <= l.at_ns)
        l = (struct limit){x->request->deadline_ns, "the deadline has passed", false};
    return l;
}

/* How long to wait for curl's sockets; false when the exchange must end. */
static bool
may_wait(const struct net_http_client *c, struct net_http_transfer *x, int *wait_ms)
{
    const struct cancel *cancel = x->request->cancel;
    watch_connecting(&c->options, x);
    struct limit limit = nearest_limit(&c->options, x);
    int64_t left_ns = clock_left_ns(limit.at_ns);
    if (cancel_is_raised(cancel))
        return net_http_transfer_stop(x, ERR_CANCELLED, "cancelled");
    x->was_silent = left_ns == 0 && limit.is_silence;
    if (left_ns == 0)
        return net_http_transfer_stop(x, ERR_TIMEOUT, limit.passed);
    left_ns = cancel_max_sleep_ns(cancel, left_ns);
    *wait_ms = (int)NUM_MIN((left_ns - 1) / CLOCK_NS_PER_MS + 1, INT_MAX);
    return true;
}

static CURLcode
verdict(CURLM *multi)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    CHECK(message != NULL && message->msg == CURLMSG_DONE);
    return message->data.result;
}

static CURLcode
drive(const struct net_http_client *c, struct net_http_transfer *x, CURLM *multi)
{
    struct curl_waitfd cancel = {.events = CURL_WAIT_POLLIN};
    int wait_ms = 0, running = 1;
    CURLMcode code = curl_multi_add_handle(multi, x->easy);
    while (code == CURLM_OK) {
        code = curl_multi_perform(multi, &running);
        if (code == CURLM_OK && running == 0)
            return verdict(multi);
        if (!may_wait(c, x, &wait_ms))
            return CURLE_ABORTED_BY_CALLBACK;
        cancel.fd = cancel_fd(x->request->cancel);
        if (code == CURLM_OK)
            code = curl_multi_poll(multi, &cancel, cancel.fd >= 0, wait_ms, NULL);
    }
    net_http_transfer_stop(x, ERR_INTERNAL, curl_multi_strerror(code));
    return CURLE_FAILED_INIT;
}

static void
trace(const struct net_http_transfer *x, int64_t begin_ns, const struct err *err)
{
    CLEANUP(buf_fini) struct buf request = {0};
    CLEANUP(buf_fini) struct buf answer = {0};
    net_http_trace_redact(buf_bytes(x->sent_head), &request);
    net_http_trace_redact(bytes_of(x->response->headers, x->response->headers_len),
                          &answer);
    LOG_DEBUG("HTTP exchange", LOG_BYTES("addr", x->host),
              LOG_INT("status", x->response->status),
              LOG_INT("dur_ms", (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS),
              LOG_STR("err", err != NULL ? err->text : ""),
              LOG_BYTES("request", buf_bytes(&request)),
              LOG_BYTES("answer", buf_bytes(&answer)));
}

/* What the exchange tells of the silences of its server. */
static void
note_patience(struct net_http_client *c, const struct net_http_transfer *x, bool ok)
{
    struct net_patience *p = x->request->patience;
    if (x->was_silent) {
        net_patience_note_silence(p, clock_mono_ns(), x->silence_limit_ns,
                                  c->options.first_byte_timeout_ns);
        net_http_connections_drop_idle(c);
    } else if (ok) {
        net_patience_note_answer(p, clock_mono_ns(), x->silence_ns);
    }
}

static bool
exchange(struct net_http_client *c, struct net_http_transfer *x,
         struct net_http_connection *connection, struct err *err)
{
    CLEANUP(prepared_fini) struct prepared prepared = {0};
    char detail[CURL_ERROR_SIZE] = "";
    CURL *e = connection->easy;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    x->easy = e;
    x->progress_ns = clock_mono_ns();
    x->silence_limit_ns = net_patience_limit(x->request->patience, x->progress_ns,
                                             c->options.first_byte_timeout_ns);
    if (prepare(c, x->request, &prepared) && set_client(e, &c->options) &&
        set_proxy(e, c, x->request->url) && net_http_transfer_attach(x) &&
        set_request(e, x->request, &prepared) && SET(e, CURLOPT_ERRORBUFFER, detail))
        code = drive(c, x, connection->multi);
    bool ok = net_http_transfer_conclude(x, code, detail, err);
    net_http_connection_release(c, connection, ok && code == CURLE_OK);
    note_patience(c, x, ok);
    return ok;
}

static bool
traced_exchange(struct net_http_client *c, struct net_http_transfer *x,
                struct net_http_connection *connection, struct err *err)
{
    CLEANUP(buf_fini) struct buf head = {0};
    int64_t begin_ns = clock_mono_ns();
    buf_reserve(&head, NET_HTTP_SENT_HEAD_MAX);
    x->sent_head = &head;
    bool ok = exchange(c, x, connection, err);
    trace(x, begin_ns, ok ? NULL : err);
    digest_cleanse(head.at, head.len);
    return ok;
}

bool
net_http_perform(struct net_http_client *c, const struct net_http_request *request,
                 struct net_http_response *response, struct err *err)
{
    struct net_http_connection connection;
    struct net_http_transfer x = {.request = request,
                                  .response = response,
                                  .host = net_http_host_of(request->url)};
    response->status = 0;
    response->body_bytes = 0;
    response->headers_len = 0;
    response->error_body_len = 0;
    if (!net_http_connection_acquire(c, request, &connection, err))
        return false;
    if (c->options.trace && log_is_on(LOG_LEVEL_DEBUG))
        return traced_exchange(c, &x, &connection, err);
    return exchange(c, &x, &connection, err);
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
    if (status >= 200 && status < 300)
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
