/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of connections that come in: certificate, key and authority as they are now, for
 * the handshakes that begin with them. Immutable, so that any thread may use it. */
#ifndef COMMON_NET_WEB_TLS_H
#define COMMON_NET_WEB_TLS_H

#include <stdint.h>

#include "common/net/web_config.h"

struct net_web_tls;

/* What the PEM texts of a configuration hold. */
struct net_web_tls_files {
    struct bytes cert;
    struct bytes key;
    struct bytes client_ca;
};

/* config must outlive *out, the files need not.
 * Errors ERR_INVALID: no certificate, a key that is not the certificate's, no
 * authority; the text names the key of the configuration and the path. */
NODISCARD bool net_web_tls_new(struct net_web_tls **out,
                               const struct net_web_config *config,
                               const struct net_web_tls_files *files, struct err *err);
/* CLEANUP handler; accepts NULL inside. */
void net_web_tls_free(struct net_web_tls **tls);

/* End of the certificate's life, in seconds since the epoch. */
int64_t net_web_tls_not_after_s(const struct net_web_tls *tls);

/* Stands for the certificate callback that a server wants to be told of, although all
 * its sessions are attached. Not to be called. */
void *net_web_tls_no_certificate(void);

/* Yields what a handshake is to go by; borrowed until the session ends. */
typedef const struct net_web_tls *net_web_tls_choose_fn(void *arg);

/* What a session goes by; the zero value with choose and arg set. */
struct net_web_tls_hook {
    net_web_tls_choose_fn *choose;
    void *arg;
    /* private */
    const struct net_web_tls *chosen;
};

/* Let a session (a gnutls_session_t before its handshake) ask choose(arg) when the
 * client has sent its first message; on the thread of the connection. hook must outlive
 * the session. */
void net_web_tls_attach(void *session, struct net_web_tls_hook *hook);

#endif
