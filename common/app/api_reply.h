/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of JSON endpoints in the shape of Prometheus: status, errorType, error. */
#ifndef COMMON_APP_API_REPLY_H
#define COMMON_APP_API_REPLY_H

#include "common/net/http_server.h"

void app_api_reply_err(struct net_http_exchange *x, const struct err *err);

#endif
