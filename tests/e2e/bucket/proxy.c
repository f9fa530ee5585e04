/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/bucket/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/xmalloc.h"

static void
give_up(const char *what)
{
    fprintf(stderr, "fault proxy: %s\n", what);
    exit(1);
}

void
proxy_open(struct proxy *p, const char *address)
{
    char host[64];
    unsigned short port;
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sscanf(address, "%63[0-9.]:%hu", host, &port) != 2 ||
        inet_pton(AF_INET, host, &to.sin_addr) != 1)
        give_up("its control address is not 127.0.0.1:PORT");
    to.sin_port = htons(port);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        give_up("cannot connect to its control port");
    p->fd = fd;
    p->answers = fdopen(fd, "r");
    if (p->answers == NULL)
        give_up("no memory");
}

void
proxy_close(struct proxy *p)
{
    fclose(p->answers);
}

/* The answer, to be freed. */
static char *
read_answer(struct proxy *p)
{
    char *line = NULL;
    size_t room = 0;
    if (getline(&line, &room, p->answers) <= 0)
        give_up("no answer");
    return line;
}

void
proxy_tell(struct proxy *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vdprintf(p->fd, fmt, args);
    va_end(args);
    dprintf(p->fd, "\n");
    CLEANUP(xfree) char *answer = read_answer(p);
    if (strcmp(answer, "ok\n") != 0)
        give_up(answer);
}

char *
proxy_stats(struct proxy *p)
{
    dprintf(p->fd, "stats\n");
    return read_answer(p);
}

long
proxy_count(struct proxy *p, const char *prefix)
{
    CLEANUP(xfree) char *stats = proxy_stats(p);
    long sum = 0;
    char *rest = stats;
    for (char *word; (word = strsep(&rest, " \n")) != NULL;) {
        const char *value = strchr(word, '=');
        if (value != NULL && strncmp(word, prefix, strlen(prefix)) == 0)
            sum += atol(value + 1);
    }
    return sum;
}
