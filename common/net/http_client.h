/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking HTTP/1.1 client over libcurl, with connection reuse.
 *
 * One request is one try: no redirects, no retries. Bodies stream in both directions,
 * so memory does not depend on their size. Transport failures are errors; an HTTP
 * status is a result. All connections of a client share the addresses that were looked
 * up, for a minute, and the TLS sessions, which new connections resume. */
#ifndef COMMON_NET_HTTP_CLIENT_H
#define COMMON_NET_HTTP_CLIENT_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/net/patience.h"

struct net_http_client;

/* Texts are copied. */
struct net_http_client_options {
    const char *user_agent;
    /* These three files are read again for each new connection. */
    const char *ca_file;       /* NULL: the system's */
    const char *cert_file;     /* certificate of this client, PEM; NULL: none */
    const char *key_file;      /* its key */
    const char *server_name;   /* NULL: the host. Else what TLS asks for and verifies */
    bool insecure_skip_verify; /* accept any certificate */
    bool proxy_of_environment; /* HTTP_PROXY, HTTPS_PROXY, NO_PROXY as Go reads them,
                                  now; never for this machine */
    const char *proxy; /* of all requests, whatever the host and the environment; may
                          hold user and password; NULL: none */
    bool trace; /* log each exchange at debug level, without bodies and secrets */
    int64_t connect_timeout_ns;       /* 0: 10 s */
    int64_t tls_handshake_timeout_ns; /* 0: it is part of connecting */
    int64_t first_byte_timeout_ns;    /* longest silence of the server; 0: 2 min */
    int64_t idle_timeout_ns;          /* older idle connections are not used; 0: 90 s */
    unsigned max_idle;                /* idle connections kept; 0: 16 */
    unsigned max_connections; /* exchanges above it wait their turn; 0: no limit */
};

/* Initialises libcurl on first use. Errors ERR_INTERNAL; ERR_INVALID: a proxy that is
 * no URL (which is not shown). */
NODISCARD bool net_http_client_new(struct net_http_client **out,
                                   const struct net_http_client_options *options,
                                   struct err *err);
void net_http_client_free(struct net_http_client **c);

/* Receives a piece of the body of a 2xx answer; status and headers of the response are
 * complete before the first call. Returns false, with err filled, to abort the transfer
 * with that error. */
typedef bool net_http_sink_fn(void *arg, struct bytes piece, struct err *err);

/* Fills at most room bytes of the request body and sets *got; 0 only at the end. */
typedef bool net_http_source_fn(void *arg, uint8_t *into, size_t room, size_t *got,
                                struct err *err);

struct net_http_request {
    const char *method;         /* "GET" */
    const char *url;            /* sent as it is: encoded by the caller */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
    struct bytes body;          /* when source is NULL */
    net_http_source_fn *source; /* streams body_size bytes instead of body */
    void *source_arg;
    uint64_t body_size;
    net_http_sink_fn *sink; /* NULL: the body of a 2xx answer is dropped */
    void *sink_arg;
    /* Send it at most once. Otherwise a request that finds its idle connection closed
     * is sent again on another one, and the server may have seen it twice. */
    bool once;
    int64_t expect_continue_ns;  /* how long the body waits for the server's consent, so
                                    that a refusal comes before it; 0: not at all */
    int64_t deadline_ns;         /* of the whole exchange, clock_mono_ns */
    const struct cancel *cancel; /* NULL: never */
    /* Of who makes the request again when the server is silent, which then may come
     * before first_byte_timeout_ns; NULL: that alone holds. */
    struct net_patience *patience;
};

enum { NET_HTTP_HEADERS_MAX = 8192, NET_HTTP_ERROR_BODY_MAX = 4096 };

struct net_http_response {
    int status;
    uint64_t body_bytes; /* received, of a 2xx answer */
    size_t headers_len;
    size_t error_body_len;
    char headers[NET_HTTP_HEADERS_MAX];       /* "name: value\n", names in lower case */
    char error_body[NET_HTTP_ERROR_BODY_MAX]; /* start of the body of another status */
};

/* Perform one exchange. Any thread; blocks; a raised cancel ends it at once, whatever
 * it waits for. *response is large: keep it off small stacks. Errors ERR_UNAVAILABLE
 * (refused, reset, DNS, closed early, a body shorter than its Content-Length or without
 * its last chunk, success before the whole body was sent), ERR_TIMEOUT (deadline,
 * connecting, silence), ERR_CANCELLED, ERR_DENIED (certificate),
 * ERR_INVALID (URL), ERR_UNSUPPORTED (not HTTP, or not TLS), ERR_IO (source ended
 * early), or what sink or source gave. Errors name the host and nothing else of the
 * URL. */
NODISCARD bool net_http_perform(struct net_http_client *c,
                                const struct net_http_request *request,
                                struct net_http_response *response, struct err *err);

/* Value of a response header (name in lower case), or the empty slice. */
struct bytes net_http_response_header(const struct net_http_response *r,
                                      const char *name);

/* The error code that an HTTP status of another server stands for: 404 ERR_NOT_FOUND,
 * 401 and 403 ERR_DENIED, 408 ERR_TIMEOUT, 429 and 503 ERR_THROTTLED, other 5xx
 * ERR_UNAVAILABLE, other 4xx ERR_INVALID, 3xx ERR_UNSUPPORTED, 2xx ERR_NONE. */
enum err_code net_http_status_code(int status);

#endif
