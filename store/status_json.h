/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of /api/v1/status/store. */
#ifndef STORE_STATUS_JSON_H
#define STORE_STATUS_JSON_H

#include "store/status.h"

/* Append it. */
void store_status_json(const struct store_status_view *view, struct buf *out);

#endif
