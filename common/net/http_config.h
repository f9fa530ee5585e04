/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an HTTP client's configuration that Thanos writes alike for all its
 * clients. */
#ifndef COMMON_NET_HTTP_CONFIG_H
#define COMMON_NET_HTTP_CONFIG_H

#include "common/codec/yaml.h"
#include "common/net/http_client.h"

/* Read a tls_config: ca_file, cert_file, key_file, server_name, insecure_skip_verify.
 * NULL leaves *http as it is. Texts are borrowed from the tree; files must be there.
 * Errors ERR_INVALID with line and key. */
NODISCARD bool net_http_config_tls(const struct yaml *tls,
                                   struct net_http_client_options *http,
                                   struct err *err);

#endif
