/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/metrics/registry.h"
#include "common/net/http_server.h"
#include "tests/support/raw_http.h"

enum { ECHO_MAX = 1000, BIG_MAX = 8 << 20, BUDGET_BYTES = 4 << 20 };

/* What the handlers serve and note; one server at a time. */
static struct {
    struct net_http_server *server;
    struct budget budget;
    struct metrics_registry *metrics;
    uint16_t port;
    /* the stream */
    size_t pieces;
    size_t piece_len;
    bool fail;                         /* an error after the pieces, not an end */
    struct net_http_exchange *trailed; /* what gets a trailer; NULL: none does */
    atomic_size_t nexts;
    atomic_int dones;
    /* the handler that blocks */
    atomic_bool entered;
    atomic_bool release;
    atomic_bool saw_reader_leave;
} t;

/* Wait for a condition that another thread brings about. */
#define WAIT_UNTIL(cond)                                      \
    do {                                                      \
        int64_t until_ = clock_deadline(10 * CLOCK_NS_PER_S); \
        while (!(cond) && clock_left_ns(until_) > 0)          \
            sched_yield();                                    \
        assert_true(cond);                                    \
    } while (0)

static void
on_hello(void *arg, struct net_http_exchange *x)
{
    const char *name = net_http_exchange_arg(x, "name");
    const char *custom = net_http_exchange_header(x, "x-custom");
    char body[100];
    (void)arg;
    int len = snprintf(body, sizeof body, "hello %s %s\n", name ? name : "-",
                       custom ? custom : "-");
    net_http_exchange_add_header(x, "X-One", "1");
    net_http_exchange_add_header(x, "X-Empty", "");
    net_http_exchange_add_header(x, "X-Two", "2");
    net_http_reply(x, 200, "text/plain", bytes_of(body, (size_t)len));
}

static void
on_parameter(void *arg, struct net_http_exchange *x)
{
    CLEANUP(buf_fini) struct buf body = {0};
    struct bytes query = net_http_exchange_query(x);
    (void)arg;
    buf_put(&body, net_http_exchange_parameter(x));
    buf_printf(&body, "?%.*s\n", BYTES_FMT(query));
    net_http_reply(x, 200, NULL, buf_bytes(&body));
}

static void
on_echo(void *arg, struct net_http_exchange *x)
{
    (void)arg;
    net_http_reply(x, 200, NULL, net_http_exchange_body(x));
}

static void
on_fail(void *arg, struct net_http_exchange *x)
{
    struct err err;
    (void)arg;
    err_set(&err, (enum err_code)atoi(net_http_exchange_arg(x, "code")), "it is so");
    net_http_reply_err(x, &err);
}

static bool
next_piece(void *arg, struct bytes *piece, struct err *err)
{
    static uint8_t data[64 * 1024];
    (void)arg;
    size_t n = t.nexts++;
    *piece = (struct bytes){0};
    if (n == t.pieces && t.trailed != NULL)
        net_http_exchange_add_trailer(t.trailed, "X-Figures", "pieces=3");
    if (n == t.pieces)
        return !t.fail || err_set(err, ERR_CORRUPT, "a block is broken");
    memset(data, 'a' + (int)(n % 26), t.piece_len);
    *piece = bytes_of(data, t.piece_len);
    return true;
}

static void
end_stream(void *arg)
{
    (void)arg;
    t.dones++;
}

static const struct net_http_stream stream = {.next = next_piece, .done = end_stream};

static void
on_stream(void *arg, struct net_http_exchange *x)
{
    (void)arg;
    net_http_reply_stream(x, 200, "application/x-test", NET_HTTP_LENGTH_UNKNOWN,
                          stream);
}

static void
on_trailed_stream(void *arg, struct net_http_exchange *x)
{
    t.trailed = x;
    net_http_exchange_add_header(x, "Trailer", "X-Figures");
    on_stream(arg, x);
}

/* Promises one byte more than the pieces have when asked to. */
static void
on_sized_stream(void *arg, struct net_http_exchange *x)
{
    uint64_t missing = net_http_exchange_query(x).len > 0;
    (void)arg;
    net_http_reply_stream(x, 200, "application/x-test",
                          t.pieces * t.piece_len + missing, stream);
}

