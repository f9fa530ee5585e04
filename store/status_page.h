/* SPDX-License-Identifier: Apache-2.0 */
/* The page of the status: HTML that needs nothing else. */
#ifndef STORE_STATUS_PAGE_H
#define STORE_STATUS_PAGE_H

#include "store/status.h"

/* Append the page. */
void store_status_page(const struct store_status_view *view, struct buf *out);

#endif
