/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets from addresses as flags write them. */
#ifndef COMMON_NET_LISTEN_H
#define COMMON_NET_LISTEN_H

#include <stdint.h>

#include "common/base/err.h"

/* Bind a non-blocking TCP socket to "host:port" and listen. host is a name, an IPv4
 * address, an IPv6 address in brackets, or empty for all addresses of both families;
 * port 0 takes a free one. *port is what was bound. Close *fd with file_close.
 * Errors ERR_INVALID address, ERR_CONFLICT port in use, ERR_DENIED; the text names it.
 */
NODISCARD bool net_listen(const char *address, int *fd, uint16_t *port,
                          struct err *err);

#endif
