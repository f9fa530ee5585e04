/* SPDX-License-Identifier: Apache-2.0 */
/* Each key that Thanos knows stands in a table here, with what is done about it: read
 * below, or accepted with the value that asks for nothing. A key is never parsed and
 * ignored. */
#include "common/objstore/config.h"

#include <stdlib.h>
#include <strings.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/quantity.h"
#include "common/codec/yaml.h"
#include "common/objstore/dir.h"
#include "common/objstore/measured.h"
#include "common/objstore/prefixed.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3.h"
#include "common/objstore/s3_v2.h"

enum { MAX_CONFIG = 1 << 20, MAX_KEYS = 32 };

enum rule {
    READ,   /* its reader is below */
    EITHER, /* a boolean both of whose values ask for what is done anyway */
    BOOL,   /* the rest: only the value of the table */
    NUMBER,
    DURATION,
    TEXT,
    EMPTY_MAP,
};

struct option {
    const char *key;
    enum rule rule;
    const char *value;
};

/* A map in the YAML and the keys that it may have. */
struct section {
    const char *name; /* in errors */
    struct option options[MAX_KEYS];
};

static const struct section TOP = {"the document",
                                   {{"type", READ, NULL},
                                    {"config", READ, NULL},
                                    {"prefix", READ, NULL},
                                    {"hedging_config", READ, NULL}}};

static const struct section HEDGING = {
    "hedging_config",
    {{"enabled", BOOL, "false"}, {"up_to", NUMBER, "3"}, {"quantile", TEXT, "0.9"}}};

static const struct section FILESYSTEM = {"the FILESYSTEM config",
                                          {{"directory", READ, NULL}}};

static const struct section S3 = {"the S3 config",
                                  {{"bucket", READ, NULL},
                                   {"endpoint", READ, NULL},
                                   {"region", READ, NULL},
                                   /* The endpoint is used as it is written. */
                                   {"disable_dualstack", EITHER, NULL},
                                   {"aws_sdk_auth", BOOL, "false"},
                                   {"access_key", READ, NULL},
                                   {"secret_key", READ, NULL},
                                   {"session_token", READ, NULL},
                                   {"insecure", READ, NULL},
                                   {"signature_version2", READ, NULL},
                                   {"put_user_metadata", EMPTY_MAP, NULL},
                                   {"http_config", READ, NULL},
                                   {"trace", READ, NULL},
                                   {"list_objects_version", READ, NULL},
                                   {"bucket_lookup_type", READ, NULL},
                                   {"send_content_md5", BOOL, "true"},
                                   /* Each object is stored by one PUT. */
                                   {"disable_multipart", EITHER, NULL},
                                   {"part_size", NUMBER, "67108864"},
                                   {"sse_config", READ, NULL},
                                   {"sts_endpoint", TEXT, ""},
                                   {"max_retries", NUMBER, "0"}}};

/* What has to have these values beside signature_version2: true. */
static const struct section SIGNATURE_V2 = {
    "an S3 config with signature_version2: true",
    {{"aws_sdk_auth", BOOL, "false"},
     {"session_token", TEXT, ""},
     {"put_user_metadata", EMPTY_MAP, NULL},
     {"send_content_md5", BOOL, "true"},
     {"sts_endpoint", TEXT, ""}}};

static const struct section HTTP = {"http_config",
                                    {{"idle_conn_timeout", DURATION, "1m30s"},
                                     {"response_header_timeout", READ, NULL},
                                     {"tls_handshake_timeout", DURATION, "10s"},
                                     {"expect_continue_timeout", DURATION, "1s"},
                                     {"insecure_skip_verify", READ, NULL},
                                     {"max_idle_conns", NUMBER, "100"},
                                     {"max_idle_conns_per_host", NUMBER, "100"},
                                     {"max_conns_per_host", NUMBER, "0"},
                                     /* Compression is never asked for. */
                                     {"disable_compression", EITHER, NULL},
                                     {"tls_config", READ, NULL}}};

static const struct section TLS = {"tls_config",
                                   {{"ca_file", READ, NULL},
                                    {"cert_file", TEXT, ""},
                                    {"key_file", TEXT, ""},
                                    {"server_name", TEXT, ""},
                                    {"insecure_skip_verify", READ, NULL}}};

