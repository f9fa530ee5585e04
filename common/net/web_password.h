/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords of basic authentication against bcrypt hashes.
 *
 * A comparison is slow on purpose. One runs at a time, so that guessing takes no more
 * than one CPU, and few may wait for it, so that who guesses does not hold all
 * connections of a server; what was right is remembered for a while, by a keyed digest.
 * What was wrong takes the same time whoever it was for, so that names cannot be told.
 */
#ifndef COMMON_NET_WEB_PASSWORD_H
#define COMMON_NET_WEB_PASSWORD_H

#include "common/base/bytes.h"
#include "common/codec/yaml.h"

struct net_web_password;

enum net_web_verdict {
    NET_WEB_REFUSED,
    NET_WEB_ADMITTED,
    NET_WEB_BUSY /* too many wait: not known */
};

/* Comparisons that may wait for the one that runs. Of the connections of a server it is
 * a part, and above the requests that a client sends at once when it begins. */
enum { NET_WEB_PASSWORD_WAITING_MAX = 48 };

/* Errors ERR_IO: no random key. */
NODISCARD bool net_web_password_new(struct net_web_password **out, struct err *err);
void net_web_password_free(struct net_web_password **p);

/* Whether an Authorization header ("Basic ...", NULL: none) holds a name of users,
 * which is a map of valid bcrypt hashes, and its password. Any thread; may take as long
 * as the costliest hash for each comparison that waits. */
NODISCARD enum net_web_verdict net_web_password_check(struct net_web_password *p,
                                                      const struct yaml *users,
                                                      const char *authorization);

/* From now on no comparison begins, and those that wait end: NET_WEB_BUSY. */
void net_web_password_stop(struct net_web_password *p);

/* Comparisons by bcrypt so far; for tests. */
unsigned net_web_password_slow_count(struct net_web_password *p);

#endif
