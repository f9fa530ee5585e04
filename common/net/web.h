/* SPDX-License-Identifier: Apache-2.0 */
/* The protection of an HTTP server as its web configuration has it now.
 *
 * Files are looked at for each connection and each request, so that what they say holds
 * at once; they are read when they have changed. What does not hold together is logged
 * and counted, and the last that did stays in force. A change that would take a
 * protection away (TLS, login, the check of clients) takes a restart: a file that is
 * cut in the middle looks like it. */
#ifndef COMMON_NET_WEB_H
#define COMMON_NET_WEB_H

#include "common/net/web_config.h"
#include "common/net/web_password.h"
#include "common/net/web_tls.h"

struct metrics_registry;
struct net_web;
struct net_web_session;

/* One state of all the files; immutable. */
struct net_web_state {
    struct net_web_config config;
    struct net_web_tls *tls; /* NULL: plain HTTP */
    /* private */
    unsigned users;
};

/* Read the configuration at path (borrowed) and the files that it names. metrics may be
 * NULL. Errors those of reading, net_web_config_parse and net_web_tls_new; the text
 * names the file. */
NODISCARD bool net_web_open(struct net_web **out, const char *path,
                            struct metrics_registry *metrics, struct err *err);
/* All states have been released. CLEANUP handler; accepts NULL inside. */
void net_web_close(struct net_web **web);

/* Requests that wait for their passwords to be looked at do so no more. */
void net_web_stop(struct net_web *web);

/* The state of now. Any thread; waits for a file that is being written, 50 ms at most,
 * and for the disk. */
struct net_web_state *net_web_acquire(struct net_web *web);
void net_web_release(struct net_web *web, struct net_web_state **state);

/* Whether the server speaks TLS: that does not change. */
NODISCARD bool net_web_has_tls(const struct net_web *web);

/* Whether a request with this Authorization header, or none, may go on. */
NODISCARD enum net_web_verdict net_web_admits(struct net_web *web,
                                              const struct net_web_state *state,
                                              const char *authorization);

/* Begin TLS on a connection; session is GnuTLS's. To be ended after it. NULL when there
 * is no memory: the handshake then fails. */
struct net_web_session *net_web_session_new(struct net_web *web, void *session);
/* Accepts NULL inside. */
void net_web_session_free(struct net_web_session **session);

#endif
