/* SPDX-License-Identifier: Apache-2.0 */
/* Each key that Thanos knows is read here and has its effect, or is refused with what
 * to write instead. None is parsed and ignored. */
#include "common/objstore/config_s3.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "common/net/http_config.h"
#include "common/objstore/s3.h"
#include "common/objstore/s3_v2.h"

enum { MAX_METADATA = 64, MAX_PUT_HEADERS = MAX_METADATA + 4, MAX_KEY_HEADERS = 3 };
enum { SSE_C_KEY_BYTES = 32 };

/* What is read, and the texts that it refers to beside those of the YAML. */
struct reading {
    struct objstore_s3_options options;
    struct objstore_credentials_options credentials;
    bool is_v2;    /* the signature */
    bool lists_v2; /* as the configuration says */
    int64_t max_retries;
    struct objstore_s3_header put_headers[MAX_PUT_HEADERS];
    struct objstore_s3_header key_headers[MAX_KEY_HEADERS];
    char *names[MAX_METADATA]; /* of metadata, in lower case */
    struct buf kms_context;
    char key_text[DIGEST_BASE64_SIZE(SSE_C_KEY_BYTES)];
    char key_md5_text[DIGEST_BASE64_SIZE(DIGEST_MD5_SIZE)];
};

static void
reading_fini(struct reading *r)
{
    for (size_t i = 0; i < MAX_METADATA; i++)
        free(r->names[i]);
    buf_fini(&r->kms_context);
    digest_cleanse(r->key_text, sizeof r->key_text);
}

static bool
is_given(const struct yaml *y, const char *key)
{
    const struct yaml *member = yaml_get(y, key);
    return member != NULL && member->kind != YAML_NULL;
}

static bool
read_required(const struct yaml *config, const char *key, const char **out,
              struct err *err)
{
    if (!yaml_get_text(config, key, out, err))
        return false;
    return **out != 0 || err_set(err, ERR_INVALID, "the S3 config: %s is missing", key);
}

static bool
read_endpoint(const struct yaml *config, struct reading *r, struct err *err)
{
    struct objstore_s3_endpoint *e = &r->options.endpoint;
    const char *lookup = "auto", *version = "";
    bool disable_dualstack = false;
    if (!read_required(config, "bucket", &e->bucket, err) ||
        !read_required(config, "endpoint", &e->address, err) ||
        !yaml_get_text(config, "region", &r->options.region, err) ||
        !yaml_get_bool(config, "insecure", &e->insecure, err) ||
        !yaml_get_bool(config, "disable_dualstack", &disable_dualstack, err) ||
        !yaml_get_text(config, "bucket_lookup_type", &lookup, err) ||
        !yaml_get_text(config, "list_objects_version", &version, err) ||
        !yaml_get_bool(config, "signature_version2", &r->is_v2, err))
        return false;
    e->dualstack = !disable_dualstack;
    r->options.list_v1 = strcmp(version, "v1") == 0;
    r->lists_v2 = strcmp(version, "v2") == 0;
    if (*version != 0 && !r->options.list_v1 && !r->lists_v2)
        return yaml_refuse(config, "list_objects_version", err,
                           "\"%s\" is none of v1, v2", version);
    if (strcmp(lookup, "virtual-hosted") == 0)
        e->lookup = OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED;
    else if (strcmp(lookup, "path") == 0)
        e->lookup = OBJSTORE_S3_LOOKUP_PATH;
    else if (strcmp(lookup, "auto") != 0)
        return yaml_refuse(config, "bucket_lookup_type", err,
                           "\"%s\" is none of auto, virtual-hosted, path", lookup);
    return true;
}

