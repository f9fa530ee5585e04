/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_accept.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* RFC 9110 allows five characters, "0.123". */
enum { WEIGHT_SIZE = 16 };

static struct bytes
trim(struct bytes text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        bytes_skip(&text, 1);
    while (text.len > 0 &&
           (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

int
net_http_accept_weight(struct bytes text)
{
    char copy[WEIGHT_SIZE], *end;
    text = trim(text);
    if (text.len == 0 || text.len >= sizeof copy ||
        (text.at[0] != '0' && text.at[0] != '1'))
        return 0;
    snprintf(copy, sizeof copy, "%.*s", BYTES_FMT(text));
    if (strspn(copy, "0123456789.") != text.len)
        return 0;
    double weight = strtod(copy, &end);
    return *end == 0 && weight <= 1 ? (int)(weight * NET_HTTP_WEIGHT_MAX) : 0;
}

/* Up to the next separator, without spaces around it; *rest begins behind it. */
static struct bytes
cut(struct bytes *rest, char separator)
{
    const uint8_t *at = rest->len > 0 ? memchr(rest->at, separator, rest->len) : NULL;
    struct bytes part = *rest;
    part.len = at != NULL ? (size_t)(at - rest->at) : rest->len;
    bytes_skip(rest, part.len + (at != NULL));
    return trim(part);
}

static bool
is_name(struct bytes text, const char *name)
{
    return text.len == strlen(name) &&
           strncasecmp((const char *)text.at, name, text.len) == 0;
}

bool
net_http_accept_next(struct bytes *rest, struct net_http_media_range *out)
{
    struct bytes range = {0};
    while (range.len == 0 && rest->len > 0)
        range = cut(rest, ',');
    if (range.len == 0)
        return false;
    *out = (struct net_http_media_range){.weight = NET_HTTP_WEIGHT_MAX};
    out->type = cut(&range, ';');
    while (range.len > 0) {
        struct bytes value = cut(&range, ';');
        struct bytes name = cut(&value, '=');
        if (is_name(name, "q"))
            out->weight = net_http_accept_weight(value);
        else if (is_name(name, "version"))
            out->version = trim(value);
    }
    return true;
}