/* As long as a piece. */
static void
on_body(void *arg, struct net_http_exchange *x)
{
    CLEANUP(buf_fini) struct buf body = {0};
    (void)arg;
    memset(buf_reserve(&body, t.piece_len), 'b', t.piece_len);
    body.len = t.piece_len;
    net_http_reply(x, 200, "text/plain", buf_bytes(&body));
}

static void
on_block(void *arg, struct net_http_exchange *x)
{
    (void)arg;
    t.entered = true;
    while (!t.release && !net_http_exchange_gone(x))
        sched_yield();
    t.saw_reader_leave = !t.release;
    net_http_reply(x, 200, "text/plain", BYTES("late\n"));
}

static const struct net_http_route routes[] = {
    {.method = "GET", .path = "/hello", .name = "hello", .handler = on_hello},
    {.method = "POST",
     .path = "/echo",
     .name = "echo",
     .handler = on_echo,
     .max_body = ECHO_MAX},
    {.method = "PUT",
     .path = "/echo",
     .name = "echo",
     .handler = on_echo,
     .max_body = BIG_MAX},
    {.method = "GET", .path = "/of/:name/all", .name = "of", .handler = on_parameter},
    {.method = "GET", .path = "/fail", .name = "fail", .handler = on_fail},
    {.method = "GET", .path = "/stream", .name = "stream", .handler = on_stream},
    {.method = "GET",
     .path = "/dense",
     .name = "dense",
     .handler = on_stream,
     .compress = true},
    {.method = "GET",
     .path = "/body",
     .name = "body",
     .handler = on_body,
     .compress = true},
    {.method = "GET",
     .path = "/trailed",
     .name = "trailed",
     .handler = on_trailed_stream,
     .compress = true},
    {.method = "GET", .path = "/sized", .name = "sized", .handler = on_sized_stream},
    {.method = "GET", .path = "/block", .name = "block", .handler = on_block},
};