static bool
read_credentials(const struct yaml *config, struct reading *r, struct err *err)
{
    struct objstore_credentials_options *c = &r->credentials;
    if (!yaml_get_text(config, "access_key", &c->access_key, err) ||
        !yaml_get_text(config, "secret_key", &c->secret_key, err) ||
        !yaml_get_text(config, "session_token", &c->session_token, err) ||
        !yaml_get_bool(config, "aws_sdk_auth", &c->sdk_chain, err) ||
        !yaml_get_text(config, "sts_endpoint", &c->sts_endpoint, err))
        return false;
    if ((*c->access_key != 0) != (*c->secret_key != 0))
        return err_set(err, ERR_INVALID,
                       "the S3 config: access_key and secret_key go together only");
    if (*c->access_key == 0 && *c->session_token != 0)
        return yaml_refuse(config, "session_token", err,
                           "it needs access_key and secret_key");
    if (*c->access_key != 0 && c->sdk_chain)
        return yaml_refuse(
            config, "aws_sdk_auth", err,
            "it excludes access_key and secret_key: leave one of them out");
    return true;
}

/* A duration that is given has to be at least least_ns. */
static bool
read_duration(const struct yaml *y, const char *key, int64_t least_ns, int64_t *out,
              struct err *err)
{
    if (!yaml_get_duration(y, key, out, err))
        return false;
    return !is_given(y, key) || *out >= least_ns ||
           yaml_refuse(y, key, err, "%s is too short; write a duration %s 0",
                       yaml_get(y, key)->text, least_ns > 0 ? "above" : "of at least");
}

static bool
read_count(const struct yaml *y, const char *key, int64_t *out, struct err *err)
{
    if (!yaml_get_i64(y, key, out, err))
        return false;
    return (*out >= 0 && *out <= INT_MAX) ||
           yaml_refuse(y, key, err, "%" PRId64 " is out of range", *out);
}

/* Idle connections: 0 in Go means no limit for the first number, 2 for the second. */
static void
set_idle(struct net_http_client_options *http, int64_t all, int64_t per_host)
{
    /* More than there are threads is of no use. */
    enum { GO_PER_HOST = 2, MAX_IDLE = 1024 };
    if (per_host == 0)
        per_host = GO_PER_HOST;
    per_host = NUM_MIN(per_host, (int64_t)MAX_IDLE);
    http->max_idle = (unsigned)(all > 0 && all < per_host ? all : per_host);
}

static bool
read_http(const struct yaml *y, struct reading *r, struct err *err)
{
    static const char *const KEYS[] = {"idle_conn_timeout",
                                       "response_header_timeout",
                                       "tls_handshake_timeout",
                                       "expect_continue_timeout",
                                       "insecure_skip_verify",
                                       "max_idle_conns",
                                       "max_idle_conns_per_host",
                                       "max_conns_per_host",
                                       "disable_compression",
                                       "tls_config",
                                       NULL};
    struct net_http_client_options *http = &r->options.http;
    int64_t idle = 100, idle_per_host = 100, connections = 0;
    bool ignored = false;
    if (y != NULL &&
        (!yaml_check_keys(y, KEYS, "http_config", err) ||
         !net_http_config_tls(yaml_get(y, "tls_config"), http, err) ||
         /* Read last: it overrides the one of tls_config. */
         !yaml_get_bool(y, "insecure_skip_verify", &http->insecure_skip_verify, err) ||
         !read_duration(y, "idle_conn_timeout", 1, &http->idle_timeout_ns, err) ||
         !read_duration(y, "response_header_timeout", 1, &http->first_byte_timeout_ns,
                        err) ||
         !read_duration(y, "tls_handshake_timeout", 0, &http->tls_handshake_timeout_ns,
                        err) ||
         !read_duration(y, "expect_continue_timeout", 0, &r->options.expect_continue_ns,
                        err) ||
         !read_count(y, "max_idle_conns", &idle, err) ||
         !read_count(y, "max_idle_conns_per_host", &idle_per_host, err) ||
         !read_count(y, "max_conns_per_host", &connections, err) ||
         /* Either way: compression is never asked for. */
         !yaml_get_bool(y, "disable_compression", &ignored, err)))
        return false;
    set_idle(http, idle, idle_per_host);
    http->max_connections = (unsigned)connections;
    return true;
}

