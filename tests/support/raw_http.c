/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/raw_http.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/check.h"

static struct sockaddr_in
loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int
raw_connect(uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

void
raw_send(int fd, struct bytes data)
{
    while (data.len > 0) {
        ssize_t sent = send(fd, data.at, data.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes_skip(&data, (size_t)sent);
    }
}

bool
raw_read(int fd, struct buf *into, const char *needle)
{
    for (;;) {
        if (needle != NULL && strstr(buf_text(into), needle) != NULL)
            return true;
        uint8_t *at = buf_reserve(into, 4096);
        ssize_t got = recv(fd, at, 4096, 0);
        if (got <= 0)
            return false;
        into->len += (size_t)got;
    }
}

void
raw_exchange(uint16_t port, const char *request, struct buf *answer)
{
    int fd = raw_connect(port);
    raw_send(fd, bytes_of_str(request));
    raw_read(fd, answer, NULL);
    close(fd);
}

static void
serve(struct raw_peer *p, int fd)
{
    struct timeval limit = {.tv_sec = 10};
    struct buf request = {0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    raw_read(fd, &request, p->until ? p->until : "\r\n\r\n");
    buf_put(&p->request, buf_bytes(&request));
    buf_fini(&request);
    if (p->answer != NULL)
        raw_send(fd, bytes_of_str(p->answer));
    if (!p->hang)
        shutdown(fd, SHUT_WR);
    /* A close with unread bytes would be a reset, which overtakes the answer. */
    char rest[512];
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
}

static void *
run(void *arg)
{
    struct raw_peer *p = arg;
    int fd;
    while ((fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        p->connections++;
        serve(p, fd);
        close(fd);
    }
    return NULL;
}

void
raw_peer_begin(struct raw_peer *p)
{
    struct sockaddr_in at = loopback(0);
    socklen_t len = sizeof at;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(p->listener >= 0);
    CHECK(bind(p->listener, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(p->listener, 16) == 0);
    CHECK(getsockname(p->listener, (struct sockaddr *)&at, &len) == 0);
    p->port = ntohs(at.sin_port);
    CHECK(pthread_create(&p->thread, NULL, run, p) == 0);
}

void
raw_peer_end(struct raw_peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}
