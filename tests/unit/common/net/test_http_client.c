/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "tests/support/raw_http.h"

enum { BODY_MAX = 8 << 20 };

static struct {
    struct net_http_server *server;
    struct net_http_client *client;
    struct budget budget;
    struct net_http_response response; /* large */
    struct err err;
    char url[100];
} t;

static uint8_t
pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static void
on_hello(void *arg, struct net_http_exchange *x)
{
    (void)arg;
    net_http_exchange_add_header(x, "X-MiXed", "  Some Value ");
    net_http_exchange_add_header(x, "X", "short");
    net_http_reply(x, 200, "text/plain", BYTES("hello\n"));
}

/* Answers with the port of the client, which tells connections apart. */
static void
on_port(void *arg, struct net_http_exchange *x)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    char text[16];
    (void)arg;
    getpeername(net_http_exchange_fd(x), (struct sockaddr *)&peer, &len);
    int text_len = snprintf(text, sizeof text, "%d", ntohs(peer.sin_port));
    net_http_reply(x, 200, NULL, bytes_of(text, (size_t)text_len));
}

static void
on_put(void *arg, struct net_http_exchange *x)
{
    struct bytes body = net_http_exchange_body(x);
    (void)arg;
    size_t good = 0;
    while (good < body.len && body.at[good] == pattern(good))
        good++;
    char text[64];
    int len = snprintf(text, sizeof text, "%zu of %zu", good, body.len);
    net_http_reply(x, 200, NULL, bytes_of(text, (size_t)len));
}

static void
on_error(void *arg, struct net_http_exchange *x)
{
    static uint8_t body[3 * NET_HTTP_ERROR_BODY_MAX];
    const char *size = net_http_exchange_arg(x, "size");
    (void)arg;
    memset(body, 'e', sizeof body);
    net_http_reply(x, 500, NULL,
                   bytes_of(body, size != NULL ? (size_t)atoi(size) : sizeof body));
}

static const struct net_http_route routes[] = {
    {.method = "GET", .path = "/hello", .name = "hello", .handler = on_hello},
    {.method = "GET", .path = "/port", .name = "port", .handler = on_port},
    {.method = "GET", .path = "/error", .name = "error", .handler = on_error},
    {.method = "POST",
     .path = "/put",
     .name = "put",
     .handler = on_put,
     .max_body = BODY_MAX},
    {.method = "PUT",
     .path = "/put",
     .name = "put",
     .handler = on_put,
     .max_body = BODY_MAX},
};

