/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/web_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/xmalloc.h"
#include "common/net/web_priority.h"

enum { BCRYPT_COST_AT = 4, BCRYPT_COST_MIN = 4, BCRYPT_COST_MAX = 16 };

static const char *const client_auths[] = {
    [NET_WEB_NO_CLIENT_CERT] = "NoClientCert",
    [NET_WEB_REQUEST_CLIENT_CERT] = "RequestClientCert",
    [NET_WEB_VERIFY_CLIENT_CERT_IF_GIVEN] = "VerifyClientCertIfGiven",
    [NET_WEB_REQUIRE_ANY_CLIENT_CERT] = "RequireAnyClientCert",
    [NET_WEB_REQUIRE_AND_VERIFY_CLIENT_CERT] = "RequireAndVerifyClientCert",
};

const char *
net_web_client_auth_name(enum net_web_client_auth auth)
{
    return client_auths[auth];
}

static bool
is_present(const struct yaml *member)
{
    return member != NULL && member->kind != YAML_NULL;
}

/* One of the pairs cert and cert_file, key and key_file, client_ca and client_ca_file.
 * As in Go the file wins where both are there. */
static bool
read_pem(const struct yaml *tls, const char *text_key, const char *file_key,
         const char *config_path, struct net_web_pem *out, struct err *err)
{
    const char *file = "", *text = "";
    if (!yaml_get_text(tls, file_key, &file, err) ||
        !yaml_get_text(tls, text_key, &text, err))
        return false;
    const char *slash = strrchr(config_path, '/');
    if (*file == '/' || (*file != 0 && slash == NULL))
        out->path = xstrdup(file);
    else if (*file != 0)
        out->path = xasprintf("%.*s/%s", (int)(slash - config_path), config_path, file);
    else if (*text != 0)
        out->text = text;
    return true;
}

static bool
has_pem(const struct net_web_pem *pem)
{
    return pem->path != NULL || pem->text != NULL;
}

static bool
read_client_auth(struct net_web_config *c, const struct yaml *tls, struct err *err)
{
    const char *text = client_auths[NET_WEB_NO_CLIENT_CERT];
    if (!yaml_get_text(tls, "client_auth_type", &text, err))
        return false;
    if (*text == 0)
        return true;
    /* The former name. */
    if (strcmp(text, "RequireClientCert") == 0)
        text = client_auths[NET_WEB_REQUIRE_ANY_CLIENT_CERT];
    for (size_t i = 0; i < ARRAY_LEN(client_auths); i++) {
        if (strcmp(text, client_auths[i]) == 0) {
            c->client_auth = (enum net_web_client_auth)i;
            return true;
        }
    }
    return yaml_refuse(tls, "client_auth_type", err,
                       "unknown type \"%s\"; there are NoClientCert, "
                       "RequestClientCert, RequireAnyClientCert, "
                       "VerifyClientCertIfGiven, RequireAndVerifyClientCert",
                       text);
}

static bool
check_client_ca(const struct net_web_config *c, const struct yaml *tls, struct err *err)
{
    bool verifies = c->client_auth == NET_WEB_VERIFY_CLIENT_CERT_IF_GIVEN ||
                    c->client_auth == NET_WEB_REQUIRE_AND_VERIFY_CLIENT_CERT;
    if (verifies && !has_pem(&c->client_ca))
        return yaml_refuse(tls, "client_auth_type", err,
                           "%s takes a client_ca_file to verify with",
                           client_auths[c->client_auth]);
    if (has_pem(&c->client_ca) && c->client_auth == NET_WEB_NO_CLIENT_CERT)
        return yaml_refuse(tls, c->client_ca.path ? "client_ca_file" : "client_ca", err,
                           "no client is asked for a certificate: set "
                           "client_auth_type, to RequireAndVerifyClientCert say");
    return true;
}

