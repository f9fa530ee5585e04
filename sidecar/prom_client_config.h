/* SPDX-License-Identifier: Apache-2.0 */
/* What --prometheus.http-client says of how to speak to Prometheus. */
#ifndef SIDECAR_PROM_CLIENT_CONFIG_H
#define SIDECAR_PROM_CLIENT_CONFIG_H

#include "common/net/http_client.h"
#include "sidecar/prom_auth.h"

struct yaml;

/* The zero value is a client without any of it, with the time-outs of net. */
struct sidecar_prom_client_config {
    struct net_http_client_options http; /* without a user agent */
    struct sidecar_prom_auth auth;
    /* private */
    struct yaml *tree; /* owns the texts above */
};

/* Read the YAML, as it is: no variables are expanded, as in Thanos. An empty one yields
 * the defaults of Thanos. *out must be the zero value. What has no effect on a client
 * that makes one request at a time is checked all the same. The files of tls_config
 * must be there; those of secrets may come later.
 * Errors ERR_INVALID with line and key, without secrets. */
NODISCARD bool sidecar_prom_client_config_parse(struct sidecar_prom_client_config *out,
                                                struct bytes yaml, struct err *err);

/* Overwrite and release; CLEANUP handler. */
void sidecar_prom_client_config_fini(struct sidecar_prom_client_config *c);

#endif
