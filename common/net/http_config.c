/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_config.h"

#include "common/base/file.h"

static bool
read_file_name(const struct yaml *tls, const char *key, const char **out,
               struct err *err)
{
    const char *path = "";
    if (!yaml_get_text(tls, key, &path, err))
        return false;
    if (*path == 0)
        return true;
    *out = path;
    return file_exists(path) || yaml_refuse(tls, key, err, "there is no %s", path);
}

bool
net_http_config_tls(const struct yaml *tls, struct net_http_client_options *http,
                    struct err *err)
{
    static const char *const KEYS[] = {
        "ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify",
        NULL};
    const char *server_name = "";
    if (tls == NULL)
        return true;
    if (!yaml_check_keys(tls, KEYS, "tls_config", err) ||
        !read_file_name(tls, "ca_file", &http->ca_file, err) ||
        !read_file_name(tls, "cert_file", &http->cert_file, err) ||
        !read_file_name(tls, "key_file", &http->key_file, err) ||
        !yaml_get_text(tls, "server_name", &server_name, err) ||
        !yaml_get_bool(tls, "insecure_skip_verify", &http->insecure_skip_verify, err))
        return false;
    if (*server_name != 0)
        http->server_name = server_name;
    return (http->cert_file != NULL) == (http->key_file != NULL) ||
           yaml_refuse(tls, http->cert_file != NULL ? "cert_file" : "key_file", err,
                       "cert_file and key_file go together only");
}
