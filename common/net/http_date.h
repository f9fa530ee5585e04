/* SPDX-License-Identifier: Apache-2.0 */
/* Times as HTTP headers write them. */
#ifndef COMMON_NET_HTTP_DATE_H
#define COMMON_NET_HTTP_DATE_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/compiler.h"

/* "Fri, 24 May 2013 00:00:00 GMT" in milliseconds since the epoch. False, with *ms
 * untouched, for any other text. */
NODISCARD bool net_http_date(struct bytes text, int64_t *ms);

#endif
