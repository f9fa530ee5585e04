/* SPDX-License-Identifier: Apache-2.0 */
/* Answers every HTTP request with one file: what the same bytes cost without any work.
 * One connection at a time, plain read and write. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/bench/loopback.h"

enum { PIECE = 256 * 1024, HEAD_MAX = 16 * 1024 };

static bool
read_all(int fd, size_t len)
{
    char discarded[1024];
    while (len > 0) {
        ssize_t n =
            read(fd, discarded, len < sizeof discarded ? len : sizeof discarded);
        if (n <= 0)
            return false;
        len -= (size_t)n;
    }
    return true;
}

/* Read one request, body included. */
static bool
read_request(int fd)
{
    static char head[HEAD_MAX + 1];
    size_t len = 0;
    const char *end = NULL;
    while (!end && len < HEAD_MAX) {
        ssize_t n = read(fd, head + len, HEAD_MAX - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (!end)
        return false;
    const char *field = strcasestr(head, "\r\ncontent-length:");
    size_t body = field ? strtoull(field + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    size_t have = len - (size_t)(end + 4 - head);
    return have >= body || read_all(fd, body - have);
}

static bool
send_file(int socket_fd, const char *path, struct err *err)
{
    static char piece[PIECE];
    CLEANUP(file_close) int fd = -1;
    uint64_t size = 0;
    if (!file_open_read(path, &fd, err) || !file_size(fd, path, &size, err))
        return false;
    int head = snprintf(piece, sizeof piece,
                        "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64
                        "\r\nConnection: close\r\n\r\n",
                        size);
    if (!file_write_all(socket_fd, "socket", bytes_of(piece, (size_t)head), err))
        return false;
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) {
        if (!file_write_all(socket_fd, "socket", bytes_of(piece, (size_t)n), err))
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench_static_server PORT FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = loopback_listen((uint16_t)strtoul(argv[1], NULL, 10));
    for (;;) {
        CLEANUP(file_close) int fd = accept(listener, NULL, NULL);
        struct err err = {0};
        if (fd >= 0 && read_request(fd) && !send_file(fd, argv[2], &err))
            fprintf(stderr, "bench_static_server: %s\n", err.text);
    }
}
