/* SPDX-License-Identifier: Apache-2.0 */
/* The client's connections: limits in every phase, turns, consent to a body, traces.
 * What is exchanged over them is test_http_client.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "tests/support/raw_http.h"

#define MS CLOCK_NS_PER_MS

/* At once, on a machine that does much else. */
#define PROMPT_NS (950 * MS)

static struct {
    struct net_http_client *client;
    struct net_http_response response; /* large */
    struct err err;
    char url[100];
} t;

static void
start_client(struct net_http_client_options options)
{
    options.user_agent = "test/1";
    net_http_client_free(&t.client);
    if (!net_http_client_new(&t.client, &options, &t.err))
        fail_msg("%s", t.err.text);
}

static int
start(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    start_client((struct net_http_client_options){0});
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    net_http_client_free(&t.client);
    return 0;
}

static const char *
url_of(const char *scheme, uint16_t port)
{
    snprintf(t.url, sizeof t.url, "%s://127.0.0.1:%u/x", scheme, port);
    return t.url;
}

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
assert_fails(struct net_http_request q, enum err_code code, const char *why)
{
    assert_false(perform(q));
    if (t.err.code != code || strstr(t.err.text, why) == NULL)
        fail_msg("expected %s \"%s\", got %s: %s", err_code_name(code), why,
                 err_code_name(t.err.code), t.err.text);
}

/* The client goes first: the peer waits for the end of its connection. */
static void
end_both(struct raw_peer *p)
{
    net_http_client_free(&t.client);
    raw_peer_end(p);
}

static void
end_peer(struct raw_peer *p)
{
    end_both(p);
    buf_fini(&p->request);
}

/* Takes the place of the C library's for libcurl as well: the name "stuck" is looked up
 * until the test lets go. */
static struct {
    int gate[2];
    atomic_bool entered;
    atomic_bool left;
} resolver;

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **out)
{
    char byte;
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    if (name == NULL || strcmp(name, "stuck") != 0) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(name, service, hints, out);
    }
    atomic_store(&resolver.entered, true);
    (void)!read(resolver.gate[0], &byte, 1);
    atomic_store(&resolver.left, true);
    return EAI_NONAME;
}

/* A port of this machine that does not answer: its queue is full. */
struct black_hole {
    int fds[4];
    uint16_t port;
};

static void
black_hole_open(struct black_hole *h)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    for (size_t i = 0; i < ARRAY_LEN(h->fds); i++)
        h->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->fds[0], (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(h->fds[0], 0), 0);
    assert_int_equal(getsockname(h->fds[0], (struct sockaddr *)&at, &len), 0);
    for (size_t i = 1; i < ARRAY_LEN(h->fds); i++)
        (void)!connect(h->fds[i], (struct sockaddr *)&at, sizeof at);
    h->port = ntohs(at.sin_port);
}

static void
black_hole_close(struct black_hole *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->fds); i++)
        close(h->fds[i]);
}

struct raiser {
    struct cancel cancel;
    _Atomic int64_t raised_ns;
    const atomic_int *awaited; /* connections of the peer; NULL: there will be none */
};

static void *
raise_soon(void *arg)
{
    struct raiser *r = arg;
    int64_t deadline_ns = clock_deadline(10 * CLOCK_NS_PER_S);
    while (r->awaited != NULL && atomic_load(r->awaited) == 0 &&
           clock_left_ns(deadline_ns) > 0)
        poll(NULL, 0, 1);
    poll(NULL, 0, 50);
    atomic_store(&r->raised_ns, clock_mono_ns());
    cancel_raise(&r->cancel);
    return NULL;
}

static void
assert_cancel_is_prompt(const char *url, const atomic_int *connections)
{
    struct raiser r = {.awaited = connections};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, raise_soon, &r), 0);
    assert_fails((struct net_http_request){.url = url, .cancel = &r.cancel},
                 ERR_CANCELLED, "cancelled");
    int64_t took_ns = clock_mono_ns() - atomic_load(&r.raised_ns);
    pthread_join(thread, NULL);
    cancel_fini(&r.cancel);
    assert_true(took_ns < PROMPT_NS);
}

static void
cancel_ends_a_look_up(void **state)
{
    (void)state;
    assert_int_equal(pipe2(resolver.gate, O_CLOEXEC), 0);
    assert_cancel_is_prompt("http://stuck/", NULL);
    assert_true(atomic_load(&resolver.entered));
    assert_false(atomic_load(&resolver.left));
    close(resolver.gate[1]);
    while (!atomic_load(&resolver.left))
        poll(NULL, 0, 1);
    close(resolver.gate[0]);
}

