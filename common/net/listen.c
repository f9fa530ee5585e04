/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/file.h"

/* Of a name in DNS (255) with brackets and room to spare. */
enum { HOST_MAX = 264 };

static bool
is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 5 && text[len] == '\0' && atoi(text) <= UINT16_MAX;
}

static bool
split(const char *address, char host[HOST_MAX], const char **port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    if (colon == NULL || len >= HOST_MAX || !is_port(colon + 1))
        return err_set(err, ERR_INVALID, "address \"%s\" is not host:port", address);
    bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        address++;
        len -= 2;
    }
    memcpy(host, address, len);
    host[len] = '\0';
    if (!bracketed && strchr(host, ':') != NULL)
        return err_set(err, ERR_INVALID, "IPv6 address \"%s\" needs brackets", host);
    *port = colon + 1;
    return true;
}

static void
free_addresses(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
}

/* What the kernel takes of an answer ahead of a slow reader, beside what is under way;
 * without this bound some MiB, which count as ours. Connections inherit it. */
enum { UNSENT_BYTES = 256 * 1024 };

/* Listen on one address; returns the descriptor or -1 with errno. An IPv6 wildcard
 * takes IPv4 as well. */
static int
listen_on(const struct addrinfo *a)
{
    int on = 1;
    int off = 0;
    int unsent = UNSENT_BYTES;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    a->ai_protocol);
    if (fd < 0)
        return -1;
    if ((a->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) == 0 &&
        bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static bool
bound_port(int fd, uint16_t *port)
{
    struct sockaddr_storage bound;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    socklen_t len = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return false;
    memcpy(&in4, &bound, sizeof in4);
    memcpy(&in6, &bound, sizeof in6);
    *port = ntohs(bound.ss_family == AF_INET6 ? in6.sin6_port : in4.sin_port);
    return true;
}

/* The first address of host that can be bound. Returns a descriptor, or -1 with err
 * filled. */
static int
listen_any(const char *address, const char *host, const char *port, struct err *err)
{
    CLEANUP(free_addresses) struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int status = getaddrinfo(host, port, &hints, &list);
    if (status != 0) {
        err_set(err, ERR_INVALID, "address \"%s\": %s", address, gai_strerror(status));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = listen_on(a);
    if (fd >= 0)
        return fd;
    int cause = errno;
    err_sys(err, cause, "listen on %s", address);
    if (cause == EADDRINUSE)
        err->code = ERR_CONFLICT;
    else if (cause == EADDRNOTAVAIL)
        err->code = ERR_INVALID;
    return -1;
}

bool
net_listen(const char *address, int *fd, uint16_t *port, struct err *err)
{
    char host[HOST_MAX];
    const char *port_text = NULL;
    if (!split(address, host, &port_text, err))
        return false;
    CLEANUP(file_close)
    int bound = listen_any(address, *host ? host : "::", port_text, err);
    /* A machine without IPv6 has no "::". */
    if (bound < 0 && *host == '\0')
        bound = listen_any(address, "0.0.0.0", port_text, err);
    if (bound < 0)
        return false;
    if (!bound_port(bound, port))
        return err_sys(err, errno, "read the port of %s", address);
    *fd = bound;
    bound = -1;
    return true;
}
