/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_trace_priv.h"

#include <strings.h>

#include "common/base/compiler.h"

#define REDACTED "REDACTED"

/* Names that hold one of these, in any case, have secret values. The last ones are of
 * query parameters: signatures of version 4 and 2. Too much redacted (a continuation
 * token) costs little. */
static const char *const SECRET[] = {"authorization", "cookie",     "customer-key",
                                     "token",         "secret",     "password",
                                     "signature",     "credential", "accesskeyid"};

static bool
contains(struct bytes text, const char *part)
{
    size_t len = strlen(part);
    for (size_t at = 0; at + len <= text.len; at++)
        if (strncasecmp((const char *)text.at + at, part, len) == 0)
            return true;
    return false;
}

static bool
is_secret(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(SECRET); i++)
        if (contains(name, SECRET[i]))
            return true;
    return false;
}

/* Cut off and return what stands before the first of stops; all of it without one. */
static struct bytes
take_until(struct bytes *rest, const char *stops)
{
    size_t len = 0;
    while (len < rest->len &&
           (rest->at[len] == 0 || strchr(stops, rest->at[len]) == NULL))
        len++;
    struct bytes taken = bytes_of(rest->at, len);
    bytes_skip(rest, len);
    return taken;
}

/* A name with an escape could be any. */
static bool
is_secret_parameter(struct bytes name)
{
    return is_secret(name) || contains(name, "%");
}

static void
put_without_secret_parameters(struct bytes text, struct buf *out)
{
    while (text.len > 0) {
        buf_put(out, take_until(&text, "?&"));
        if (text.len == 0)
            return;
        buf_put_u8(out, text.at[0]);
        bytes_skip(&text, 1);
        struct bytes name = take_until(&text, "=?&# ");
        buf_put(out, name);
        if (text.len == 0 || text.at[0] != '=' || !is_secret_parameter(name))
            continue;
        buf_put_str(out, "=" REDACTED);
        take_until(&text, "&# ");
    }
}

static bool
is_continuation(struct bytes line)
{
    return line.at[0] == ' ' || line.at[0] == '\t';
}

void
net_http_trace_redact(struct bytes head, struct buf *out)
{
    bool hidden = false; /* the header before; lines that continue it are, too */
    while (head.len > 0) {
        struct bytes line = take_until(&head, "\r\n");
        if (line.len == 0) {
            bytes_skip(&head, 1);
            continue;
        }
        if (is_continuation(line) && hidden)
            continue;
        struct bytes value = line;
        struct bytes name = take_until(&value, ":");
        hidden = value.len > 0 && is_secret(name);
        if (hidden) {
            buf_put(out, name);
            buf_put_str(out, ": " REDACTED);
        } else {
            put_without_secret_parameters(line, out);
        }
        buf_put_u8(out, '\n');
    }
}