static int
start_with(unsigned connections, unsigned request_timeout_s)
{
    struct err err;
    memset(&t, 0, sizeof t);
    budget_init(&t.budget, "test", BUDGET_BYTES, NULL);
    t.metrics = metrics_registry_new();
    struct net_http_server_options options = {.address = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = ARRAY_LEN(routes),
                                              .budget = &t.budget,
                                              .metrics = t.metrics,
                                              .max_connections = connections,
                                              .request_timeout_s = request_timeout_s};
    if (!net_http_server_start(&t.server, &options, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    t.port = net_http_server_port(t.server);
    return 0;
}

static int
start(void **state)
{
    (void)state;
    return start_with(0, 0);
}

enum { FEW = 24 };

static int
start_impatient(void **state)
{
    (void)state;
    return start_with(FEW, 1);
}

/* Everything that was charged has been given back: budget_fini checks. */
static int
stop(void **state)
{
    (void)state;
    t.release = true;
    net_http_server_stop(&t.server, clock_deadline(10 * CLOCK_NS_PER_S));
    metrics_registry_free(&t.metrics);
    budget_fini(&t.budget);
    return 0;
}

static void
assert_contains(struct buf *b, const char *needle)
{
    if (strstr(buf_text(b), needle) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", needle, buf_text(b));
}

static void
assert_status(struct buf *answer, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (!bytes_starts_with(buf_bytes(answer), bytes_of_str(line)))
        fail_msg("expected %d, got \"%s\"", status, buf_text(answer));
}

static void
answers_with_arguments_and_headers(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    raw_exchange(t.port,
                 "GET /hello?name=J%6Fe&x=1 HTTP/1.1\r\nHost: h\r\nX-Custom: v w\r\n"
                 "Connection: close\r\n\r\n",
                 &answer);
    assert_status(&answer, 200);
    assert_contains(&answer, "\r\n\r\nhello Joe v w\n");
    assert_contains(&answer, "Content-Type: text/plain\r\n");
    assert_contains(&answer, "X-One: 1\r\n");
    assert_contains(&answer, "X-Two: 2\r\n");
}

static void
decodes_paths_part_by_part(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *text;
    } cases[] = {
        {"/of/a/all", 200, "\r\n\r\na?\n"},
        {"/of/a%2Fb%20+%c3%a9/all?x=%41&/?", 200, "\r\n\r\na/b +\xc3\xa9?x=%41&/?\n"},
        {"/%6ff/%3A/al%6C", 200, "\r\n\r\n:?\n"},
        {"/of//all", 404, ""},
        {"/of/a/b/all", 404, ""},
        {"/of/a/all/", 404, ""},
        {"/of/a", 404, ""},
        {"/hello%00", 400, "broken path\n"},
        {"/of/a%00b/all", 400, "broken path\n"},
        {"/of/%/all", 400, "broken path\n"},
        {"/of/%2/all", 400, "broken path\n"},
        {"/of/%zz/all", 400, "broken path\n"},
        {"/hello?%zz", 200, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf answer = {0};
        CLEANUP(buf_fini) struct buf request = {0};
        buf_printf(&request, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                   cases[i].path);
        raw_exchange(t.port, buf_text(&request), &answer);
        assert_status(&answer, cases[i].status);
        assert_contains(&answer, cases[i].text);
    }
}

static void
refuses_a_target_that_is_too_long(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    CLEANUP(buf_fini) struct buf request = {0};
    (void)state;
    buf_put_str(&request, "GET /hello?x=");
    memset(buf_reserve(&request, 32 * 1024), 'x', 32 * 1024);
    request.len += 32 * 1024;
    buf_put_str(&request, " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    raw_exchange(t.port, buf_text(&request), &answer);
    assert_status(&answer, 414);
}

static void
answers_head_without_a_body(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    raw_exchange(t.port, "HEAD /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &answer);
    assert_status(&answer, 200);
    assert_contains(&answer, "Content-Length: 10\r\n");
    assert_null(strstr(buf_text(&answer), "hello - -"));
}

static void
keeps_the_connection_also_after_refusals_without_a_body(void **state)
{
    static const char *const paths[] = {"/hello", "/nowhere", "/echo", "/hello"};
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    int fd = raw_connect(t.port);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char request[100];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
                 paths[i]);
        raw_send(fd, bytes_of_str(request));
        buf_clear(&answer);
        static const char *const ends[] = {
            "hello - -\n", "page not found\n",
            "method not allowed: GET; allowed are POST, PUT, OPTIONS\n", "hello - -\n"};
        assert_true(raw_read(fd, &answer, ends[i]));
    }
    close(fd);
}

#define LINE_OF_80 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void
refuses_bad_requests(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *text;
    } cases[] = {
        {"GET /nowhere HTTP/1.1\r\nHost: h\r\n", 404, "\r\n\r\npage not found\n"},
        {"GET /hello/ HTTP/1.1\r\nHost: h\r\n", 404, "page not found\n"},
        {"POST /hello HTTP/1.1\r\nHost: h\r\n", 405, "Allow: GET, HEAD, OPTIONS\r\n"},
        {"BREW /echo HTTP/1.1\r\nHost: h\r\n", 405, "Allow: POST, PUT, OPTIONS\r\n"},
        {"OPTIONS /hello HTTP/1.1\r\nHost: h\r\n", 204,
         "Allow: GET, HEAD, OPTIONS\r\n"},
        {"GET /hello HTTP/1.1\r\n", 400, ""},
        {"GET /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n", 413,
         "request body too large: 1 bytes are above the limit of 0\n"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n", 413,
         "request body too large: 1001 bytes are above the limit of 1000\n"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n",
         413, ""},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n",
         413, ""},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5x\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\ncontent-length: 5\r\n",
         400, "ambiguous length"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
         "Transfer-Encoding: chunked\r\n",
         400, "ambiguous length"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n", 400,
         "ambiguous length"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
         "Transfer-Encoding: chunked\r\n",
         400, "ambiguous length"},
        {"POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n", 400,
         "ambiguous length"},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n", 400, ""},
        {"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
         "Content-Length: 0\r\n",
         400, "ambiguous length"},
        {"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n", 404,
         "page not found\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf answer = {0};
        CLEANUP(buf_fini) struct buf request = {0};
        buf_printf(&request, "%sConnection: close\r\n\r\n", cases[i].request);
        raw_exchange(t.port, buf_text(&request), &answer);
        assert_status(&answer, cases[i].status);
        assert_contains(&answer, cases[i].text);
    }
}

static void
survives_garbage_and_oversized_headers(void **state)
{
    static const char *const garbage[] = {"\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
                                          "GET\r\n\r\n",
                                          "\r\n\r\n\r\nGET / HTTP/9.9\r\n\r\n",
                                          "GET /hello HTTP/1.1\r\nno colon\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        CLEANUP(buf_fini) struct buf answer = {0};
        int fd = raw_connect(t.port);
        raw_send(fd, bytes_of_str(garbage[i]));
        shutdown(fd, SHUT_WR);
        raw_read(fd, &answer, NULL);
        assert_null(strstr(buf_text(&answer), " 200 "));
        close(fd);
    }
    CLEANUP(buf_fini) struct buf answer = {0};
    CLEANUP(buf_fini) struct buf request = {0};
    buf_put_str(&request, "GET /hello HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 1000; i++)
        buf_printf(&request, "X-%d: " LINE_OF_80 "\r\n", i);
    buf_put_str(&request, "\r\n");
    raw_exchange(t.port, buf_text(&request), &answer);
    /* The reset may overtake the answer, since the request is not read to its end. */
    if (answer.len != 0)
        assert_status(&answer, 431);
    answers_with_arguments_and_headers(state);
}

static void
collects_a_body_in_chunks(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    raw_exchange(t.port,
                 "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                 "Connection: close\r\n\r\n3\r\none\r\n4;x=y\r\ntwo!\r\n0\r\n\r\n",
                 &answer);
    assert_status(&answer, 200);
    assert_contains(&answer, "\r\n\r\nonetwo!");
}

static void
send_chunks(struct buf *request, size_t total)
{
    buf_put_str(request, "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < total; i++)
        buf_put_str(request, "1\r\nx\r\n");
    buf_put_str(request, "0\r\n\r\n");
}

static void
closes_when_chunks_exceed_the_limit(void **state)
{
    CLEANUP(buf_fini) struct buf fits = {0};
    CLEANUP(buf_fini) struct buf exceeds = {0};
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    send_chunks(&fits, ECHO_MAX);
    raw_exchange(t.port, buf_text(&fits), &answer);
    assert_status(&answer, 200);
    buf_clear(&answer);
    send_chunks(&exceeds, ECHO_MAX + 1);
    raw_exchange(t.port, buf_text(&exceeds), &answer);
    assert_int_equal(answer.len, 0);
}

static void
refuses_a_body_beyond_the_budget(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    CLEANUP(buf_fini) struct buf request = {0};
    (void)state;
    buf_printf(&request,
               "PUT /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
               "Content-Length: %d\r\n\r\n",
               BIG_MAX);
    memset(buf_reserve(&request, BIG_MAX), 'x', BIG_MAX);
    request.len += BIG_MAX;
    raw_exchange(t.port, buf_text(&request), &answer);
    assert_status(&answer, 422);
    assert_contains(&answer, "test");
}

static void
tells_that_there_is_no_memory_even_for_the_path(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    struct err err;
    (void)state;
    assert_true(budget_take(&t.budget, BUDGET_BYTES, &err));
    raw_exchange(t.port, "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &answer);
    assert_status(&answer, 503);
    assert_contains(&answer, "Retry-After");
    budget_give(&t.budget, BUDGET_BYTES);
}

static void
maps_error_codes(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } cases[] = {{ERR_INVALID, 400},     {ERR_NOT_FOUND, 404}, {ERR_CONFLICT, 409},
                 {ERR_BUDGET, 422},      {ERR_DENIED, 403},    {ERR_UNSUPPORTED, 501},
                 {ERR_UNAVAILABLE, 503}, {ERR_THROTTLED, 429}, {ERR_TIMEOUT, 504},
                 {ERR_CANCELLED, 503},   {ERR_CORRUPT, 500},   {ERR_IO, 500},
                 {ERR_NOMEM, 503},       {ERR_INTERNAL, 500}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf answer = {0};
        char request[100];
        snprintf(request, sizeof request,
                 "GET /fail?code=%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 (int)cases[i].code);
        raw_exchange(t.port, request, &answer);
        assert_status(&answer, cases[i].status);
        assert_contains(&answer, "\r\n\r\nit is so\n");
        bool retry = cases[i].status == 503 || cases[i].status == 429;
        assert_true((strstr(buf_text(&answer), "Retry-After: ") != NULL) == retry);
    }
}

#define GET_CLOSE(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static void
streams_in_chunks(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 3;
    t.piece_len = 4;
    raw_exchange(t.port, GET_CLOSE("/stream"), &answer);
    assert_status(&answer, 200);
    assert_contains(&answer, "Transfer-Encoding: chunked\r\n");
    assert_contains(&answer,
                    "\r\n\r\n4\r\naaaa\r\n4\r\nbbbb\r\n4\r\ncccc\r\n0\r\n\r\n");
    WAIT_UNTIL(t.dones == 1);
}

/* They are whole at the end of the connection, and before the next answer of it. */
static void
sends_trailers_behind_a_stream(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 3;
    t.piece_len = 4;
    raw_exchange(t.port, "GET /trailed HTTP/1.1\r\nHost: h\r\n\r\n" GET_CLOSE("/hello"),
                 &answer);
    assert_contains(&answer, "Trailer: X-Figures\r\n");
    assert_contains(&answer,
                    "4\r\ncccc\r\n0\r\nX-Figures: pieces=3\r\n\r\nHTTP/1.1 200");
    WAIT_UNTIL(t.dones == 1);
}

static void
sends_trailers_behind_a_compressed_stream(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 2;
    t.piece_len = 3000;
    raw_exchange(t.port,
                 "GET /trailed HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n"
                 "Connection: close\r\n\r\n",
                 &answer);
    assert_contains(&answer, "Content-Encoding: gzip\r\n");
    /* The body is binary. */
    struct bytes end = BYTES("\r\n0\r\nX-Figures: pieces=3\r\n\r\n");
    assert_true(answer.len > end.len);
    assert_memory_equal(answer.at + answer.len - end.len, end.at, end.len);
    WAIT_UNTIL(t.dones == 1);
}

static void
sends_no_trailer_behind_an_aborted_stream(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 2;
    t.piece_len = 4;
    t.fail = true;
    raw_exchange(t.port, GET_CLOSE("/trailed"), &answer);
    assert_contains(&answer, "4\r\nbbbb\r\n");
    assert_null(strstr(buf_text(&answer), "X-Figures: "));
    WAIT_UNTIL(t.dones == 1);
}

static void
streams_a_known_length_to_a_slow_reader(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 300;
    t.piece_len = 60000;
    int fd = raw_connect(t.port);
    raw_send(fd, BYTES(GET_CLOSE("/sized")));
    assert_true(raw_read(fd, &answer, "\r\n\r\n"));
    /* The reader takes nothing: the stream stops when the sockets are full. */
    size_t before;
    do {
        before = t.nexts;
        poll(NULL, 0, 20);
    } while (t.nexts != before);
    assert_true(before < t.pieces);
    assert_int_equal(t.dones, 0);
    char at[65536];
    size_t head =
        (size_t)(strstr(buf_text(&answer), "\r\n\r\n") + 4 - buf_text(&answer));
    size_t total = answer.len - head;
    ssize_t got;
    while ((got = recv(fd, at, sizeof at, 0)) > 0)
        total += (size_t)got;
    assert_int_equal(total, t.pieces * t.piece_len);
    WAIT_UNTIL(t.dones == 1);
    close(fd);
}

static void
ask_for_encoding(const char *path, const char *accepted, struct buf *answer)
{
    CLEANUP(buf_fini) struct buf request = {0};
    buf_printf(&request,
               "GET %s HTTP/1.1\r\nHost: h\r\n%s%s\r\nConnection: close\r\n\r\n", path,
               accepted != NULL ? "Accept-Encoding: " : "X: ",
               accepted != NULL ? accepted : "");
    buf_clear(answer);
    raw_exchange(t.port, buf_text(&request), answer);
    assert_status(answer, 200);
}

static void
compresses_as_the_client_likes(void **state)
{
    static const struct {
        const char *accepted;
        const char *coding; /* NULL: none */
    } cases[] = {
        {NULL, NULL},
        {"", NULL},
        {"identity", NULL},
        {"br", NULL},
        {"gzipp, zst", NULL},
        {"gzip", "gzip"},
        {"GZIP", "gzip"},
        {"deflate, gzip, br", "gzip"},
        {"gzip, deflate, br, zstd", "zstd"},
        {"zstd;q=0, gzip;q=0.5", "gzip"},
        {"zstd; q=0.2,gzip ;q=0.9", "gzip"},
        {"gzip;q=0", NULL},
        {"gzip;q=0.5, identity", NULL},
        {"gzip;q=0.5, identity;q=0.4", "gzip"},
        {"gzip;q=2", NULL},
        {"gzip;q=x", NULL},
        {"gzip;q=nan", NULL},
        {"*", "zstd"},
        {"*;q=0.1, zstd;q=0", "gzip"},
        {"*;q=0", NULL},
    };
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 3;
    t.piece_len = 3000;
    for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
        const char *coding = cases[i / 2].coding;
        char header[64];
        t.nexts = 0;
        ask_for_encoding(i % 2 ? "/dense" : "/body", cases[i / 2].accepted, &answer);
        assert_contains(&answer, "Vary: Accept-Encoding\r\n");
        snprintf(header, sizeof header, "Content-Encoding: %s\r\n",
                 coding != NULL ? coding : "");
        if (coding != NULL)
            assert_contains(&answer, header);
        else
            assert_null(strstr(buf_text(&answer), "Content-Encoding"));
        assert_true(coding != NULL ? answer.len < 1000 : answer.len > 3000);
    }
}

static void
sends_tiny_bodies_as_they_are(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 1;
    t.piece_len = 1000;
    ask_for_encoding("/body", "gzip", &answer);
    assert_null(strstr(buf_text(&answer), "Content-Encoding"));
    ask_for_encoding("/dense", "gzip", &answer);
    assert_null(strstr(buf_text(&answer), "Content-Encoding"));
    assert_contains(&answer, "\r\n3E8\r\naaa");
    assert_contains(&answer, "\r\n0\r\n\r\n");
    ask_for_encoding("/hello", "gzip", &answer);
    assert_null(strstr(buf_text(&answer), "Vary"));
}

/* Nor are there 10 000 bytes for a context. */
static void
sends_plain_when_there_is_no_memory_to_compress(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    struct err err;
    (void)state;
    t.pieces = 3;
    t.piece_len = 3000;
    assert_true(budget_take(&t.budget, BUDGET_BYTES - 10000, &err));
    ask_for_encoding("/body", "gzip", &answer);
    assert_null(strstr(buf_text(&answer), "Content-Encoding"));
    ask_for_encoding("/dense", "gzip", &answer);
    assert_null(strstr(buf_text(&answer), "Content-Encoding"));
    assert_contains(&answer, "ccc\r\n0\r\n\r\n");
    budget_give(&t.budget, BUDGET_BYTES - 10000);
}

static void
aborts_a_compressed_stream_that_fails(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 2;
    t.piece_len = 3000;
    t.fail = true;
    raw_exchange(t.port,
                 "GET /dense HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n"
                 "Connection: close\r\n\r\n",
                 &answer);
    assert_null(strstr(buf_text(&answer), "\r\n0\r\n"));
    WAIT_UNTIL(t.dones == 1);
}

static void
aborts_when_a_stream_fails(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 2;
    t.piece_len = 4;
    t.fail = true;
    raw_exchange(t.port, GET_CLOSE("/stream"), &answer);
    assert_contains(&answer, "4\r\nbbbb\r\n");
    assert_null(strstr(buf_text(&answer), "\r\n0\r\n"));
    WAIT_UNTIL(t.dones == 1);
}

static void
cuts_a_stream_that_ends_before_its_length(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 2;
    t.piece_len = 4;
    raw_exchange(t.port, GET_CLOSE("/sized?short=1"), &answer);
    assert_contains(&answer, "Content-Length: 9\r\n");
    assert_contains(&answer, "\r\n\r\naaaabbbb");
    WAIT_UNTIL(t.dones == 1);
}

static void
refuses_a_stream_to_http_1_0(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 1;
    t.piece_len = 4;
    raw_exchange(t.port, "GET /stream HTTP/1.0\r\n\r\n", &answer);
    assert_contains(&answer, " 505 ");
    assert_int_equal(t.dones, 1);
    assert_int_equal(t.nexts, 0);
    buf_clear(&answer);
    raw_exchange(t.port, "GET /sized HTTP/1.0\r\n\r\n", &answer);
    assert_contains(&answer, "\r\n\r\naaaa");
    WAIT_UNTIL(t.dones == 2);
}

static void
answers_head_of_a_stream_without_pulling(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = 1;
    t.piece_len = 4;
    raw_exchange(t.port,
                 "HEAD /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &answer);
    assert_status(&answer, 200);
    WAIT_UNTIL(t.dones == 1);
    assert_int_equal(t.nexts, 0);
}

static void
ends_the_stream_when_the_reader_leaves(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    t.pieces = SIZE_MAX;
    t.piece_len = 60000;
    int fd = raw_connect(t.port);
    raw_send(fd, BYTES(GET_CLOSE("/stream")));
    assert_true(raw_read(fd, &answer, "\r\n\r\n"));
    close(fd);
    WAIT_UNTIL(t.dones == 1);
}

static void
tells_the_handler_that_the_reader_left(void **state)
{
    (void)state;
    int fd = raw_connect(t.port);
    raw_send(fd, BYTES(GET_CLOSE("/block")));
    WAIT_UNTIL(t.entered);
    assert_false(t.saw_reader_leave);
    close(fd);
    WAIT_UNTIL(t.saw_reader_leave);
}

static size_t
count_closed(const int *fds, size_t count)
{
    size_t closed = 0;
    for (size_t i = 0; i < count; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLRDHUP};
        closed += poll(&p, 1, 0) > 0;
    }
    return closed;
}

/* Sends a byte now and then, so that the line is never silent. */
static void
cuts_who_sends_too_slowly(void **state)
{
    static const char *const beginnings[] = {
        "", "GET /hel", "GET /hello HTTP/1.1\r\nHost: h\r\nX: ",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n\r\n"};
    int fds[ARRAY_LEN(beginnings)];
    size_t cut = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = raw_connect(t.port);
        raw_send(fds[i], bytes_of_str(beginnings[i]));
    }
    int64_t until = clock_deadline(10 * CLOCK_NS_PER_S);
    bool gone[ARRAY_LEN(fds)] = {0};
    while (cut < ARRAY_LEN(fds) && clock_left_ns(until) > 0) {
        struct pollfd p[ARRAY_LEN(fds)];
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            p[i] = (struct pollfd){.fd = gone[i] ? -1 : fds[i], .events = POLLRDHUP};
            if (!gone[i])
                raw_send(fds[i], BYTES("x"));
        }
        poll(p, ARRAY_LEN(fds), 50);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++)
            if (!gone[i] && (p[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
                gone[i] = true;
                cut++;
            }
    }
    assert_int_equal(cut, ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    answers_with_arguments_and_headers(state);
}

/* A keep-alive connection may rest for longer than a request may take. */
static void
lets_rest_who_was_answered(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    int fd = raw_connect(t.port);
    for (int i = 0; i < 2; i++) {
        raw_send(fd, BYTES("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_true(raw_read(fd, &answer, "hello - -\n"));
        buf_clear(&answer);
        struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};
        assert_int_equal(poll(&p, 1, 1500), 0);
    }
    close(fd);
}

static bool
is_answered(void)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    raw_exchange(t.port, "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &answer);
    return answer.len > 0;
}

/* As many as the server takes, all silent: those who come are answered all the same. */
static void
makes_room_for_who_comes(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    int fds[2 * FEW];
    (void)state;
    int busy = raw_connect(t.port);
    raw_send(busy, BYTES("GET /block HTTP/1.1\r\nHost: h\r\n\r\n"));
    WAIT_UNTIL(t.entered);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = raw_connect(t.port);
        if (i % 2 == 0)
            raw_send(fds[i], BYTES("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    /* Nobody is cut at once: until then the server is full, and says so by closing. */
    WAIT_UNTIL(is_answered());
    for (int i = 0; i < FEW; i++)
        answers_with_arguments_and_headers(state);
    WAIT_UNTIL(count_closed(fds, ARRAY_LEN(fds)) > FEW);
    assert_false(t.saw_reader_leave);
    t.release = true;
    assert_true(raw_read(busy, &answer, "late\n"));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    close(busy);
}

static void *
release_soon(void *arg)
{
    (void)arg;
    poll(NULL, 0, 50);
    t.release = true;
    return NULL;
}

static void
stop_waits_for_a_running_request(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    pthread_t releaser;
    (void)state;
    int fd = raw_connect(t.port);
    raw_send(fd, BYTES("GET /block HTTP/1.1\r\nHost: h\r\n\r\n"));
    WAIT_UNTIL(t.entered);
    assert_int_equal(pthread_create(&releaser, NULL, release_soon, NULL), 0);
    net_http_server_stop(&t.server, clock_deadline(10 * CLOCK_NS_PER_S));
    assert_null(t.server);
    raw_read(fd, &answer, NULL);
    assert_contains(&answer, "\r\n\r\nlate\n");
    assert_contains(&answer, "Connection: close\r\n");
    pthread_join(releaser, NULL);
    close(fd);
}

static void
stop_cuts_at_its_deadline(void **state)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    (void)state;
    int fd = raw_connect(t.port);
    int idle = raw_connect(t.port);
    raw_send(fd, BYTES(GET_CLOSE("/block")));
    WAIT_UNTIL(t.entered);
    net_http_server_stop(&t.server, clock_deadline(20 * CLOCK_NS_PER_MS));
    assert_true(t.saw_reader_leave);
    assert_false(raw_read(fd, &answer, NULL));
    assert_null(strstr(buf_text(&answer), "late"));
    close(fd);
    close(idle);
}

static void
counts_requests(void **state)
{
    static const char *const lines[] = {
        "http_requests_total{code=\"200\",handler=\"hello\",method=\"get\"} 1\n",
        "http_requests_total{code=\"404\",handler=\"none\",method=\"unknown\"} 1\n",
        "http_requests_total{code=\"413\",handler=\"echo\",method=\"post\"} 1\n",
        "http_requests_total{code=\"200\",handler=\"echo\",method=\"post\"} 0\n",
        "http_response_size_bytes_sum{code=\"200\",handler=\"hello\",method=\"get\"} "
        "10\n",
        "http_inflight_requests{handler=\"hello\",method=\"get\"} 0\n",
    };
    CLEANUP(buf_fini) struct buf answer = {0};
    CLEANUP(buf_fini) struct buf request = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    (void)state;
    raw_exchange(t.port, GET_CLOSE("/hello"), &answer);
    raw_exchange(t.port, "XYZ /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                 &answer);
    send_chunks(&request, ECHO_MAX + 1);
    raw_exchange(t.port, buf_text(&request), &answer);
    net_http_server_stop(&t.server, clock_deadline(10 * CLOCK_NS_PER_S));
    metrics_print(t.metrics, &text);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_contains(&text, lines[i]);
}

static void
names_the_address_that_it_cannot_take(void **state)
{
    struct net_http_server *second = NULL;
    struct err err;
    char address[32];
    (void)state;
    snprintf(address, sizeof address, "127.0.0.1:%u", t.port);
    assert_false(net_http_server_start(
        &second,
        &(struct net_http_server_options){.address = address, .budget = &t.budget},
        &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, address));
    assert_null(second);
}

#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
#define IMPATIENT_TEST(f) cmocka_unit_test_setup_teardown(f, start_impatient, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(answers_with_arguments_and_headers),
        SERVER_TEST(decodes_paths_part_by_part),
        SERVER_TEST(refuses_a_target_that_is_too_long),
        SERVER_TEST(answers_head_without_a_body),
        SERVER_TEST(keeps_the_connection_also_after_refusals_without_a_body),
        SERVER_TEST(refuses_bad_requests),
        SERVER_TEST(survives_garbage_and_oversized_headers),
        SERVER_TEST(collects_a_body_in_chunks),
        SERVER_TEST(closes_when_chunks_exceed_the_limit),
        SERVER_TEST(refuses_a_body_beyond_the_budget),
        SERVER_TEST(tells_that_there_is_no_memory_even_for_the_path),
        SERVER_TEST(maps_error_codes),
        SERVER_TEST(streams_in_chunks),
        SERVER_TEST(sends_trailers_behind_a_stream),
        SERVER_TEST(sends_trailers_behind_a_compressed_stream),
        SERVER_TEST(sends_no_trailer_behind_an_aborted_stream),
        SERVER_TEST(streams_a_known_length_to_a_slow_reader),
        SERVER_TEST(compresses_as_the_client_likes),
        SERVER_TEST(sends_tiny_bodies_as_they_are),
        SERVER_TEST(sends_plain_when_there_is_no_memory_to_compress),
        SERVER_TEST(aborts_a_compressed_stream_that_fails),
        SERVER_TEST(aborts_when_a_stream_fails),
        SERVER_TEST(cuts_a_stream_that_ends_before_its_length),
        SERVER_TEST(refuses_a_stream_to_http_1_0),
        SERVER_TEST(answers_head_of_a_stream_without_pulling),
        SERVER_TEST(ends_the_stream_when_the_reader_leaves),
        SERVER_TEST(tells_the_handler_that_the_reader_left),
        IMPATIENT_TEST(cuts_who_sends_too_slowly),
        IMPATIENT_TEST(lets_rest_who_was_answered),
        IMPATIENT_TEST(makes_room_for_who_comes),
        SERVER_TEST(stop_waits_for_a_running_request),
        SERVER_TEST(stop_cuts_at_its_deadline),
        SERVER_TEST(counts_requests),
        SERVER_TEST(names_the_address_that_it_cannot_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
