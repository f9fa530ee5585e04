/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/prom_client_config.h"

#include <inttypes.h>
#include <limits.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/codec/yaml.h"
#include "common/net/http_config.h"

enum { CONFIG_MAX_BYTES = 1 << 20 };

/* A text that is given and not empty; else *out stays NULL. */
static bool
read_text(const struct yaml *y, const char *key, const char **out, struct err *err)
{
    const char *text = "";
    if (!yaml_get_text(y, key, &text, err))
        return false;
    if (*text != 0)
        *out = text;
    return true;
}

static bool
read_basic(const struct yaml *y, struct sidecar_prom_auth *a, struct err *err)
{
    static const char *const KEYS[] = {"username", "password", "password_file", NULL};
    if (y == NULL)
        return true;
    if (!yaml_check_keys(y, KEYS, "basic_auth", err) ||
        !read_text(y, "username", &a->username, err) ||
        !read_text(y, "password", &a->password, err) ||
        !read_text(y, "password_file", &a->password_file, err))
        return false;
    if (a->username != NULL && strchr(a->username, ':') != NULL)
        return yaml_refuse(y, "username", err,
                           "it holds a colon, behind which the password would begin");
    return a->password == NULL || a->password_file == NULL ||
           yaml_refuse(y, "password_file", err,
                       "it excludes password: leave one of them out");
}

static bool
read_auth(const struct yaml *root, struct sidecar_prom_auth *a, struct err *err)
{
    if (!read_basic(yaml_get(root, "basic_auth"), a, err) ||
        !read_text(root, "bearer_token", &a->bearer_token, err) ||
        !read_text(root, "bearer_token_file", &a->bearer_token_file, err))
        return false;
    if (a->bearer_token != NULL && a->bearer_token_file != NULL)
        return yaml_refuse(root, "bearer_token_file", err,
                           "it excludes bearer_token: leave one of them out");
    bool basic = a->username != NULL || a->password != NULL || a->password_file != NULL;
    bool bearer = a->bearer_token != NULL || a->bearer_token_file != NULL;
    return !basic || !bearer ||
           yaml_refuse(root, "basic_auth", err,
                       "it excludes bearer_token and bearer_token_file: leave one way "
                       "of authentication");
}

static bool
read_proxy(const struct yaml *root, struct net_http_client_options *http,
           struct err *err)
{
    static const char *const SCHEMES[] = {"http://", "https://", "socks5://",
                                          "socks5h://"};
    if (!read_text(root, "proxy_url", &http->proxy, err))
        return false;
    bool known = http->proxy == NULL;
    for (size_t i = 0; !known && i < ARRAY_LEN(SCHEMES); i++)
        known = strncasecmp(http->proxy, SCHEMES[i], strlen(SCHEMES[i])) == 0;
    return known || yaml_refuse(root, "proxy_url", err,
                                "it does not begin with http://, https://, socks5:// "
                                "or socks5h://");
}

/* Thanos takes a number of nanoseconds; a duration with a unit is taken as well. 0 is
 * no limit, which here is one that never comes. */
static bool
read_limit(const struct yaml *y, const char *key, int64_t *out_ns, struct err *err)
{
    const char *text = "";
    if (!yaml_get_text(y, key, &text, err))
        return false;
    if (*text == 0)
        return true;
    bool is_number = text[strspn(text, "-0123456789")] == 0;
    if (!(is_number ? yaml_get_i64(y, key, out_ns, err)
                    : yaml_get_duration(y, key, out_ns, err)))
        return false;
    if (*out_ns < 0)
        return yaml_refuse(y, key, err, "%s is negative; 0 is no limit", text);
    if (*out_ns == 0)
        *out_ns = CLOCK_NEVER;
    return true;
}

static bool
check_count(const struct yaml *y, const char *key, struct err *err)
{
    int64_t count = 0;
    if (!yaml_get_i64(y, key, &count, err))
        return false;
    return (count >= 0 && count <= INT_MAX) ||
           yaml_refuse(y, key, err, "%" PRId64 " is no number of connections", count);
}

/* With one request at a time no number of connections can be too small, nothing waits
 * for a server to agree to a body, and compression is never asked for. */
static bool
read_transport(const struct yaml *y, struct net_http_client_options *http,
               struct err *err)
{
    static const char *const KEYS[] = {
        "max_idle_conns",          "max_idle_conns_per_host",
        "idle_conn_timeout",       "response_header_timeout",
        "expect_continue_timeout", "max_conns_per_host",
        "disable_compression",     "tls_handshake_timeout",
        "dialer_timeout",          NULL};
    int64_t unused_ns = 0;
    bool unused = false;
    return y == NULL ||
           (yaml_check_keys(y, KEYS, "transport_config", err) &&
            check_count(y, "max_idle_conns", err) &&
            check_count(y, "max_idle_conns_per_host", err) &&
            check_count(y, "max_conns_per_host", err) &&
            read_limit(y, "idle_conn_timeout", &http->idle_timeout_ns, err) &&
            read_limit(y, "response_header_timeout", &http->first_byte_timeout_ns,
                       err) &&
            read_limit(y, "tls_handshake_timeout", &http->tls_handshake_timeout_ns,
                       err) &&
            read_limit(y, "dialer_timeout", &http->connect_timeout_ns, err) &&
            read_limit(y, "expect_continue_timeout", &unused_ns, err) &&
            yaml_get_bool(y, "disable_compression", &unused, err));
}

static bool
read_root(const struct yaml *root, struct sidecar_prom_client_config *c,
          struct err *err)
{
    static const char *const KEYS[] = {
        "basic_auth", "bearer_token", "bearer_token_file",
        "proxy_url",  "tls_config",   "transport_config",
        NULL};
    return yaml_check_keys(root, KEYS, "the document", err) &&
           read_auth(root, &c->auth, err) && read_proxy(root, &c->http, err) &&
           net_http_config_tls(yaml_get(root, "tls_config"), &c->http, err) &&
           read_transport(yaml_get(root, "transport_config"), &c->http, err);
}

bool
sidecar_prom_client_config_parse(struct sidecar_prom_client_config *out,
                                 struct bytes yaml, struct err *err)
{
    struct sidecar_prom_client_config c = {
        .http = {.max_idle = 1,
                 .idle_timeout_ns = 90 * CLOCK_NS_PER_S,
                 .first_byte_timeout_ns = CLOCK_NEVER,
                 .tls_handshake_timeout_ns = 10 * CLOCK_NS_PER_S,
                 .connect_timeout_ns = 5 * CLOCK_NS_PER_S},
    };
    if (!yaml_parse(yaml, CONFIG_MAX_BYTES, &c.tree, err) ||
        !read_root(c.tree, &c, err)) {
        sidecar_prom_client_config_fini(&c);
        return false;
    }
    *out = c;
    return true;
}

void
sidecar_prom_client_config_fini(struct sidecar_prom_client_config *c)
{
    yaml_tree_free(&c->tree);
    *c = (struct sidecar_prom_client_config){0};
}