static void
cancel_ends_connecting(void **state)
{
    struct black_hole h;
    (void)state;
    black_hole_open(&h);
    assert_cancel_is_prompt(url_of("http", h.port), NULL);
    black_hole_close(&h);
}

static void
cancel_ends_a_handshake_and_a_silence(void **state)
{
    static const char *const schemes[] = {"https", "http"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct raw_peer p = {.hang = true};
        start_client((struct net_http_client_options){0});
        raw_peer_begin(&p);
        assert_cancel_is_prompt(url_of(schemes[i], p.port), &p.connections);
        assert_int_equal(p.connections, 1);
        end_peer(&p);
    }
}

static void
a_raised_cancel_lets_nothing_begin(void **state)
{
    struct cancel cancel = {0};
    struct raw_peer p = {.hang = true};
    (void)state;
    raw_peer_begin(&p);
    cancel_raise(&cancel);
    assert_fails(
        (struct net_http_request){.url = url_of("http", p.port), .cancel = &cancel},
        ERR_CANCELLED, "cancelled");
    end_peer(&p);
    cancel_fini(&cancel);
}

static void
connecting_has_its_limit(void **state)
{
    struct black_hole h;
    (void)state;
    black_hole_open(&h);
    start_client((struct net_http_client_options){.connect_timeout_ns = 50 * MS,
                                                  .tls_handshake_timeout_ns =
                                                      10 * CLOCK_NS_PER_S});
    int64_t begin_ns = clock_mono_ns();
    assert_fails((struct net_http_request){.url = url_of("https", h.port)}, ERR_TIMEOUT,
                 "127.0.0.1:");
    assert_true(clock_mono_ns() - begin_ns >= 50 * MS);
    assert_true(clock_mono_ns() - begin_ns < 50 * MS + PROMPT_NS);
    black_hole_close(&h);
}

/* Returns how long the peer that does not shake hands was borne with. */
static int64_t
handshake_ns(int64_t connect_timeout_ns, int64_t handshake_timeout_ns, const char *why)
{
    struct raw_peer p = {.hang = true};
    start_client((struct net_http_client_options){
        .connect_timeout_ns = connect_timeout_ns,
        .tls_handshake_timeout_ns = handshake_timeout_ns});
    raw_peer_begin(&p);
    int64_t begin_ns = clock_mono_ns();
    assert_fails((struct net_http_request){.url = url_of("https", p.port)}, ERR_TIMEOUT,
                 why);
    int64_t took_ns = clock_mono_ns() - begin_ns;
    end_peer(&p);
    return took_ns;
}

static void
a_handshake_has_its_limit(void **state)
{
    (void)state;
    int64_t took_ns = handshake_ns(0, 50 * MS, "handshake");
    assert_true(took_ns >= 50 * MS && took_ns < 50 * MS + PROMPT_NS);
    /* Connecting is over by then. */
    took_ns = handshake_ns(50 * MS, 200 * MS, "handshake");
    assert_true(took_ns >= 200 * MS && took_ns < 200 * MS + PROMPT_NS);
    /* Without a limit of its own it is a part of connecting. */
    took_ns = handshake_ns(50 * MS, 0, "127.0.0.1:");
    assert_true(took_ns >= 50 * MS && took_ns < 50 * MS + PROMPT_NS);
}

static void
says_that_a_server_speaks_no_tls(void **state)
{
    /* A handshake begins with this; it is answered as MinIO does. */
    struct raw_peer p = {.answer = "HTTP/1.0 400 Bad Request\r\n\r\n",
                         .until = "\x16\x03"};
    (void)state;
    start_client((struct net_http_client_options){0});
    raw_peer_begin(&p);
    assert_fails((struct net_http_request){.url = url_of("https", p.port)},
                 ERR_UNSUPPORTED, "does not speak TLS");
    end_peer(&p);
}

static void
nothing_wakes_up_while_nothing_moves(void **state)
{
    struct raw_peer p = {.hang = true};
    struct rusage before, after;
    struct cancel cancel = {0};
    (void)state;
    start_client((struct net_http_client_options){.first_byte_timeout_ns = 300 * MS});
    raw_peer_begin(&p);
    getrusage(RUSAGE_THREAD, &before);
    assert_fails(
        (struct net_http_request){.url = url_of("http", p.port), .cancel = &cancel},
        ERR_TIMEOUT, "silent");
    getrusage(RUSAGE_THREAD, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 20);
    end_peer(&p);
    cancel_fini(&cancel);
}

