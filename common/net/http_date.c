/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_date.h"

#include <stdio.h>
#include <time.h>

bool
net_http_date(struct bytes text, int64_t *ms)
{
    char copy[64];
    struct tm utc = {0};
    if (text.len >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", BYTES_FMT(text));
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    if (end == NULL || *end != 0)
        return false;
    *ms = (int64_t)timegm(&utc) * 1000;
    return true;
}
