/* SPDX-License-Identifier: Apache-2.0 */
/* Who the sidecar says it is when it asks Prometheus. */
#ifndef SIDECAR_PROM_AUTH_H
#define SIDECAR_PROM_AUTH_H

#include "common/base/buf.h"

/* At most one of basic and bearer authentication, and of each at most one source. NULL
 * is not given. All is borrowed. */
struct sidecar_prom_auth {
    const char *username; /* basic */
    const char *password;
    const char *password_file;
    const char *bearer_token;
    const char *bearer_token_file;
};

/* Append the header "Authorization: ..." as a text, NUL included, to the empty *out;
 * nothing when there is nothing to say. Files are read now, so that each request has
 * what they hold now; blanks around it are dropped. *out holds a secret: release it
 * with sidecar_prom_auth_cleanse. Errors name the file, never its content. */
NODISCARD bool sidecar_prom_auth_header(const struct sidecar_prom_auth *auth,
                                        struct buf *out, struct err *err);

/* Overwrite and release; CLEANUP handler. */
void sidecar_prom_auth_cleanse(struct buf *secret);

#endif