static bool
read_upload(const struct yaml *config, struct reading *r, struct err *err)
{
    struct objstore_s3_options *o = &r->options;
    bool md5 = false;
    int64_t part_size = OBJSTORE_S3_DEFAULT_PART_BYTES;
    if (!yaml_get_bool(config, "send_content_md5", &md5, err) ||
        !yaml_get_bool(config, "disable_multipart", &o->disable_multipart, err) ||
        !yaml_get_i64(config, "part_size", &part_size, err) ||
        !read_count(config, "max_retries", &r->max_retries, err))
        return false;
    if (is_given(config, "send_content_md5"))
        o->integrity = md5 ? OBJSTORE_S3_INTEGRITY_MD5 : OBJSTORE_S3_INTEGRITY_CHECKSUM;
    if (part_size == 0)
        part_size = OBJSTORE_S3_DEFAULT_PART_BYTES;
    o->part_size = (uint64_t)part_size;
    return (part_size >= OBJSTORE_S3_MIN_PART_BYTES &&
            part_size <= OBJSTORE_S3_MAX_PART_BYTES) ||
           yaml_refuse(config, "part_size", err,
                       "%" PRId64 " is not between %d and %" PRId64 " bytes", part_size,
                       OBJSTORE_S3_MIN_PART_BYTES, OBJSTORE_S3_MAX_PART_BYTES);
}

static void
add_put_header(struct reading *r, const char *name, const char *value)
{
    r->put_headers[r->options.put_header_count++] =
        (struct objstore_s3_header){name, value};
}

/* Names differ in their letters' case at least. */
static bool
has_put_header(const struct reading *r, const char *name)
{
    for (size_t i = 0; i < r->options.put_header_count; i++)
        if (strcmp(r->put_headers[i].name, name) == 0)
            return true;
    return false;
}

static bool
is_token(const char *name)
{
    for (const char *c = name; *c != 0; c++)
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            return false;
    return *name != 0;
}

static bool
is_printable(const char *value)
{
    for (; *value != 0; value++)
        if ((unsigned char)*value < ' ' || *value == 0x7f)
            return false;
    return true;
}

/* Why a header may not be chosen by the user; NULL if it may. */
static const char *
header_fault(const char *name)
{
    static const char *const OURS[] = {
        "content-encoding",     "content-length", "content-md5",
        "x-amz-checksum",       "x-amz-content",  "x-amz-copy",
        "x-amz-date",           "x-amz-decoded",  "x-amz-sdk-checksum",
        "x-amz-security-token", "x-amz-trailer",  "x-amz-write-offset",
    };
    if (strncmp(name, "x-amz-server-side", strlen("x-amz-server-side")) == 0)
        return "encryption is asked for in sse_config";
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (strncmp(name, OURS[i], strlen(OURS[i])) == 0)
            return "this header is made for each upload";
    return NULL;
}

/* Headers that are sent under their own names; others are metadata. */
static bool
is_header(const char *name)
{
    static const char *const STANDARD[] = {"cache-control", "content-disposition",
                                           "content-language", "content-type",
                                           "expires"};
    for (size_t i = 0; i < ARRAY_LEN(STANDARD); i++)
        if (strcmp(name, STANDARD[i]) == 0)
            return true;
    return strncmp(name, "x-amz-", strlen("x-amz-")) == 0;
}

