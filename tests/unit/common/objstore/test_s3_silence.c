/* SPDX-License-Identifier: Apache-2.0 */
/* A server that falls silent is asked again soon by who has patience, not by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/patience.h"
#include "tests/unit/common/objstore/modeled.h"

#define MS CLOCK_NS_PER_MS

enum { PEERS = 2 };

/* What the server does to requests: it holds those that have to wait until it is told
 * to let them go, or until enough have come. */
struct silence {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned silent;  /* so many requests from now on */
    unsigned meeting; /* requests that wait for each other */
    bool only_known;  /* connections that have met */
    uint16_t known[PEERS];
    unsigned known_count;
    bool is_over;
};

static uint16_t
port_of(struct net_http_exchange *x)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    assert_int_equal(getpeername(net_http_exchange_fd(x), (void *)&a, &len), 0);
    return a.sin_port;
}

static bool
is_known(const struct silence *s, uint16_t port)
{
    for (unsigned i = 0; i < s->known_count; i++)
        if (s->known[i] == port)
            return true;
    return false;
}

static void
on_request(void *arg, enum s3_op op, unsigned part, struct net_http_exchange *x)
{
    struct silence *s = arg;
    uint16_t port = port_of(x);
    (void)op, (void)part;
    pthread_mutex_lock(&s->lock);
    if (s->meeting > 0) {
        s->known[s->known_count++] = port;
        s->meeting--;
        pthread_cond_broadcast(&s->changed);
        while (s->meeting > 0 && !s->is_over)
            pthread_cond_wait(&s->changed, &s->lock);
    } else if (s->silent > 0 && (!s->only_known || is_known(s, port))) {
        s->silent--;
        while (!s->is_over)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static struct modeled *
silent_new(struct silence *s)
{
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &(struct s3_faults){0});
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s3_server_store(&m->server, S3_KEY, "abc");
    s3_server_hook(&m->server, on_request, s);
    return m;
}

static void
silent_free(struct silence *s, struct modeled *m)
{
    pthread_mutex_lock(&s->lock);
    s->is_over = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    modeled_free(m);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

static bool
read_key(struct modeled *m, const struct objstore_call *call, struct err *err)
{
    struct buf content = {0};
    bool ok = objstore_get(m->bucket, call, text(S3_KEY), 100, &content, err);
    if (ok)
        assert_string_equal(buf_text(&content), "abc");
    buf_fini(&content);
    return ok;
}

static bool
count(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)object, (void)err;
    ++*(unsigned *)arg;
    return true;
}

static struct objstore_call
patient(struct net_patience *p)
{
    return (struct objstore_call){.deadline_ns = CALL.deadline_ns, .patience = p};
}

static void
asks_a_silent_server_again(void **state)
{
    struct silence s = {.silent = 1};
    struct net_patience p = {.first_ns = 100 * MS};
    struct objstore_call call = patient(&p);
    unsigned listed = 0;
    (void)state;
    struct modeled *m = silent_new(&s);
    expect_ok(read_key(m, &call, &m->err), m->err);
    expect_log(m, "GET GET ");
    s.silent = 1;
    expect_ok(objstore_list(m->bucket, &call, text(""), count, &listed, &m->err),
              m->err);
    assert_int_equal(listed, 1);
    expect_log(m, "LIST LIST ");
    silent_free(&s, m);
}

static void
without_patience_the_deadline_ends_it(void **state)
{
    struct silence s = {.silent = 1};
    struct objstore_call call = {.deadline_ns = clock_deadline(300 * MS)};
    (void)state;
    struct modeled *m = silent_new(&s);
    assert_false(read_key(m, &call, &m->err));
    assert_int_equal(m->err.code, ERR_TIMEOUT);
    expect_log(m, "GET ");
    silent_free(&s, m);
}

static void *
get_in_thread(void *arg)
{
    struct err err;
    expect_ok(read_key(arg, &CALL, &err), err);
    return NULL;
}

/* A server that died has silenced all connections that were open. */
static void
a_silence_gives_up_idle_connections(void **state)
{
    struct silence s = {.meeting = PEERS, .only_known = true};
    struct net_patience p = {.first_ns = 100 * MS};
    struct objstore_call call = patient(&p);
    pthread_t thread;
    (void)state;
    struct modeled *m = silent_new(&s);
    assert_int_equal(pthread_create(&thread, NULL, get_in_thread, m), 0);
    get_in_thread(m);
    pthread_join(thread, NULL);
    expect_log(m, "GET GET ");
    pthread_mutex_lock(&s.lock);
    s.silent = PEERS;
    pthread_mutex_unlock(&s.lock);
    expect_ok(read_key(m, &call, &m->err), m->err);
    expect_log(m, "GET GET ");
    silent_free(&s, m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_a_silent_server_again),
        cmocka_unit_test(without_patience_the_deadline_ends_it),
        cmocka_unit_test(a_silence_gives_up_idle_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
