/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server that gives scripted answers to requests for the bucket "blocks" and
 * its object "k", in turn; after the last one it repeats it. It keeps what it was
 * asked. */
#ifndef TESTS_UNIT_COMMON_OBJSTORE_FAKE_S3_H
#define TESTS_UNIT_COMMON_OBJSTORE_FAKE_S3_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/net/http_server.h"

enum { FAKE_REQUESTS = 16 };

struct fake_answer {
    int status;
    const char *body; /* NULL: "" */
    /* Only so many bytes of the body are sent, then the connection is cut; 0: none. */
    size_t cut_after;
    const char *headers[3][2];
};

/* What a request had; empty texts for what it had not. */
struct fake_request {
    char host[64];
    char authorization[300];
    char date[32];
    char hash[80];
    char token[32];
    char md5[32];
    char range[64];
    /* list-type, encoding-type, max-keys, prefix, continuation-token, marker */
    char query[6][40];
    size_t body_len;
};

struct fake {
    struct net_http_server *server;
    struct net_http_route routes[4];
    struct budget budget;
    const struct fake_answer *answers;
    size_t answer_count;
    struct mutex lock;
    /* guarded by lock */
    struct fake_request requests[FAKE_REQUESTS];
    size_t request_count;
};

/* The rest of a body that is cut. */
struct fake_cut {
    struct bytes rest;
};

static inline void
fake_copy(char *into, size_t size, const char *value)
{
    snprintf(into, size, "%s", value != NULL ? value : "");
}

static inline void
fake_record(struct fake_request *r, struct net_http_exchange *x)
{
    static const char *const args[] = {"list-type", "encoding-type",      "max-keys",
                                       "prefix",    "continuation-token", "marker"};
    fake_copy(r->host, sizeof r->host, net_http_exchange_header(x, "Host"));
    fake_copy(r->authorization, sizeof r->authorization,
              net_http_exchange_header(x, "Authorization"));
    fake_copy(r->date, sizeof r->date, net_http_exchange_header(x, "x-amz-date"));
    fake_copy(r->hash, sizeof r->hash,
              net_http_exchange_header(x, "x-amz-content-sha256"));
    fake_copy(r->token, sizeof r->token,
              net_http_exchange_header(x, "x-amz-security-token"));
    fake_copy(r->md5, sizeof r->md5, net_http_exchange_header(x, "Content-MD5"));
    fake_copy(r->range, sizeof r->range, net_http_exchange_header(x, "Range"));
    for (size_t i = 0; i < ARRAY_LEN(args); i++)
        fake_copy(r->query[i], sizeof r->query[i], net_http_exchange_arg(x, args[i]));
    r->body_len = net_http_exchange_body(x).len;
}

static inline bool
fake_next(void *arg, struct bytes *piece, struct err *err)
{
    struct fake_cut *cut = arg;
    *piece = cut->rest;
    cut->rest.len = 0;
    return piece->len > 0 || err_set(err, ERR_IO, "the script says: cut here");
}

static inline void
fake_reply(struct net_http_exchange *x, const struct fake_answer *a)
{
    struct bytes body = bytes_of_str(a->body != NULL ? a->body : "");
    for (size_t i = 0; i < ARRAY_LEN(a->headers) && a->headers[i][0] != NULL; i++)
        net_http_exchange_add_header(x, a->headers[i][0], a->headers[i][1]);
    if (a->cut_after == 0) {
        net_http_reply(x, a->status, "application/xml", body);
        return;
    }
    struct fake_cut *cut = calloc(1, sizeof *cut);
    cut->rest = bytes_of(body.at, a->cut_after);
    net_http_reply_stream(x, a->status, "application/xml", body.len,
                          (struct net_http_stream){fake_next, free, cut});
}

static inline void
fake_handle(void *arg, struct net_http_exchange *x)
{
    struct fake *f = arg;
    const struct fake_answer *answer;
    {
        MUTEX_SCOPE(&f->lock);
        size_t i = f->request_count++;
        if (i < FAKE_REQUESTS)
            fake_record(&f->requests[i], x);
        answer = &f->answers[i < f->answer_count ? i : f->answer_count - 1];
    }
    fake_reply(x, answer);
}

/* answers are borrowed until fake_stop. */
static inline void
fake_start(struct fake *f, const struct fake_answer *answers, size_t count)
{
    static const char *const routes[][2] = {{"GET", "/blocks/"},
                                            {"GET", "/blocks/k"},
                                            {"PUT", "/blocks/k"},
                                            {"DELETE", "/blocks/k"}};
    struct err err;
    *f = (struct fake){.answers = answers, .answer_count = count};
    mutex_init(&f->lock, LOCK_TEST);
    budget_init(&f->budget, "fake", SIZE_MAX, NULL);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        f->routes[i] = (struct net_http_route){.method = routes[i][0],
                                               .path = routes[i][1],
                                               .name = "fake",
                                               .handler = fake_handle,
                                               .arg = f,
                                               .max_body = 1 << 20};
    const struct net_http_server_options options = {.address = "127.0.0.1:0",
                                                    .routes = f->routes,
                                                    .route_count = ARRAY_LEN(f->routes),
                                                    .budget = &f->budget};
    assert_true(net_http_server_start(&f->server, &options, &err));
}

static inline void
fake_stop(struct fake *f)
{
    net_http_server_stop(&f->server, clock_deadline(10 * CLOCK_NS_PER_S));
    budget_fini(&f->budget);
    mutex_fini(&f->lock);
}

static inline size_t
fake_count(struct fake *f)
{
    MUTEX_SCOPE(&f->lock);
    return f->request_count;
}

static inline struct fake_request
fake_request(struct fake *f, size_t i)
{
    MUTEX_SCOPE(&f->lock);
    assert_true(i < f->request_count);
    return f->requests[i];
}

#endif