static bool
read_metadata(const struct yaml *config, struct reading *r, struct err *err)
{
    const char *section = "put_user_metadata";
    const struct yaml *map = yaml_get(config, section);
    if (map == NULL || map->kind == YAML_NULL)
        return true;
    if (map->kind != YAML_MAP || map->count > MAX_METADATA)
        return yaml_refuse(config, section, err, "it is no map of at most %d headers",
                           MAX_METADATA);
    for (size_t i = 0; i < map->count; i++) {
        const char *value = "";
        if (!yaml_get_text(map, map->keys[i], &value, err))
            return false;
        char *name = xstrdup(map->keys[i]);
        for (char *c = name; *c != 0; c++)
            *c = (char)tolower((unsigned char)*c);
        r->names[i] = is_header(name) || header_fault(name) != NULL
                          ? name
                          : xasprintf("x-amz-meta-%s", name);
        if (r->names[i] != name)
            free(name);
        if (has_put_header(r, r->names[i]))
            return yaml_refuse(map, map->keys[i], err, "this header is there already");
        const char *fault = header_fault(r->names[i]);
        if (fault != NULL)
            return yaml_refuse(map, map->keys[i], err, "%s", fault);
        if (!is_token(r->names[i]) || !is_printable(value))
            return yaml_refuse(map, map->keys[i], err,
                               "name or value has a character that a header must not");
        add_put_header(r, r->names[i], value);
    }
    return true;
}

static bool
read_kms_context(const struct yaml *sse, struct reading *r, struct err *err)
{
    const char *key = "kms_encryption_context";
    const struct yaml *map = yaml_get(sse, key);
    CLEANUP(json_free) struct json *json = json_new_object();
    CLEANUP(buf_fini) struct buf text = {0};
    if (map == NULL || map->kind == YAML_NULL || map->count == 0)
        return true;
    if (map->kind != YAML_MAP)
        return yaml_refuse(sse, key, err, "it is no map");
    for (size_t i = 0; i < map->count; i++) {
        const char *value = "";
        if (!yaml_get_text(map, map->keys[i], &value, err))
            return false;
        json_set_text(json, map->keys[i], value);
    }
    json_print(json, 0, &text);
    uint8_t *base64 = buf_reserve(&r->kms_context, DIGEST_BASE64_SIZE(text.len));
    digest_base64(buf_bytes(&text), (char *)base64);
    add_put_header(r, "x-amz-server-side-encryption-context", (const char *)base64);
    return true;
}

static bool
read_kms(const struct yaml *sse, struct reading *r, struct err *err)
{
    const char *key_id = "";
    if (!yaml_get_text(sse, "kms_key_id", &key_id, err))
        return false;
    if (*key_id == 0 || !is_printable(key_id))
        return yaml_refuse(sse, "type", err, "SSE-KMS needs kms_key_id");
    add_put_header(r, "x-amz-server-side-encryption", "aws:kms");
    add_put_header(r, "x-amz-server-side-encryption-aws-kms-key-id", key_id);
    return read_kms_context(sse, r, err);
}

static bool
read_customer_key(const struct yaml *sse, struct reading *r, struct err *err)
{
    const char *path = "";
    CLEANUP(buf_fini) struct buf key = {0};
    uint8_t md5[DIGEST_MD5_SIZE];
    if (!yaml_get_text(sse, "encryption_key", &path, err))
        return false;
    if (*path == 0)
        return yaml_refuse(sse, "type", err,
                           "SSE-C needs encryption_key, the path of a key");
    if (r->options.endpoint.insecure)
        return yaml_refuse(
            sse, "type", err,
            "SSE-C sends the key along, so it needs TLS: leave insecure out");
    if (!file_read_all(path, 2 * SSE_C_KEY_BYTES, &key, err))
        return yaml_blame(sse, "encryption_key", err);
    bool fits = key.len == SSE_C_KEY_BYTES;
    if (fits) {
        digest_md5(buf_bytes(&key), md5);
        digest_base64(buf_bytes(&key), r->key_text);
        digest_base64(bytes_of(md5, sizeof md5), r->key_md5_text);
    }
    size_t len = key.len;
    digest_cleanse(key.at, key.len);
    if (!fits)
        return yaml_refuse(sse, "encryption_key", err, "%s has %zu bytes, a key has %d",
                           path, len, SSE_C_KEY_BYTES);
    const struct objstore_s3_header headers[MAX_KEY_HEADERS] = {
        {"x-amz-server-side-encryption-customer-algorithm", "AES256"},
        {"x-amz-server-side-encryption-customer-key", r->key_text},
        {"x-amz-server-side-encryption-customer-key-md5", r->key_md5_text},
    };
    for (size_t i = 0; i < MAX_KEY_HEADERS; i++) {
        r->key_headers[i] = headers[i];
        add_put_header(r, headers[i].name, headers[i].value);
    }
    r->options.key_header_count = MAX_KEY_HEADERS;
    return true;
}

