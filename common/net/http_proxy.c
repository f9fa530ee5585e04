/* SPDX-License-Identifier: Apache-2.0 */
/* NO_PROXY is a list, separated by commas, of
 *
 *   *                  every host
 *   10.0.0.0/8         every address in it
 *   10.1.2.3[:80]      an address (IPv6 with a port in brackets)
 *   a.b[:80]           the host and all below it
 *   .a.b or *.a.b      all below it
 *
 * as in golang.org/x/net/http/httpproxy, which Go programs share. */
#include "common/net/http_proxy_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/xmalloc.h"
#include "common/codec/digest.h"

/* An address of either family; an IPv4 one as IPv6 maps it. */
struct address {
    uint8_t at[16];
};

enum { MAPPED_BITS = 96, ADDRESS_BITS = 128, TEXT_MAX = INET6_ADDRSTRLEN };

static char *
copy_of(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    if (value == NULL || *value == 0)
        value = getenv(lower);
    return value != NULL && *value != 0 ? xstrdup(value) : NULL;
}

void
net_http_proxies_init(struct net_http_proxies *p)
{
    bool cgi = getenv("REQUEST_METHOD") != NULL;
    p->http = cgi ? NULL : copy_of("HTTP_PROXY", "http_proxy");
    p->https = copy_of("HTTPS_PROXY", "https_proxy");
    p->except = copy_of("NO_PROXY", "no_proxy");
}

static void
free_secret(char *text)
{
    if (text != NULL)
        digest_cleanse(text, strlen(text));
    free(text);
}

void
net_http_proxies_fini(struct net_http_proxies *p)
{
    free_secret(p->http);
    free_secret(p->https);
    free(p->except);
    *p = (struct net_http_proxies){0};
}

static bool
parse_address(struct bytes text, struct address *a)
{
    char copy[TEXT_MAX + 1];
    if (text.len == 0 || text.len > TEXT_MAX)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET6, copy, a->at) == 1)
        return true;
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(a->at, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, a->at + sizeof mapped) == 1;
}

static bool
has_prefix(const struct address *a, const struct address *prefix, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if (((a->at[i / 8] ^ prefix->at[i / 8]) & (0x80 >> i % 8)) != 0)
            return false;
    return true;
}

static bool
is_loopback(const struct address *a)
{
    struct address v4, v6;
    return (parse_address(BYTES("127.0.0.0"), &v4) &&
            has_prefix(a, &v4, MAPPED_BITS + 8)) ||
           (parse_address(BYTES("::1"), &v6) && has_prefix(a, &v6, ADDRESS_BITS));
}

static struct bytes
trimmed(struct bytes b)
{
    while (b.len > 0 && (b.at[0] == ' ' || b.at[0] == '\t'))
        bytes_skip(&b, 1);
    while (b.len > 0 && (b.at[b.len - 1] == ' ' || b.at[b.len - 1] == '\t'))
        b.len--;
    return b;
}

static bool
equals(struct bytes a, struct bytes b)
{
    return a.len == b.len &&
           (a.len == 0 ||
            strncasecmp((const char *)a.at, (const char *)b.at, a.len) == 0);
}

/* "10.0.0.0/8". */
static bool
is_in_network(const struct address *a, struct bytes network)
{
    struct address prefix;
    const uint8_t *slash =
        network.len > 0 ? memchr(network.at, '/', network.len) : NULL;
    if (slash == NULL)
        return false;
    struct bytes base = bytes_of(network.at, (size_t)(slash - network.at));
    if (!parse_address(base, &prefix))
        return false;
    bytes_skip(&network, base.len + 1);
    unsigned bits = 0;
    unsigned max = memchr(base.at, ':', base.len) != NULL ? ADDRESS_BITS
                                                          : ADDRESS_BITS - MAPPED_BITS;
    if (network.len == 0 || network.len > 3)
        return false;
    for (; network.len > 0; bytes_skip(&network, 1)) {
        if (network.at[0] < '0' || network.at[0] > '9')
            return false;
        bits = 10 * bits + (unsigned)(network.at[0] - '0');
    }
    return bits <= max && has_prefix(a, &prefix, bits + ADDRESS_BITS - max);
}

/* Split "host:port" and "[address]:port"; a lone IPv6 address has no port. */
static void
split_port(struct bytes entry, struct bytes *host, struct bytes *port)
{
    *host = entry;
    *port = (struct bytes){0};
    const uint8_t *colon = memrchr(entry.at, ':', entry.len);
    bool bracketed = entry.at[0] == '[';
    if (colon != NULL &&
        (bracketed ? colon[-1] == ']' : memchr(entry.at, ':', entry.len) == colon)) {
        host->len = (size_t)(colon - entry.at);
        *port = bytes_of(colon + 1, entry.len - host->len - 1);
    }
    if (bracketed && host->len >= 2 && host->at[host->len - 1] == ']')
        *host = bytes_of(host->at + 1, host->len - 2);
}

/* Whether host is the domain or one below it; ".domain" and "*.domain" mean the latter
 * only. */
static bool
is_in_domain(struct bytes host, struct bytes domain)
{
    if (bytes_starts_with(domain, BYTES("*.")))
        bytes_skip(&domain, 1);
    if (domain.len == 0)
        return false;
    if (domain.at[0] != '.' && equals(host, domain))
        return true;
    size_t dot = domain.at[0] == '.' ? 0 : 1;
    if (host.len < domain.len + dot)
        return false;
    struct bytes tail = host;
    bytes_skip(&tail, host.len - domain.len);
    return equals(tail, domain) && (dot == 0 || tail.at[-1] == '.');
}

static bool
is_excepted_by(struct bytes entry, const struct address *address, struct bytes host,
               struct bytes port)
{
    struct bytes entry_host, entry_port;
    struct address entry_address;
    if (entry.len == 0)
        return false;
    if (equals(entry, BYTES("*")))
        return true;
    if (address != NULL && is_in_network(address, entry))
        return true;
    split_port(entry, &entry_host, &entry_port);
    if (entry_port.len > 0 && !equals(entry_port, port))
        return false;
    if (parse_address(entry_host, &entry_address))
        return address != NULL && has_prefix(address, &entry_address, ADDRESS_BITS);
    return is_in_domain(host, entry_host);
}

static bool
is_excepted(const char *list, const struct address *address, struct bytes host,
            struct bytes port)
{
    while (*list != 0) {
        size_t len = strcspn(list, ",");
        if (is_excepted_by(trimmed(bytes_of(list, len)), address, host, port))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

const char *
net_http_proxies_get(const struct net_http_proxies *p, bool https, struct bytes host,
                     struct bytes port)
{
    const char *proxy = https ? p->https : p->http;
    struct address address;
    if (proxy == NULL || equals(host, BYTES("localhost")))
        return NULL;
    bool is_address = parse_address(host, &address);
    if (is_address && is_loopback(&address))
        return NULL;
    if (p->except != NULL &&
        is_excepted(p->except, is_address ? &address : NULL, host, port))
        return NULL;
    return proxy;
}
