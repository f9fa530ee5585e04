/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP relay to a server that is far away: what a client sends arrives DELAY_MS later,
 * whatever the rate; answers pass at once. So a request and its answer take DELAY_MS
 * more than without the relay. To connect takes nothing more.
 *
 * Counts the requests of HTTP/1.1 in COUNT_FILE, which holds one number of eight bytes
 * in the order of the machine. A thread serves one connection. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/bench/loopback.h"

enum { REQUEST_PIECE = 16 * 1024, ANSWER_PIECE = 256 * 1024 };

static const char end_of_request_line[] = " HTTP/1.1\r\n";

/* Bytes of the client on their way. */
struct piece {
    struct piece *next;
    int64_t due_ns;
    size_t len; /* 0: the client has closed */
    uint8_t at[REQUEST_PIECE];
};

struct relay {
    struct sockaddr_in server;
    int64_t delay_ns;
    _Atomic uint64_t *requests;
};

struct connection {
    const struct relay *relay;
    int client;
    int server;
    struct piece *first;
    struct piece **last;
    size_t matched;     /* characters of end_of_request_line */
    bool client_closed; /* and its last piece is in the queue */
};

static void
count_requests(struct connection *c, const struct piece *p)
{
    for (size_t i = 0; i < p->len; i++) {
        char next = (char)p->at[i];
        if (next != end_of_request_line[c->matched])
            c->matched = next == ' ';
        else if (end_of_request_line[++c->matched] == '\0') {
            atomic_fetch_add(c->relay->requests, 1);
            c->matched = 0;
        }
    }
}

static void
take_request(struct connection *c)
{
    struct piece *p = xcalloc(1, sizeof *p);
    ssize_t n = read(c->client, p->at, sizeof p->at);
    p->len = n > 0 ? (size_t)n : 0;
    p->due_ns = clock_mono_ns() + c->relay->delay_ns;
    c->client_closed = n <= 0;
    count_requests(c, p);
    *c->last = p;
    c->last = &p->next;
}

/* Pass on what is due. False: the connection is over. */
static bool
pass_requests(struct connection *c)
{
    struct err err = {0};
    bool ok = true;
    while (ok && c->first && c->first->due_ns <= clock_mono_ns()) {
        struct piece *p = c->first;
        ok = p->len > 0 &&
             file_write_all(c->server, "server", bytes_of(p->at, p->len), &err);
        c->first = p->next;
        if (!c->first)
            c->last = &c->first;
        free(p);
    }
    return ok;
}

static bool
pass_answer(struct connection *c, uint8_t *piece)
{
    struct err err = {0};
    ssize_t n = read(c->server, piece, ANSWER_PIECE);
    return n > 0 &&
           file_write_all(c->client, "client", bytes_of(piece, (size_t)n), &err);
}

/* Until the first piece is due, or for ever. */
static void
wait_for_either(const struct connection *c, struct pollfd fds[2])
{
    struct timespec left = {0};
    int64_t wait_ns = c->first ? c->first->due_ns - clock_mono_ns() : 0;
    if (wait_ns > 0)
        left = (struct timespec){wait_ns / CLOCK_NS_PER_S, wait_ns % CLOCK_NS_PER_S};
    fds[0] = (struct pollfd){.fd = c->client_closed ? -1 : c->client, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = c->server, .events = POLLIN};
    ppoll(fds, 2, c->first ? &left : NULL, NULL);
}

static void
relay_bytes(struct connection *c)
{
    uint8_t *piece = xcalloc(1, ANSWER_PIECE);
    bool ok = true;
    while (ok) {
        struct pollfd fds[2];
        wait_for_either(c, fds);
        if (fds[0].revents)
            take_request(c);
        ok = pass_requests(c) && (!fds[1].revents || pass_answer(c, piece));
    }
    free(piece);
}

static void *
connection_main(void *arg)
{
    struct connection *c = arg;
    int on = 1;
    c->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->server, (const struct sockaddr *)&c->relay->server,
                sizeof c->relay->server) == 0)
        relay_bytes(c);
    while (c->first) {
        struct piece *p = c->first;
        c->first = p->next;
        free(p);
    }
    close(c->server);
    close(c->client);
    free(c);
    return NULL;
}

static _Atomic uint64_t *
map_count(const char *path)
{
    CLEANUP(file_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(uint64_t)) == 0)
        at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    return at;
}

int
main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr,
                "usage: bench_delay_relay PORT SERVER_PORT DELAY_MS COUNT_FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct relay relay = {.server =
                              loopback_address((uint16_t)strtoul(argv[2], NULL, 10)),
                          .delay_ns = strtoll(argv[3], NULL, 10) * CLOCK_NS_PER_MS,
                          .requests = map_count(argv[4])};
    int listener = loopback_listen((uint16_t)strtoul(argv[1], NULL, 10));
    for (;;) {
        struct connection *c = xcalloc(1, sizeof *c);
        *c = (struct connection){.relay = &relay, .last = &c->first};
        c->client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (c->client < 0 || pthread_create(&thread, NULL, connection_main, c) != 0)
            abort();
        pthread_detach(thread);
    }
}