static bool
read_allowed_sans(struct net_web_config *c, const struct yaml *tls, struct err *err)
{
    const struct yaml *list = yaml_get(tls, "client_allowed_sans");
    if (!is_present(list))
        return true;
    if (c->client_auth < NET_WEB_REQUIRE_ANY_CLIENT_CERT)
        return yaml_refuse(tls, "client_allowed_sans", err,
                           "client_auth_type must be RequireAnyClientCert or "
                           "RequireAndVerifyClientCert, not %s",
                           client_auths[c->client_auth]);
    bool is_list = list->kind == YAML_LIST;
    for (size_t i = 0; is_list && i < list->count; i++)
        is_list = list->children[i].kind == YAML_SCALAR;
    if (!is_list)
        return yaml_refuse(tls, "client_allowed_sans", err, "want a list of names");
    c->allowed_sans = list;
    return true;
}

static bool
read_priority(struct net_web_config *c, const struct yaml *tls, struct err *err)
{
    CLEANUP(buf_fini) struct buf priority = {0};
    if (!net_web_priority_print(tls, &priority, err) || !buf_ok(&priority, err))
        return false;
    c->priority = xstrdup(buf_text(&priority));
    return true;
}

/* As in the exporter toolkit there is TLS when one of these is set. */
static bool
read_tls(struct net_web_config *c, const struct yaml *root, const char *path,
         struct err *err)
{
    static const char *const KEYS[] = {"cert_file",
                                       "key_file",
                                       "cert",
                                       "key",
                                       "client_auth_type",
                                       "client_ca_file",
                                       "client_ca",
                                       "client_allowed_sans",
                                       "min_version",
                                       "max_version",
                                       "cipher_suites",
                                       "prefer_server_cipher_suites",
                                       "curve_preferences",
                                       NULL};
    const struct yaml *tls = yaml_get(root, "tls_server_config");
    if (!yaml_check_keys(tls, KEYS, "tls_server_config", err) ||
        !read_pem(tls, "cert", "cert_file", path, &c->cert, err) ||
        !read_pem(tls, "key", "key_file", path, &c->key, err) ||
        !read_pem(tls, "client_ca", "client_ca_file", path, &c->client_ca, err) ||
        !read_client_auth(c, tls, err))
        return false;
    c->has_tls = tls != NULL && tls->count > 0;
    if (!c->has_tls)
        return true;
    if (!has_pem(&c->cert))
        return yaml_refuse(root, "tls_server_config", err, "cert_file is missing");
    if (!has_pem(&c->key))
        return yaml_refuse(root, "tls_server_config", err, "key_file is missing");
    return check_client_ca(c, tls, err) && read_allowed_sans(c, tls, err) &&
           read_priority(c, tls, err);
}

static bool
is_bcrypt(const char *hash, int *cost)
{
    static const char ALPHABET[] =
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    if (strlen(hash) != NET_WEB_BCRYPT_SIZE || strncmp(hash, "$2", 2) != 0 ||
        strchr("aby", hash[2]) == NULL || hash[3] != '$' || !isdigit(hash[4]) ||
        !isdigit(hash[5]) || hash[6] != '$' ||
        strspn(hash + 7, ALPHABET) != NET_WEB_BCRYPT_SIZE - 7)
        return false;
    *cost = atoi(hash + BCRYPT_COST_AT);
    return true;
}

/* A hash is a secret of sorts: errors do not show it. */
static bool
check_user(const struct yaml *users, size_t i, struct err *err)
{
    const struct yaml *hash = &users->children[i];
    const char *user = users->keys[i];
    int cost = 0;
    if (*user == 0 || strchr(user, ':') != NULL)
        return err_set(
            err, ERR_INVALID,
            "line %d: basic_auth_users: a name must not be empty and have no "
            "colon",
            hash->line);
    if (hash->kind != YAML_SCALAR || !is_bcrypt(hash->text, &cost))
        return err_set(
            err, ERR_INVALID,
            "line %d: basic_auth_users: the password of %s is no bcrypt hash "
            "(60 characters that begin with $2a$, $2b$ or $2y$); "
            "\"htpasswd -nB %s\" makes one",
            hash->line, user, user);
    if (cost < BCRYPT_COST_MIN || cost > BCRYPT_COST_MAX)
        return err_set(
            err, ERR_INVALID,
            "line %d: basic_auth_users: the hash of %s has cost %d; %d to %d "
            "are taken, and 10 is usual",
            hash->line, user, cost, BCRYPT_COST_MIN, BCRYPT_COST_MAX);
    return true;
}