/* A server whose answers wait for the test. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char order[16]; /* paths as they came, one letter each */
    size_t begun;
    size_t allowed;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void
on_gate(void *arg, struct net_http_exchange *x)
{
    pthread_mutex_lock(&gate.lock);
    gate.order[gate.begun] = *net_http_exchange_arg(x, "name");
    size_t mine = gate.begun++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.allowed <= mine)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    (void)arg;
    net_http_reply(x, 200, NULL, BYTES("ok"));
}

static void
await_begun(size_t count)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.begun < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    assert_int_equal(gate.begun, count);
    pthread_mutex_unlock(&gate.lock);
}

static void
allow(size_t count)
{
    pthread_mutex_lock(&gate.lock);
    gate.allowed = count;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

struct asker {
    char url[100];
    bool ok;
    int64_t deadline_ns;
    const struct cancel *cancel;
    struct err err;
    pthread_t thread;
};

static void *
ask(void *arg)
{
    struct asker *a = arg;
    struct net_http_response *response = calloc(1, sizeof *response);
    const struct net_http_request q = {.method = "GET",
                                       .url = a->url,
                                       .deadline_ns = a->deadline_ns,
                                       .cancel = a->cancel};
    a->ok =
        net_http_perform(t.client, &q, response, &a->err) && response->status == 200;
    free(response);
    return NULL;
}

static void
ask_gate(struct asker *a, uint16_t port, char name)
{
    snprintf(a->url, sizeof a->url, "http://127.0.0.1:%u/gate?name=%c", port, name);
    if (a->deadline_ns == 0)
        a->deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

static void
exchanges_above_the_limit_wait_their_turn(void **state)
{
    static const struct net_http_route routes[] = {
        {.method = "GET", .path = "/gate", .name = "gate", .handler = on_gate}};
    struct budget budget;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    struct net_http_server_options options = {.address = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = 1,
                                              .budget = &budget};
    struct net_http_server *server = NULL;
    struct cancel cancel = {0};
    struct asker first = {0}, second = {0}, third = {0};
    struct asker late = {.deadline_ns = clock_deadline(100 * MS)};
    struct asker cancelled = {.cancel = &cancel};
    (void)state;
    assert_true(net_http_server_start(&server, &options, &t.err));
    start_client((struct net_http_client_options){.max_connections = 1});
    ask_gate(&first, net_http_server_port(server), 'a');
    await_begun(1);
    ask_gate(&late, net_http_server_port(server), 'l');
    ask_gate(&cancelled, net_http_server_port(server), 'c');
    pthread_join(late.thread, NULL);
    assert_int_equal(late.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(late.err.text, "all 1 connections were busy"));
    cancel_raise(&cancel);
    pthread_join(cancelled.thread, NULL);
    assert_int_equal(cancelled.err.code, ERR_CANCELLED);
    ask_gate(&second, net_http_server_port(server), 'b');
    ask_gate(&third, net_http_server_port(server), 'b');
    allow(1);
    pthread_join(first.thread, NULL);
    await_begun(2);
    allow(3);
    pthread_join(second.thread, NULL);
    pthread_join(third.thread, NULL);
    assert_true(first.ok && second.ok && third.ok);
    assert_string_equal(gate.order, "abb");
    net_http_client_free(&t.client);
    net_http_server_stop(&server, clock_deadline(10 * CLOCK_NS_PER_S));
    budget_fini(&budget);
    cancel_fini(&cancel);
}

static bool
count_asked(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    size_t *asked = arg;
    (void)err;
    memset(into, 'b', room);
    *got = room;
    *asked += room;
    return true;
}

static struct net_http_request
put_with_consent(uint16_t port, int64_t wait_ns, size_t *asked)
{
    return (struct net_http_request){.method = "PUT",
                                     .url = url_of("http", port),
                                     .source = count_asked,
                                     .source_arg = asked,
                                     .body_size = 4000000,
                                     .expect_continue_ns = wait_ns};
}

static void
a_refusal_comes_before_the_body(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nwhy?"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct raw_peer p = {.answer = answers[i]};
        size_t asked = 0;
        start_client((struct net_http_client_options){0});
        raw_peer_begin(&p);
        bool ok = perform(put_with_consent(p.port, 10 * CLOCK_NS_PER_S, &asked));
        if (!ok)
            fail_msg("answer %zu: %s", i, t.err.text);
        assert_int_equal(t.response.status, atoi(answers[i] + strlen("HTTP/1.1 ")));
        assert_int_equal(asked, 0);
        end_both(&p);
        assert_non_null(strstr(buf_text(&p.request), "\r\nExpect: 100-continue\r\n"));
        buf_fini(&p.request);
    }
}

static void
the_body_comes_after_consent_or_silence(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 100 Continue\r\n\r\n", NULL};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct raw_peer p = {.answer = answers[i], .hang = true};
        size_t asked = 0;
        start_client(
            (struct net_http_client_options){.first_byte_timeout_ns = 400 * MS});
        raw_peer_begin(&p);
        struct net_http_request q = put_with_consent(
            p.port, answers[i] != NULL ? CLOCK_NEVER : 50 * MS, &asked);
        q.body_size = 1000;
        assert_fails(q, ERR_TIMEOUT, "silent");
        assert_int_equal(asked, 1000);
        end_peer(&p);
    }
}

