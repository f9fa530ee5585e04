/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"

/* Send to the socket of that name; 0, or the error number. */
static int
send_to(const char *name, const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof to.sun_path)
        return EINVAL;
    memcpy(to.sun_path, name, len);
    if (name[0] == '@')
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    int error = sent < 0 ? errno : 0;
    close(fd);
    return error;
}

void
app_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == 0)
        return;
    int error = send_to(name, state);
    if (error != 0)
        LOG_WARN("service manager is not told", LOG_STR("state", state),
                 LOG_STR("socket", name), LOG_STR("err", strerror(error)));
}