static const struct section TRACE = {"trace", {{"enable", BOOL, "false"}}};

static const struct section SSE = {"sse_config",
                                   {{"type", TEXT, ""},
                                    {"kms_key_id", TEXT, ""},
                                    {"kms_encryption_context", EMPTY_MAP, NULL},
                                    {"encryption_key", TEXT, ""}}};

/* *same: whether the member has the value that the table names. */
static bool
compare_value(const struct yaml *y, const struct option *o, bool *same, struct err *err)
{
    bool flag = false;
    int64_t number = 0, expected = 0;
    const char *text = "";
    const struct yaml *member = yaml_get(y, o->key);
    switch (o->rule) {
    case READ:
        *same = true;
        return true;
    case EITHER:
        *same = true;
        return yaml_get_bool(y, o->key, &flag, err);
    case BOOL:
        if (!yaml_get_bool(y, o->key, &flag, err))
            return false;
        *same = flag == (strcmp(o->value, "true") == 0);
        return true;
    case NUMBER:
        if (!yaml_get_i64(y, o->key, &number, err))
            return false;
        *same = number == strtoll(o->value, NULL, 10);
        return true;
    case DURATION:
        if (!yaml_get_duration(y, o->key, &number, err) ||
            !quantity_duration(o->value, &expected, err))
            return false;
        *same = number == expected;
        return true;
    case TEXT:
        if (!yaml_get_text(y, o->key, &text, err))
            return false;
        *same = strcmp(text, o->value) == 0;
        return true;
    case EMPTY_MAP:
        break;
    }
    *same = member->kind == YAML_MAP && member->count == 0;
    return true;
}

static bool
check_option(const struct yaml *y, const struct section *section,
             const struct option *o, struct err *err)
{
    const struct yaml *member = yaml_get(y, o->key);
    bool same;
    if (member == NULL || member->kind == YAML_NULL)
        return true;
    if (!compare_value(y, o, &same, err))
        return false;
    return same ||
           err_set(err, ERR_UNSUPPORTED,
                   "line %d: %s: %s in %s is not supported; leave it out or write %s",
                   member->line, o->key,
                   member->kind == YAML_SCALAR ? member->text : "a value",
                   section->name,
                   o->rule == EMPTY_MAP ? "{}"
                   : *o->value          ? o->value
                                        : "\"\"");
}

/* Check that y, absent or a map, has known keys only, and no value in them that asks
 * for something that is not done. */
static bool
check_section(const struct yaml *y, const struct section *section, struct err *err)
{
    const char *known[MAX_KEYS + 1] = {NULL};
    if (y == NULL)
        return true;
    for (size_t i = 0; i < MAX_KEYS && section->options[i].key != NULL; i++)
        known[i] = section->options[i].key;
    if (!yaml_check_keys(y, known, section->name, err))
        return false;
    for (size_t i = 0; known[i] != NULL; i++)
        if (!check_option(y, section, &section->options[i], err))
            return false;
    return true;
}

/* A text that has to be there; section says where, in errors. */
static bool
require_text(const struct yaml *y, const char *key, const struct section *section,
             const char **out, struct err *err)
{
    const char *text = "";
    if (!yaml_get_text(y, key, &text, err))
        return false;
    if (*text == 0)
        return err_set(err, ERR_INVALID, "%s: %s is missing", section->name, key);
    *out = text;
    return true;
}

static bool
open_filesystem(struct objstore_bucket **out, const struct yaml *config,
                struct err *err)
{
    const char *directory;
    return check_section(config, &FILESYSTEM, err) &&
           require_text(config, "directory", &FILESYSTEM, &directory, err) &&
           objstore_dir_open(out, directory, err);
}

static const char *
environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