/* A key of another kind of encryption must not be passed over. */
static bool
check_unused(const struct yaml *sse, const char *type, const char *const *unused,
             struct err *err)
{
    for (; *unused != NULL; unused++) {
        const struct yaml *member = yaml_get(sse, *unused);
        bool is_empty = member == NULL || member->kind == YAML_NULL ||
                        (member->kind == YAML_SCALAR && *member->text == 0) ||
                        (member->kind == YAML_MAP && member->count == 0);
        if (!is_empty)
            return yaml_refuse(sse, *unused, err, "it has no meaning with type: \"%s\"",
                               type);
    }
    return true;
}

static bool
read_encryption(const struct yaml *sse, struct reading *r, struct err *err)
{
    static const char *const KEYS[] = {"type", "kms_key_id", "kms_encryption_context",
                                       "encryption_key", NULL};
    static const char *const NOT_KMS[] = {"encryption_key", NULL};
    static const char *const NOT_C[] = {"kms_key_id", "kms_encryption_context", NULL};
    const char *type = "";
    if (sse == NULL)
        return true;
    if (!yaml_check_keys(sse, KEYS, "sse_config", err) ||
        !yaml_get_text(sse, "type", &type, err))
        return false;
    if (strcmp(type, "SSE-KMS") == 0)
        return check_unused(sse, type, NOT_KMS, err) && read_kms(sse, r, err);
    if (strcmp(type, "SSE-C") == 0)
        return check_unused(sse, type, NOT_C, err) && read_customer_key(sse, r, err);
    if (*type != 0 && strcmp(type, "SSE-S3") != 0)
        return yaml_refuse(sse, "type", err, "\"%s\" is none of SSE-S3, SSE-KMS, SSE-C",
                           type);
    if (*type != 0)
        add_put_header(r, "x-amz-server-side-encryption", "AES256");
    return check_unused(sse, type, KEYS + 1, err);
}

static bool
read_trace(const struct yaml *trace, struct reading *r, struct err *err)
{
    static const char *const KEYS[] = {"enable", NULL};
    return trace == NULL ||
           (yaml_check_keys(trace, KEYS, "trace", err) &&
            yaml_get_bool(trace, "enable", &r->options.http.trace, err));
}

static bool
read_config(const struct yaml *config, struct reading *r, struct err *err)
{
    static const char *const KEYS[] = {"bucket",
                                       "endpoint",
                                       "region",
                                       "disable_dualstack",
                                       "aws_sdk_auth",
                                       "access_key",
                                       "secret_key",
                                       "session_token",
                                       "insecure",
                                       "signature_version2",
                                       "put_user_metadata",
                                       "http_config",
                                       "trace",
                                       "list_objects_version",
                                       "bucket_lookup_type",
                                       "send_content_md5",
                                       "disable_multipart",
                                       "part_size",
                                       "sse_config",
                                       "sts_endpoint",
                                       "max_retries",
                                       NULL};
    return yaml_check_keys(config, KEYS, "the S3 config", err) &&
           read_endpoint(config, r, err) && read_credentials(config, r, err) &&
           read_http(yaml_get(config, "http_config"), r, err) &&
           read_trace(yaml_get(config, "trace"), r, err) &&
           read_upload(config, r, err) && read_metadata(config, r, err) &&
           read_encryption(yaml_get(config, "sse_config"), r, err);
}