static int
start(void **state)
{
    struct net_http_server_options options = {.address = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = ARRAY_LEN(routes),
                                              .budget = &t.budget};
    struct net_http_client_options client = {.user_agent = "test/1"};
    (void)state;
    memset(&t, 0, sizeof t);
    budget_init(&t.budget, "test", SIZE_MAX, NULL);
    /* The environment must not matter. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    return net_http_server_start(&t.server, &options, &t.err) &&
                   net_http_client_new(&t.client, &client, &t.err)
               ? 0
               : -1;
}

static int
stop(void **state)
{
    (void)state;
    net_http_client_free(&t.client);
    net_http_server_stop(&t.server, clock_deadline(10 * CLOCK_NS_PER_S));
    budget_fini(&t.budget);
    return 0;
}

static const char *
url_of(uint16_t port, const char *path)
{
    snprintf(t.url, sizeof t.url, "http://127.0.0.1:%u%s", port, path);
    return t.url;
}

static bool
collect(void *arg, struct bytes piece, struct err *err)
{
    (void)err;
    buf_put(arg, piece);
    return true;
}

/* Perform with a deadline of ten seconds unless the request has one. */
static bool
perform(struct net_http_request q)
{
    if (q.method == NULL)
        q.method = "GET";
    if (q.deadline_ns == 0)
        q.deadline_ns = clock_deadline(10 * CLOCK_NS_PER_S);
    memset(&t.err, 0, sizeof t.err);
    return net_http_perform(t.client, &q, &t.response, &t.err);
}

static void
assert_performs(struct net_http_request q, int status)
{
    if (!perform(q))
        fail_msg("%s", t.err.text);
    assert_int_equal(t.response.status, status);
}

static void
assert_fails(struct net_http_request q, enum err_code code)
{
    assert_false(perform(q));
    if (t.err.code != code)
        fail_msg("expected %s, got %s: %s", err_code_name(code),
                 err_code_name(t.err.code), t.err.text);
}

static void
assert_bytes(struct bytes got, const char *wanted)
{
    if (!bytes_eq(got, bytes_of_str(wanted)))
        fail_msg("expected \"%s\", got \"%.*s\"", wanted, BYTES_FMT(got));
}

static uint16_t
own_port(void)
{
    return net_http_server_port(t.server);
}

static void
gets_a_body_and_headers(void **state)
{
    CLEANUP(buf_fini) struct buf body = {0};
    (void)state;
    assert_performs((struct net_http_request){.url = url_of(own_port(), "/hello"),
                                              .sink = collect,
                                              .sink_arg = &body},
                    200);
    assert_bytes(buf_bytes(&body), "hello\n");
    assert_int_equal(t.response.body_bytes, 6);
    assert_bytes(net_http_response_header(&t.response, "x-mixed"), "Some Value");
    assert_bytes(net_http_response_header(&t.response, "x"), "short");
    assert_bytes(net_http_response_header(&t.response, "content-length"), "6");
    assert_bytes(net_http_response_header(&t.response, "content"), "");
}

static bool
sees_the_head(void *arg, struct bytes piece, struct err *err)
{
    bool *seen = arg;
    (void)piece, (void)err;
    *seen = t.response.status == 200 &&
            net_http_response_header(&t.response, "content-length").len != 0;
    return true;
}

static void
status_and_headers_come_before_the_body(void **state)
{
    bool seen = false;
    (void)state;
    assert_performs((struct net_http_request){.url = url_of(own_port(), "/hello"),
                                              .sink = sees_the_head,
                                              .sink_arg = &seen},
                    200);
    assert_true(seen);
}

static void
head_has_headers_only(void **state)
{
    (void)state;
    assert_performs((struct net_http_request){.method = "HEAD",
                                              .url = url_of(own_port(), "/hello")},
                    200);
    assert_int_equal(t.response.body_bytes, 0);
    assert_bytes(net_http_response_header(&t.response, "content-length"), "6");
}

static void
uses_a_connection_again(void **state)
{
    CLEANUP(buf_fini) struct buf first = {0};
    CLEANUP(buf_fini) struct buf second = {0};
    (void)state;
    struct net_http_request q = {
        .url = url_of(own_port(), "/port"), .sink = collect, .sink_arg = &first};
    assert_performs(q, 200);
    q.sink_arg = &second;
    assert_performs(q, 200);
    assert_bytes(buf_bytes(&second), buf_text(&first));
}

struct pattern_source {
    uint64_t at;
    uint64_t end;  /* reads nothing beyond */
    uint64_t fail; /* fails when it gets here, if not 0 */
};

static bool
read_pattern(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    struct pattern_source *s = arg;
    *got = 0;
    if (s->fail != 0 && s->at >= s->fail)
        return err_set(err, ERR_IO, "the disk is gone");
    while (*got < room && s->at < s->end)
        into[(*got)++] = pattern(s->at++);
    return true;
}

static void
streams_a_body_up(void **state)
{
    CLEANUP(buf_fini) struct buf body = {0};
    struct pattern_source source = {.end = 5000000};
    (void)state;
    assert_performs((struct net_http_request){.method = "PUT",
                                              .url = url_of(own_port(), "/put"),
                                              .source = read_pattern,
                                              .source_arg = &source,
                                              .body_size = 5000000,
                                              .sink = collect,
                                              .sink_arg = &body},
                    200);
    assert_bytes(buf_bytes(&body), "5000000 of 5000000");
}

static void
sends_a_body_from_memory(void **state)
{
    CLEANUP(buf_fini) struct buf body = {0};
    uint8_t data[1000];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(i);
    assert_performs((struct net_http_request){.method = "POST",
                                              .url = url_of(own_port(), "/put"),
                                              .body = bytes_of(data, sizeof data),
                                              .sink = collect,
                                              .sink_arg = &body},
                    200);
    assert_bytes(buf_bytes(&body), "1000 of 1000");
}

static void
keeps_the_start_of_an_error_body(void **state)
{
    (void)state;
    assert_performs(
        (struct net_http_request){.url = url_of(own_port(), "/error?size=5")}, 500);
    assert_bytes(bytes_of(t.response.error_body, t.response.error_body_len), "eeeee");
    assert_performs((struct net_http_request){.url = url_of(own_port(), "/error")},
                    500);
    assert_int_equal(t.response.error_body_len, NET_HTTP_ERROR_BODY_MAX);
    assert_int_equal(t.response.body_bytes, 0);
}

/* Ask a peer that answers so; returns whether the exchange succeeded. */
static bool
ask(struct raw_peer *p, struct net_http_request q)
{
    raw_peer_begin(p);
    if (q.url == NULL)
        q.url = url_of(p->port, "/");
    bool ok = perform(q);
    /* Its end waits for the end of our connection. */
    net_http_client_free(&t.client);
    raw_peer_end(p);
    return ok;
}

static void
restart_client(int64_t first_byte_timeout_ns)
{
    struct net_http_client_options options = {
        .user_agent = "test/1", .first_byte_timeout_ns = first_byte_timeout_ns};
    net_http_client_free(&t.client);
    assert_true(net_http_client_new(&t.client, &options, &t.err));
}

static void
sends_what_it_was_told_and_no_more(void **state)
{
    static const char *const headers[] = {"X-Amz-Date: today", "Content-Type: a/b",
                                          NULL};
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    (void)state;
    raw_peer_begin(&p);
    assert_performs(
        (struct net_http_request){.method = "PUT",
                                  .url = url_of(p.port, "/a/../b%2f./c?x=%20&y"),
                                  .headers = headers},
        200);
    net_http_client_free(&t.client);
    raw_peer_end(&p);
    char wanted[400];
    snprintf(wanted, sizeof wanted,
             "PUT /a/../b%%2f./c?x=%%20&y HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
             "User-Agent: test/1\r\nAccept: */*\r\nX-Amz-Date: today\r\n"
             "Content-Type: a/b\r\nContent-Length: 0\r\n\r\n",
             p.port);
    assert_bytes(buf_bytes(&p.request), wanted);
    buf_fini(&p.request);
}

static void
codes_follow_from_what_the_peer_does(void **state)
{
    static const struct {
        const char *answer;
        enum err_code code;
    } cases[] = {
        {"", ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\nContent-Le", ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         ERR_UNAVAILABLE},
        {"+OK this is no web server\r\n", ERR_UNSUPPORTED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ERR_NONE},
        {"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
         "0\r\n\r\n",
         ERR_NONE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
         ERR_NONE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct raw_peer p = {.answer = cases[i].answer};
        restart_client(0);
        bool ok = ask(&p, (struct net_http_request){0});
        if (t.err.code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, err_code_name(t.err.code), t.err.text);
        assert_int_equal(ok, cases[i].code == ERR_NONE);
        assert_true(ok || strstr(t.err.text, "127.0.0.1:") != NULL);
        /* Headers of interim answers and trailers are not those of the answer. */
        assert_int_equal(net_http_response_header(&t.response, "x").len, 0);
        buf_fini(&p.request);
    }
}

static void
success_before_the_body_is_none(void **state)
{
    struct pattern_source source = {.end = 10000000};
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                                   "Connection: close\r\n\r\n",
                         .hang = true};
    (void)state;
    assert_false(ask(&p, (struct net_http_request){.method = "PUT",
                                                   .source = read_pattern,
                                                   .source_arg = &source,
                                                   .body_size = 10000000}));
    assert_int_equal(t.err.code, ERR_UNAVAILABLE);
    buf_fini(&p.request);
}

static void
refused_port_is_unavailable(void **state)
{
    struct raw_peer p = {.answer = ""};
    (void)state;
    raw_peer_begin(&p);
    raw_peer_end(&p);
    assert_fails((struct net_http_request){.url = url_of(p.port, "/")},
                 ERR_UNAVAILABLE);
}

static void
errors_do_not_show_secrets_of_the_url(void **state)
{
    (void)state;
    assert_fails(
        (struct net_http_request){.url = "http://user:pw1@127.0.0.1:1/p?token=pw2"},
        ERR_UNAVAILABLE);
    assert_non_null(strstr(t.err.text, "GET 127.0.0.1:1: "));
    assert_null(strstr(t.err.text, "pw"));
}

static void
refuses_urls_that_it_cannot_ask(void **state)
{
    (void)state;
    assert_fails((struct net_http_request){.url = "http://a b/"}, ERR_INVALID);
    assert_fails((struct net_http_request){.url = "http://h:99999/"}, ERR_INVALID);
    assert_fails((struct net_http_request){.url = "file:///etc/passwd"},
                 ERR_UNSUPPORTED);
}

static void
does_not_follow_redirects(void **state)
{
    struct raw_peer p = {.answer =
                             "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\n"
                             "Content-Length: 0\r\n\r\n"};
    (void)state;
    assert_true(ask(&p, (struct net_http_request){0}));
    assert_int_equal(t.response.status, 307);
    assert_bytes(net_http_response_header(&t.response, "location"),
                 "http://127.0.0.1:1/");
    buf_fini(&p.request);
}

static void
refuses_more_headers_than_it_keeps(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    buf_put_str(&answer, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < NET_HTTP_HEADERS_MAX / 8; i++)
        buf_printf(&answer, "X-%04d: 1\r\n", i);
    buf_put_str(&answer, "\r\n");
    struct raw_peer p = {.answer = buf_text(&answer)};
    assert_false(ask(&p, (struct net_http_request){0}));
    assert_int_equal(t.err.code, ERR_UNSUPPORTED);
    buf_fini(&p.request);
}

static void
deadline_ends_a_silent_exchange(void **state)
{
    struct raw_peer p = {.hang = true};
    (void)state;
    int64_t begin = clock_mono_ns();
    assert_false(ask(&p, (struct net_http_request){
                             .deadline_ns = clock_deadline(50 * CLOCK_NS_PER_MS)}));
    assert_int_equal(t.err.code, ERR_TIMEOUT);
    assert_true(clock_mono_ns() - begin < 5 * CLOCK_NS_PER_S);
    buf_fini(&p.request);
}

static void
silence_ends_an_exchange(void **state)
{
    static const char *const answers[] = {
        NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct raw_peer p = {.answer = answers[i], .hang = true};
        restart_client(50 * CLOCK_NS_PER_MS);
        assert_false(ask(&p, (struct net_http_request){0}));
        assert_int_equal(t.err.code, ERR_TIMEOUT);
        assert_non_null(strstr(t.err.text, "silent"));
        buf_fini(&p.request);
    }
}

static void
patience_ends_a_silent_exchange(void **state)
{
    struct net_patience patience = {.first_ns = 50 * CLOCK_NS_PER_MS};
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                         .hang = true};
    (void)state;
    assert_false(ask(&p, (struct net_http_request){.patience = &patience}));
    assert_int_equal(t.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(t.err.text, "silent"));
    assert_int_equal(net_patience_limit(&patience, clock_mono_ns(), CLOCK_NS_PER_S),
                     100 * CLOCK_NS_PER_MS);
    buf_fini(&p.request);
}

static void *
raise_soon(void *arg)
{
    poll(NULL, 0, 50);
    cancel_raise(arg);
    return NULL;
}

static void
cancel_ends_an_exchange(void **state)
{
    struct raw_peer p = {.hang = true};
    struct cancel cancel = {0};
    pthread_t raiser;
    (void)state;
    assert_int_equal(pthread_create(&raiser, NULL, raise_soon, &cancel), 0);
    assert_false(ask(&p, (struct net_http_request){.cancel = &cancel}));
    assert_int_equal(t.err.code, ERR_CANCELLED);
    pthread_join(raiser, NULL);
    buf_fini(&p.request);
}

static bool
refuse_piece(void *arg, struct bytes piece, struct err *err)
{
    (void)arg, (void)piece;
    return err_set(err, ERR_BUDGET, "no room");
}

static void
errors_of_sink_and_source_come_back(void **state)
{
    struct pattern_source broken = {.end = 1000000, .fail = 300000};
    struct pattern_source ends_early = {.end = 300000};
    (void)state;
    assert_fails((struct net_http_request){.url = url_of(own_port(), "/hello"),
                                           .sink = refuse_piece},
                 ERR_BUDGET);
    assert_string_equal(t.err.text, "no room");
    struct net_http_request put = {.method = "PUT",
                                   .url = url_of(own_port(), "/put"),
                                   .source = read_pattern,
                                   .source_arg = &broken,
                                   .body_size = 1000000};
    assert_fails(put, ERR_IO);
    assert_string_equal(t.err.text, "the disk is gone");
    put.source_arg = &ends_early;
    assert_fails(put, ERR_IO);
    assert_non_null(strstr(t.err.text, "ended before its announced size"));
    /* None of that has harmed the client. */
    gets_a_body_and_headers(state);
}

static void
a_connection_that_died_idle_is_replaced(void **state)
{
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    (void)state;
    raw_peer_begin(&p);
    struct net_http_request q = {
        .method = "POST", .url = url_of(p.port, "/"), .body = BYTES("x")};
    for (int i = 0; i < 3; i++)
        assert_performs(q, 200);
    assert_int_equal(p.connections, 3);
    net_http_client_free(&t.client);
    raw_peer_end(&p);
    buf_fini(&p.request);
}

static void *
ask_often(void *arg)
{
    struct net_http_response *response = malloc(sizeof *response);
    struct err err;
    bool *ok = arg;
    *ok = response != NULL;
    for (int i = 0; i < 50 && *ok; i++)
        *ok = net_http_perform(t.client,
                               &(struct net_http_request){
                                   .method = "GET",
                                   .url = t.url,
                                   .deadline_ns = clock_deadline(10 * CLOCK_NS_PER_S)},
                               response, &err) &&
              response->status == 200;
    free(response);
    return NULL;
}

static void
serves_many_threads(void **state)
{
    pthread_t threads[24];
    bool ok[24];
    (void)state;
    url_of(own_port(), "/hello");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &ok[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_true(ok[i]);
    }
}

static void
statuses_stand_for_codes(void **state)
{
    static const struct {
        int status;
        enum err_code code;
    } cases[] = {{200, ERR_NONE},        {204, ERR_NONE},      {206, ERR_NONE},
                 {304, ERR_UNSUPPORTED}, {400, ERR_INVALID},   {401, ERR_DENIED},
                 {403, ERR_DENIED},      {404, ERR_NOT_FOUND}, {408, ERR_TIMEOUT},
                 {416, ERR_INVALID},     {429, ERR_THROTTLED}, {500, ERR_UNAVAILABLE},
                 {502, ERR_UNAVAILABLE}, {503, ERR_THROTTLED}, {504, ERR_UNAVAILABLE}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(net_http_status_code(cases[i].status), cases[i].code);
}

#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(gets_a_body_and_headers),
        CLIENT_TEST(status_and_headers_come_before_the_body),
        CLIENT_TEST(head_has_headers_only),
        CLIENT_TEST(uses_a_connection_again),
        CLIENT_TEST(streams_a_body_up),
        CLIENT_TEST(sends_a_body_from_memory),
        CLIENT_TEST(keeps_the_start_of_an_error_body),
        CLIENT_TEST(sends_what_it_was_told_and_no_more),
        CLIENT_TEST(success_before_the_body_is_none),
        CLIENT_TEST(codes_follow_from_what_the_peer_does),
        CLIENT_TEST(refused_port_is_unavailable),
        CLIENT_TEST(errors_do_not_show_secrets_of_the_url),
        CLIENT_TEST(refuses_urls_that_it_cannot_ask),
        CLIENT_TEST(does_not_follow_redirects),
        CLIENT_TEST(refuses_more_headers_than_it_keeps),
        CLIENT_TEST(deadline_ends_a_silent_exchange),
        CLIENT_TEST(silence_ends_an_exchange),
        CLIENT_TEST(patience_ends_a_silent_exchange),
        CLIENT_TEST(cancel_ends_an_exchange),
        CLIENT_TEST(errors_of_sink_and_source_come_back),
        CLIENT_TEST(a_connection_that_died_idle_is_replaced),
        CLIENT_TEST(serves_many_threads),
        cmocka_unit_test(statuses_stand_for_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
