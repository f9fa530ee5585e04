/* SPDX-License-Identifier: Apache-2.0 */
/* Which route a request takes. Paths are compared part by part after decoding, so that
 * an encoded "/" inside a part separates nothing. */
#include <string.h>

#include "common/net/form.h"
#include "common/net/http_server_priv.h"

/* Cut the part up to the next "/" off a path; *more: whether there was one. */
static struct bytes
cut_part(struct bytes *path, bool *more)
{
    const uint8_t *slash = path->len > 0 ? memchr(path->at, '/', path->len) : NULL;
    struct bytes part = *path;
    *more = slash != NULL;
    part.len = *more ? (size_t)(slash - path->at) : path->len;
    bytes_skip(path, part.len + *more);
    return part;
}

/* Whether a part of a path is what the pattern wants there; a parameter is kept. */
static bool
part_fits(struct bytes wanted, struct bytes part, uint8_t **into,
          struct bytes *parameter)
{
    size_t len;
    if (!net_form_decode_path(part, *into, &len))
        return false;
    struct bytes text = bytes_of(*into, len);
    if (!bytes_starts_with(wanted, BYTES(":")))
        return bytes_eq(text, wanted);
    *parameter = text;
    *into += len;
    return len > 0;
}

/* into has room for the path. */
static bool
fits(const char *pattern, struct bytes path, uint8_t *into, struct bytes *parameter)
{
    struct bytes wanted = bytes_of_str(pattern);
    bool more, wants_more;
    *parameter = (struct bytes){0};
    do {
        struct bytes part = cut_part(&path, &more);
        if (!part_fits(cut_part(&wanted, &wants_more), part, &into, parameter))
            return false;
    } while (more && wants_more);
    return more == wants_more;
}

static bool
has_method(const struct net_http_route *r, const char *method)
{
    return strcmp(r->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

struct net_http_match
net_http_route_find(const struct net_http_server *s, const char *method,
                    struct bytes path, uint8_t *into)
{
    struct net_http_match match = {0};
    for (size_t i = 0; i < s->route_count && match.route == NULL; i++) {
        const struct net_http_route *r = &s->routes[i];
        if (!fits(r->path, path, into, &match.parameter))
            continue;
        match.of_path = r;
        if (has_method(r, method))
            match.route = r;
    }
    return match;
}

void
net_http_route_print_allowed(const struct net_http_server *s,
                             const struct net_http_route *of_path, struct buf *out)
{
    for (size_t i = 0; i < s->route_count; i++) {
        const struct net_http_route *r = &s->routes[i];
        if (strcmp(r->path, of_path->path) == 0)
            buf_printf(out, "%s, %s", r->method,
                       strcmp(r->method, "GET") == 0 ? "HEAD, " : "");
    }
    buf_put_str(out, "OPTIONS");
}
