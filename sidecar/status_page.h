/* SPDX-License-Identifier: Apache-2.0 */
/* The page of the status: HTML that needs nothing else. */
#ifndef SIDECAR_STATUS_PAGE_H
#define SIDECAR_STATUS_PAGE_H

#include "sidecar/status.h"

/* Append the page. */
void sidecar_status_page(const struct sidecar_status_view *view, struct buf *out);

#endif
