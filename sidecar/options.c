/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/options.h"

#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

static const struct app_flag flags[] = {
#define APP_FLAGS_OPTIONS struct sidecar_options
#include "common/app/flags_rows.def"
};

static const struct app_flags table = {
    .program = "blockhouse-sidecar",
    .purpose = "Ships the blocks of a Prometheus to object storage.",
    .note = "It " SIDECAR_NOTE ".",
    .flags = flags,
    .count = ARRAY_LEN(flags),
    .inert_at = offsetof(struct sidecar_options, inert),
};

static bool
derive(struct sidecar_options *o, struct err *err)
{
    static const char *const hashes[] = {"", "SHA256"};
    static const char *const levels[] = {
        [TSDB_VERIFY_FRAME] = "frame",
        [TSDB_VERIFY_FULL] = "full",
    };
    static const char *const methods[] = {
        [SIDECAR_RELOADER_HTTP] = "http",
        [SIDECAR_RELOADER_SIGNAL] = "signal",
    };
    size_t hash = 0, level = 0, method = 0;
    if (!app_flags_log(o->log_level, o->log_format, &o->level, &o->format, err) ||
        !app_flags_choose("hash-func", o->hash_func, hashes, ARRAY_LEN(hashes), &hash,
                          err) ||
        !app_flags_choose("shipper.verify", o->verify, levels, ARRAY_LEN(levels),
                          &level, err) ||
        !app_flags_choose("reloader.method", o->reloader_method, methods,
                          ARRAY_LEN(methods), &method, err))
        return false;
    o->hash_sha256 = hash == 1;
    o->verify_level = (enum tsdb_verify_level)level;
    o->method = (enum sidecar_reloader_method)method;
    return true;
}

static bool
check_reloader(const struct sidecar_options *o, struct err *err)
{
    if (*o->reloader_output_file == 0)
        return true;
    if (*o->reloader_config_file == 0)
        return err_set(err, ERR_INVALID,
                       "--reloader.config-envsubst-file is given without "
                       "--reloader.config-file: nothing would write it");
    if (strcmp(o->reloader_output_file, o->reloader_config_file) == 0)
        return err_set(err, ERR_INVALID,
                       "--reloader.config-envsubst-file and --reloader.config-file are "
                       "the same: %s",
                       o->reloader_output_file);
    return true;
}

/* Whether a password is cut where the host begins to be looked for, as in
 * http://me:a/b@host: what is taken for a port would stand in errors. */
static bool
has_cut_password(const char *url)
{
    const char *host = strstr(url, "://") + strlen("://");
    const char *end = host + strcspn(host, "/?#@");
    const char *port = memrchr(host, ':', (size_t)(end - host));
    return port != NULL && end[-1] != ']' && *end != '@' && strchr(end, '@') != NULL &&
           port + 1 + strspn(port + 1, "0123456789") < end;
}

/* Where it may hold a password, errors do not show it. */
static bool
check_url(const char *url, struct err *err)
{
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return err_set(err, ERR_INVALID,
                       "--prometheus.url=%s does not begin with http:// or https://",
                       strchr(url, '@') == NULL ? url : "<secret>");
    return !has_cut_password(url) ||
           err_set(err, ERR_INVALID,
                   "--prometheus.url: in user and password, write / as %%2F, ? as %%3F "
                   "and # as %%23");
}

static bool
check(const struct sidecar_options *o, struct err *err)
{
    if (!check_url(o->prometheus_url, err))
        return false;
    if (o->tsdb_path[0] == 0)
        return err_set(err, ERR_INVALID, "--tsdb.path is empty");
    if (o->meta_file_name[0] == 0 || strchr(o->meta_file_name, '/') != NULL)
        return err_set(err, ERR_INVALID,
                       "--shipper.meta-file-name: \"%s\" is not a file name",
                       o->meta_file_name);
    return check_reloader(o, err);
}

enum app_flags_result
sidecar_options_parse(struct sidecar_options *options, int argc, char **argv,
                      struct err *err)
{
    enum app_flags_result result = app_flags_parse(&table, argc, argv, options, err);
    if (result == APP_FLAGS_OK && (!derive(options, err) || !check(options, err)))
        return APP_FLAGS_USAGE;
    return result;
}

const struct app_flags *
sidecar_options_table(void)
{
    return &table;
}
