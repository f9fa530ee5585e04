/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, cipher suites and curves of TLS, from the names of Go to those of GnuTLS.
 */
#ifndef COMMON_NET_WEB_PRIORITY_H
#define COMMON_NET_WEB_PRIORITY_H

#include "common/base/buf.h"
#include "common/codec/yaml.h"

/* Append the priority string for a tls_server_config. Without cipher_suites it is the
 * defaults of GnuTLS less key exchange without forward secrecy.
 *
 * GnuTLS is told key exchanges and ciphers, not suites, and one list of ciphers for all
 * versions: lists of suites that cannot be told so are refused, and cipher_suites
 * bounds TLS 1.3, too.
 * Errors ERR_INVALID, ERR_UNSUPPORTED; both name the line. */
NODISCARD bool net_web_priority_print(const struct yaml *tls, struct buf *out,
                                      struct err *err);

#endif