static bool
read_users(struct net_web_config *c, const struct yaml *root, struct err *err)
{
    const struct yaml *users = yaml_get(root, "basic_auth_users");
    if (!is_present(users))
        return true;
    if (users->kind != YAML_MAP)
        return yaml_refuse(root, "basic_auth_users", err,
                           "want users with their bcrypt hashes");
    for (size_t i = 0; i < users->count; i++)
        if (!check_user(users, i, err))
            return false;
    c->users = users;
    return true;
}

static bool
check_header(const struct yaml *headers, size_t i, struct err *err)
{
    const struct yaml *value = &headers->children[i];
    const char *name = headers->keys[i];
    if (value->kind != YAML_SCALAR || *value->text == 0 ||
        strpbrk(value->text, "\r\n") != NULL)
        return yaml_refuse(headers, name, err, "want a text of one line");
    if (strcmp(name, "X-Content-Type-Options") == 0 &&
        strcmp(value->text, "nosniff") != 0)
        return yaml_refuse(headers, name, err, "\"%s\"; there is only nosniff",
                           value->text);
    if (strcmp(name, "X-Frame-Options") == 0 && strcmp(value->text, "deny") != 0 &&
        strcmp(value->text, "sameorigin") != 0)
        return yaml_refuse(headers, name, err, "\"%s\"; there are deny and sameorigin",
                           value->text);
    return true;
}

static bool
read_http(struct net_web_config *c, const struct yaml *root, struct err *err)
{
    static const char *const KEYS[] = {"http2", "headers", NULL};
    static const char *const HEADERS[] = {
        "Strict-Transport-Security", "X-Content-Type-Options",  "X-Frame-Options",
        "X-XSS-Protection",          "Content-Security-Policy", NULL};
    const struct yaml *http = yaml_get(root, "http_server_config");
    if (!yaml_check_keys(http, KEYS, "http_server_config", err) ||
        !yaml_get_bool(http, "http2", &c->has_http2, err))
        return false;
    c->headers = yaml_get(http, "headers");
    if (!is_present(c->headers))
        c->headers = NULL;
    if (!yaml_check_keys(c->headers, HEADERS, "headers", err))
        return false;
    for (size_t i = 0; c->headers != NULL && i < c->headers->count; i++)
        if (!check_header(c->headers, i, err))
            return false;
    return true;
}

bool
net_web_config_parse(struct net_web_config *out, struct bytes text, const char *path,
                     struct err *err)
{
    static const char *const KEYS[] = {"tls_server_config", "http_server_config",
                                       "basic_auth_users", NULL};
    CLEANUP(net_web_config_fini) struct net_web_config c = {0};
    *out = (struct net_web_config){0};
    if (!yaml_parse(text, NET_WEB_CONFIG_MAX, &c.tree, err) ||
        !yaml_check_keys(c.tree, KEYS, "the web configuration", err) ||
        !read_tls(&c, c.tree, path, err) || !read_users(&c, c.tree, err) ||
        !read_http(&c, c.tree, err))
        return false;
    *out = c;
    c = (struct net_web_config){0};
    return true;
}

void
net_web_config_fini(struct net_web_config *c)
{
    free(c->cert.path);
    free(c->key.path);
    free(c->client_ca.path);
    free(c->priority);
    yaml_tree_free(&c->tree);
    *c = (struct net_web_config){0};
}