/* One exchange with a peer, stderr in *said meanwhile. */
static void
traced(const struct net_http_request *q, struct buf *said)
{
    char path[] = "/tmp/test_http_connection.XXXXXX";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    assert_true(file >= 0);
    unlink(path);
    dup2(file, STDERR_FILENO);
    log_setup("test", LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    bool ok = perform(*q);
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    dup2(saved, STDERR_FILENO);
    close(saved);
    uint64_t size = 0;
    assert_true(file_size(file, "log", &size, &t.err));
    assert_true(file_pread(file, "log", buf_reserve(said, size), size, 0, &t.err));
    said->len += size;
    close(file);
    assert_true(ok);
}

static void
a_trace_shows_heads_and_no_secrets(void **state)
{
    static const char *const headers[] = {
        "Authorization: AWS4-HMAC-SHA256 planted", "X-Amz-Security-Token: planted",
        "x-amz-server-side-encryption-customer-key: planted", "Range: bytes=0-1", NULL};
    struct raw_peer p = {.answer = "HTTP/1.1 403 No\r\nContent-Length: 7\r\n"
                                   "X-Request: r1\r\nX-Token: planted\r\n\r\nplanted"};
    CLEANUP(buf_fini) struct buf said = {0};
    char url[200];
    (void)state;
    raw_peer_begin(&p);
    start_client((struct net_http_client_options){.trace = true});
    snprintf(url, sizeof url,
             "http://u:planted@127.0.0.1:%u/k?X-Amz-Signature=planted&a=b", p.port);
    traced(
        &(struct net_http_request){
            .method = "PUT", .url = url, .headers = headers, .body = BYTES("planted")},
        &said);
    static const char *const shown[] = {
        "level=debug",
        "msg=\"HTTP exchange\"",
        " status=403 ",
        " addr=127.0.0.1:",
        "\"PUT /k?X-Amz-Signature=REDACTED&a=b HTTP/1.1\\n",
        "Authorization: REDACTED\\n",
        "Range: bytes=0-1\\n",
        "x-request: r1\\n",
        "User-Agent: test/1\\n"};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        if (strstr(buf_text(&said), shown[i]) == NULL)
            fail_msg("no %s in %s", shown[i], buf_text(&said));
    assert_null(strstr(buf_text(&said), "planted"));
    assert_null(strstr(strchr(buf_text(&said), '\n') + 1, "level="));
    end_peer(&p);
}

#define CONNECTION_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(cancel_ends_a_look_up),
        CONNECTION_TEST(cancel_ends_connecting),
        CONNECTION_TEST(cancel_ends_a_handshake_and_a_silence),
        CONNECTION_TEST(a_raised_cancel_lets_nothing_begin),
        CONNECTION_TEST(connecting_has_its_limit),
        CONNECTION_TEST(a_handshake_has_its_limit),
        CONNECTION_TEST(says_that_a_server_speaks_no_tls),
        CONNECTION_TEST(nothing_wakes_up_while_nothing_moves),
        CONNECTION_TEST(exchanges_above_the_limit_wait_their_turn),
        CONNECTION_TEST(a_refusal_comes_before_the_body),
        CONNECTION_TEST(the_body_comes_after_consent_or_silence),
        CONNECTION_TEST(a_trace_shows_heads_and_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