/* The keys of the file, both or none; else those of the environment. */
static bool
read_credentials(const struct yaml *config, struct objstore_s3_options *o,
                 struct err *err)
{
    o->access_key = o->secret_key = o->session_token = "";
    if (!yaml_get_text(config, "access_key", &o->access_key, err) ||
        !yaml_get_text(config, "secret_key", &o->secret_key, err) ||
        !yaml_get_text(config, "session_token", &o->session_token, err))
        return false;
    if ((*o->access_key != 0) != (*o->secret_key != 0))
        return err_set(err, ERR_INVALID,
                       "the S3 config: access_key and secret_key go together only");
    if (*o->access_key != 0)
        return true;
    if (*o->session_token != 0)
        return err_set(err, ERR_INVALID,
                       "the S3 config: session_token needs access_key and secret_key");
    o->access_key = environment("AWS_ACCESS_KEY_ID");
    o->secret_key = environment("AWS_SECRET_ACCESS_KEY");
    o->session_token = environment("AWS_SESSION_TOKEN");
    if (*o->access_key == 0 || *o->secret_key == 0)
        return err_set(
            err, ERR_INVALID,
            "no credentials for S3: set access_key and secret_key, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
    return true;
}

static bool
read_http(const struct yaml *http, struct objstore_s3_options *o, struct err *err)
{
    const char *key = "response_header_timeout";
    const struct yaml *tls = yaml_get(http, "tls_config");
    if (!check_section(http, &HTTP, err) || !check_section(tls, &TLS, err))
        return false;
    /* The key of http_config is read last: it overrides that of tls_config. */
    if (!yaml_get_text(tls, "ca_file", &o->ca_file, err) ||
        !yaml_get_bool(tls, "insecure_skip_verify", &o->insecure_skip_verify, err) ||
        !yaml_get_bool(http, "insecure_skip_verify", &o->insecure_skip_verify, err) ||
        !yaml_get_duration(http, key, &o->first_byte_timeout_ns, err))
        return false;
    if (o->ca_file != NULL && *o->ca_file == 0)
        o->ca_file = NULL;
    if (o->ca_file != NULL && !file_exists(o->ca_file))
        return err_set(err, ERR_INVALID, "line %d: ca_file: there is no %s",
                       yaml_get(tls, "ca_file")->line, o->ca_file);
    const struct yaml *timeout = yaml_get(http, key);
    if (timeout != NULL && timeout->kind != YAML_NULL && o->first_byte_timeout_ns <= 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "line %d: %s: %s is not supported; write a "
                       "duration above 0",
                       timeout->line, key, timeout->text);
    return true;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcasecmp(text + len - tail, end) == 0;
}

/* As other clients choose: names of their own for the services that want them, if TLS
 * certificates (*.endpoint) can cover them. */
static bool
auto_virtual_hosted(const struct objstore_s3_options *o)
{
    static const char *const SERVICES[] = {".amazonaws.com", ".amazonaws.com.cn",
                                           "storage.googleapis.com", ".aliyuncs.com"};
    CLEANUP(xfree) char *host = xstrdup(o->endpoint);
    host[strcspn(host, ":")] = 0;
    if (!o->insecure && strchr(o->bucket, '.') != NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(SERVICES); i++)
        if (ends_with(host, SERVICES[i]))
            return true;
    return false;
}

static bool
read_lookup(const struct yaml *config, struct objstore_s3_options *o, struct err *err)
{
    const char *lookup = "auto", *version = "";
    if (!yaml_get_text(config, "bucket_lookup_type", &lookup, err) ||
        !yaml_get_text(config, "list_objects_version", &version, err))
        return false;
    if (*version != 0 && strcmp(version, "v2") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "line %d: list_objects_version: %s is not supported; only v2 is",
                       yaml_get(config, "list_objects_version")->line, version);
    if (strcmp(lookup, "auto") == 0)
        o->virtual_hosted = auto_virtual_hosted(o);
    else if (strcmp(lookup, "virtual-hosted") == 0)
        o->virtual_hosted = true;
    else if (strcmp(lookup, "path") != 0)
        return err_set(err, ERR_INVALID,
                       "line %d: bucket_lookup_type: \"%s\" is none of auto, "
                       "virtual-hosted, path",
                       yaml_get(config, "bucket_lookup_type")->line, lookup);
    return true;
}

static bool
open_signed(struct objstore_bucket **out, const struct yaml *config,
            const struct objstore_s3_options *o, struct err *err)
{
    bool v2 = false;
    const char *version = "";
    if (!yaml_get_bool(config, "signature_version2", &v2, err))
        return false;
    if (!v2)
        return objstore_s3_open(out, o, err) || err_wrap(err, "%s", S3.name);
    if (!yaml_get_text(config, "list_objects_version", &version, err))
        return false;
    if (strcmp(version, "v2") == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "line %d: list_objects_version: v2 does not go with "
                       "signature_version2; leave it out",
                       yaml_get(config, "list_objects_version")->line);
    for (size_t i = 0; i < MAX_KEYS && SIGNATURE_V2.options[i].key != NULL; i++)
        if (!check_option(config, &SIGNATURE_V2, &SIGNATURE_V2.options[i], err))
            return false;
    return objstore_s3_v2_open(out, o, err) || err_wrap(err, "%s", S3.name);
}

static bool
open_s3(struct objstore_bucket **out, const struct yaml *config, const char *user_agent,
        struct err *err)
{
    struct objstore_s3_options o = {.region = "", .user_agent = user_agent};
    bool ok = check_section(config, &S3, err) &&
              check_section(yaml_get(config, "trace"), &TRACE, err) &&
              check_section(yaml_get(config, "sse_config"), &SSE, err) &&
              require_text(config, "bucket", &S3, &o.bucket, err) &&
              require_text(config, "endpoint", &S3, &o.endpoint, err) &&
              yaml_get_text(config, "region", &o.region, err) &&
              yaml_get_bool(config, "insecure", &o.insecure, err) &&
              read_credentials(config, &o, err) &&
              read_http(yaml_get(config, "http_config"), &o, err) &&
              read_lookup(config, &o, err);
    if (!ok)
        return false;
    CLEANUP(objstore_retrier_free)
    struct objstore_retrier *retrier =
        objstore_retrier_new(&(struct objstore_retrier_options){0});
    o.retrier = retrier;
    if (!open_signed(out, config, &o, err))
        return false;
    objstore_retry_wrap(out, TAKE(retrier));
    return true;
}

static bool
open_provider(struct objstore_bucket **out, const struct yaml *root,
              const char *user_agent, struct err *err)
{
    const char *type;
    const struct yaml *config = yaml_get(root, "config");
    if (!check_section(root, &TOP, err) ||
        !check_section(yaml_get(root, "hedging_config"), &HEDGING, err) ||
        !require_text(root, "type", &TOP, &type, err))
        return false;
    if (strcasecmp(type, "S3") == 0)
        return open_s3(out, config, user_agent, err);
    if (strcasecmp(type, "FILESYSTEM") == 0)
        return open_filesystem(out, config, err);
    return err_set(err, ERR_UNSUPPORTED,
                   "line %d: type: %s is not supported; S3 and FILESYSTEM are",
                   yaml_get(root, "type")->line, type);
}

static bool
open_tree(struct objstore_bucket **out, const struct yaml *root, const char *component,
          struct err *err)
{
    const char *prefix = "";
    CLEANUP(xfree) char *user_agent = xasprintf("blockhouse-%s", component);
    CLEANUP(objstore_free) struct objstore_bucket *b = NULL;
    if (!open_provider(&b, root, user_agent, err) ||
        !yaml_get_text(root, "prefix", &prefix, err) ||
        !objstore_prefixed_wrap(&b, prefix, err))
        return false;
    *out = TAKE(b);
    return true;
}

/* Overwrite the credentials before the memory of the tree is given back. */
static void
cleanse_tree(struct yaml *root)
{
    for (size_t i = 0; root != NULL && i < root->count; i++) {
        struct yaml *section = &root->children[i];
        for (size_t k = 0; k < section->count; k++)
            if (section->children[k].text != NULL)
                digest_cleanse(section->children[k].text,
                               strlen(section->children[k].text));
    }
}

bool
objstore_open(struct objstore_bucket **out, struct bytes yaml, const char *component,
              struct metrics_registry *metrics, struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *root = NULL;
    struct buf expanded = {0};
    struct objstore_bucket *b = NULL;
    bool ok = yaml_expand_env(yaml, &expanded, err) &&
              yaml_parse(buf_bytes(&expanded), MAX_CONFIG, &root, err) &&
              open_tree(&b, root, component, err);
    cleanse_tree(root);
    if (expanded.len > 0)
        digest_cleanse(expanded.at, expanded.len);
    buf_fini(&expanded);
    if (!ok)
        return err_wrap(err, "object-store configuration");
    if (metrics != NULL)
        objstore_measured_wrap(&b, metrics);
    *out = b;
    return true;
}
