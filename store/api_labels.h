/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery, in the JSON of Prometheus: which label names, which values of a label,
 * which series are there. GET and POST of /api/v1/labels, /api/v1/label/<name>/values
 * and /api/v1/series; admitted as remote read is. */
#ifndef STORE_API_LABELS_H
#define STORE_API_LABELS_H

#include "store/api_read.h"

/* Largest form in a body. */
enum { STORE_API_LABELS_MAX_BODY = 1024 * 1024 };

/* Write the routes to at; returns their number, STORE_API_LABELS_ROUTES. api is
 * borrowed and outlives the server. */
enum { STORE_API_LABELS_ROUTES = 6 };
size_t store_api_labels_routes(struct store_api_read *api, struct net_http_route *at);

#endif