static struct objstore_retrier *
new_retrier(const struct reading *r)
{
    return objstore_retrier_new(
        &(struct objstore_retrier_options){.max_tries = (unsigned)r->max_retries});
}

/* What does not go with Signature Version 2. */
static bool
check_v2(const struct yaml *config, const struct reading *r, struct err *err)
{
    static const char WHY[] = "it does not go with signature_version2; leave it out";
    const struct objstore_s3_options *o = &r->options;
    if (*r->credentials.access_key == 0 || *r->credentials.session_token != 0 ||
        r->credentials.sdk_chain || *r->credentials.sts_endpoint != 0)
        return yaml_refuse(config, "signature_version2", err,
                           "it goes with access_key and secret_key only, without "
                           "session_token, aws_sdk_auth and sts_endpoint");
    if (o->integrity == OBJSTORE_S3_INTEGRITY_CHECKSUM)
        return yaml_refuse(config, "send_content_md5", err, "%s", WHY);
    if (o->put_header_count > 0)
        return yaml_refuse(
            config, is_given(config, "sse_config") ? "sse_config" : "put_user_metadata",
            err, "%s", WHY);
    return !r->lists_v2 || yaml_refuse(config, "list_objects_version", err, "%s", WHY);
}

static bool
open_v2(struct objstore_bucket **out, const struct yaml *config, struct reading *r,
        struct err *err)
{
    CLEANUP(objstore_retrier_free) struct objstore_retrier *retrier = new_retrier(r);
    const struct objstore_s3_v2_options options = {
        .endpoint = r->options.endpoint,
        .access_key = r->credentials.access_key,
        .secret_key = r->credentials.secret_key,
        .retrier = retrier,
        .http = r->options.http,
        .requests = r->options.requests,
    };
    if (!check_v2(config, r, err) || !objstore_s3_v2_open(out, &options, err))
        return false;
    objstore_retry_wrap(out, TAKE(retrier));
    return true;
}

static bool
open_v4(struct objstore_bucket **out, struct reading *r, struct err *err)
{
    CLEANUP(objstore_retrier_free)
    struct objstore_retrier *retrier = new_retrier(r);
    CLEANUP(objstore_credentials_free) struct objstore_credentials *credentials = NULL;
    r->credentials.region = r->options.region;
    r->credentials.http = r->options.http;
    if (!objstore_credentials_new(&credentials, &r->credentials, err))
        return false;
    r->options.credentials = credentials;
    r->options.retrier = retrier;
    if (!objstore_s3_open(out, &r->options, err))
        return false;
    credentials = NULL;
    objstore_retry_wrap(out, TAKE(retrier));
    return true;
}

bool
objstore_config_open_s3(struct objstore_bucket **out, const struct yaml *config,
                        const char *user_agent, bool to_read,
                        struct objstore_requests *requests, struct err *err)
{
    CLEANUP(xfree) struct reading *r = xcalloc(1, sizeof *r);
    *r = (struct reading){
        .options = {.endpoint = {.bucket = "", .address = ""},
                    .region = "",
                    .http = {.user_agent = user_agent,
                             .proxy_of_environment = true,
                             .tls_handshake_timeout_ns = 10 * CLOCK_NS_PER_S},
                    .requests = requests,
                    .expect_continue_ns = CLOCK_NS_PER_S,
                    .put_headers = r->put_headers,
                    .key_headers = r->key_headers},
        .credentials = {.is_quiet = to_read,
                        .access_key = "",
                        .secret_key = "",
                        .session_token = "",
                        .sts_endpoint = ""},
    };
    bool ok = read_config(config, r, err) &&
              ((r->is_v2 ? open_v2(out, config, r, err) : open_v4(out, r, err)) ||
               err_wrap(err, "the S3 config"));
    reading_fini(r);
    return ok;
}
