/* SPDX-License-Identifier: Apache-2.0 */
/* The web configuration of Prometheus's exporter toolkit: TLS, client certificates,
 * passwords and security headers of an HTTP server. Parsed strictly; the files that it
 * names are read elsewhere (web.h). */
#ifndef COMMON_NET_WEB_CONFIG_H
#define COMMON_NET_WEB_CONFIG_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/codec/yaml.h"

/* In order of strictness. */
enum net_web_client_auth {
    NET_WEB_NO_CLIENT_CERT,
    NET_WEB_REQUEST_CLIENT_CERT,
    NET_WEB_VERIFY_CLIENT_CERT_IF_GIVEN,
    NET_WEB_REQUIRE_ANY_CLIENT_CERT,
    NET_WEB_REQUIRE_AND_VERIFY_CLIENT_CERT
};

/* What is read from a file, or stands in the configuration; neither: both NULL. */
struct net_web_pem {
    char *path;       /* relative ones begin in the folder of the configuration */
    const char *text; /* borrowed of the tree */
};

/* The zero value protects nothing. */
struct net_web_config {
    bool has_tls;
    bool has_http2; /* http2: true was written; there is only HTTP/1.1 */
    struct net_web_pem cert;
    struct net_web_pem key;
    struct net_web_pem client_ca;
    enum net_web_client_auth client_auth;
    const struct yaml *allowed_sans; /* a list, or NULL: any */
    char *priority;             /* GnuTLS's name for versions, ciphers and curves */
    const struct yaml *users;   /* map of bcrypt hashes; NULL or empty: no login */
    const struct yaml *headers; /* map of response headers, or NULL */
    /* private */
    struct yaml *tree;
};

enum { NET_WEB_CONFIG_MAX = 1024 * 1024, NET_WEB_BCRYPT_SIZE = 60 };

/* path names the folder of relative paths; errors do not repeat it.
 * Errors ERR_INVALID with the line; ERR_UNSUPPORTED for what GnuTLS cannot do. *out is
 * then the zero value. Release with net_web_config_fini.
 * Format github.com/prometheus/exporter-toolkit docs/web-configuration.md. */
NODISCARD bool net_web_config_parse(struct net_web_config *out, struct bytes text,
                                    const char *path, struct err *err);
void net_web_config_fini(struct net_web_config *c);

/* The name of a value of client_auth_type. */
const char *net_web_client_auth_name(enum net_web_client_auth auth);

#endif
