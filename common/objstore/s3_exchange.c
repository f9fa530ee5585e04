/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_exchange.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"
#include "common/objstore/s3_answer.h"
#include "common/objstore/s3_sign.h"

struct objstore_s3_peer {
    struct net_http_client *http;
    const char *scheme;
    char *host;   /* as curl sends it */
    char *bucket; /* path that the bucket's name takes: "/name", or "" */
    char *region;
    char *access_key;
    char *secret_key;
    char *session_token;
    _Atomic int64_t skew_ns; /* what the server's clock shows more than ours */
    struct mutex lock;
    /* guarded by lock */
    char day[OBJSTORE_S3_DAY_LEN];
    uint8_t signing_key[DIGEST_SHA256_SIZE]; /* of that day */
};

#define LETTERS_AND_DIGITS       \
    "abcdefghijklmnopqrstuvwxyz" \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
    "0123456789"

/* Each text goes into a URL or a header, where other bytes would mean something else.
 */
static bool
check_text(const char *name, const char *value, const char *allowed, struct err *err)
{
    if (*value == 0)
        return err_set(err, ERR_INVALID, "%s is empty", name);
    if (value[strspn(value, allowed)] != 0)
        return err_set(err, ERR_INVALID, "%s \"%s\" has a character that it must not",
                       name, value);
    return true;
}

/* Like check_text; says nothing of the value. */
static bool
check_secret(const char *name, const char *value, struct err *err)
{
    for (; *value != 0; value++)
        if (*value <= ' ' || *value == 0x7f)
            return err_set(err, ERR_INVALID, "%s has a blank or a control character",
                           name);
    return true;
}

static bool
check_options(const struct objstore_s3_options *o, struct err *err)
{
    if (strstr(o->endpoint, "://") != NULL)
        return err_set(err, ERR_INVALID,
                       "endpoint \"%s\" has a scheme: write host[:port], and "
                       "insecure: true for plain HTTP",
                       o->endpoint);
    if (strcmp(o->bucket, ".") == 0 || strcmp(o->bucket, "..") == 0)
        return err_set(err, ERR_INVALID, "bucket \"%s\" is no name", o->bucket);
    if (*o->access_key == 0 || *o->secret_key == 0)
        return err_set(err, ERR_INVALID, "access_key or secret_key is empty");
    return check_text("bucket", o->bucket, LETTERS_AND_DIGITS "._-", err) &&
           check_text("endpoint", o->endpoint, LETTERS_AND_DIGITS "._-:[]", err) &&
           (*o->region == 0 ||
            check_text("region", o->region, LETTERS_AND_DIGITS "_-", err)) &&
           check_secret("access_key", o->access_key, err) &&
           check_secret("secret_key", o->secret_key, err) &&
           check_secret("session_token", o->session_token, err);
}

/* The Host header: without the port that the scheme implies. Release with free. */
static char *
host_of(const struct objstore_s3_options *o)
{
    const char *implied = o->insecure ? ":80" : ":443";
    size_t len = strlen(o->endpoint), tail = strlen(implied);
    if (len > tail && strcmp(o->endpoint + len - tail, implied) == 0)
        len -= tail;
    return xasprintf("%s%s%.*s", o->virtual_hosted ? o->bucket : "",
                     o->virtual_hosted ? "." : "", (int)len, o->endpoint);
}

bool
objstore_s3_http_new(struct net_http_client **out,
                     const struct objstore_s3_options *options, struct err *err)
{
    const struct net_http_client_options http = {
        .user_agent = options->user_agent,
        .ca_file = options->ca_file,
        .insecure_skip_verify = options->insecure_skip_verify,
        .first_byte_timeout_ns = options->first_byte_timeout_ns,
    };
    return check_options(options, err) && net_http_client_new(out, &http, err);
}

bool
objstore_s3_peer_new(struct objstore_s3_peer **out,
                     const struct objstore_s3_options *options, struct err *err)
{
    struct net_http_client *client;
    if (!objstore_s3_http_new(&client, options, err))
        return false;
    struct objstore_s3_peer *p = xcalloc(1, sizeof *p);
    p->http = client;
    p->scheme = options->insecure ? "http" : "https";
    p->host = host_of(options);
    p->bucket =
        options->virtual_hosted ? xstrdup("") : xasprintf("/%s", options->bucket);
    p->region = xstrdup(*options->region != 0 ? options->region : "us-east-1");
    p->access_key = xstrdup(options->access_key);
    p->secret_key = xstrdup(options->secret_key);
    p->session_token = xstrdup(options->session_token);
    mutex_init(&p->lock, LOCK_CREDENTIALS);
    *out = p;
    return true;
}

static void
free_secret(char *secret)
{
    if (secret != NULL)
        digest_cleanse(secret, strlen(secret));
    free(secret);
}

void
objstore_s3_peer_free(struct objstore_s3_peer **peer)
{
    struct objstore_s3_peer *p = TAKE(*peer);
    if (p == NULL)
        return;
    net_http_client_free(&p->http);
    free(p->host);
    free(p->bucket);
    free(p->region);
    free(p->access_key);
    free_secret(p->secret_key);
    free_secret(p->session_token);
    digest_cleanse(p->signing_key, sizeof p->signing_key);
    mutex_fini(&p->lock);
    free(p);
}

/* The texts of one request. */
struct outgoing {
    struct buf url;
    struct bytes path; /* in url, once that is complete */
    char time[OBJSTORE_S3_TIME_SIZE];
    struct buf authorization;
    char *headers[6]; /* NULL-terminated; our own copies */
    size_t header_count;
};

static void
outgoing_fini(struct outgoing *o)
{
    buf_fini(&o->url);
    buf_fini(&o->authorization);
    for (size_t i = 0; i < o->header_count; i++)
        free_secret(o->headers[i]);
}

static void
add_header(struct outgoing *o, const char *name, const char *value)
{
    CHECK(o->header_count + 1 < ARRAY_LEN(o->headers));
    o->headers[o->header_count++] = xasprintf("%s: %s", name, value);
}

static void
put_url(const struct objstore_s3_peer *p, const struct objstore_s3_target *target,
        struct outgoing *o)
{
    buf_printf(&o->url, "%s://%s", p->scheme, p->host);
    size_t path_at = o->url.len;
    buf_printf(&o->url, "%s/", p->bucket);
    objstore_s3_encode(&o->url, target->key, true);
    size_t path_len = o->url.len - path_at;
    if (target->query.len > 0) {
        buf_put_u8(&o->url, '?');
        buf_put(&o->url, target->query);
    }
    buf_put_u8(&o->url, 0);
    o->path = bytes_of(o->url.at + path_at, path_len);
}

static void
take_signing_key(struct objstore_s3_peer *p, const char *time,
                 uint8_t key[DIGEST_SHA256_SIZE])
{
    MUTEX_SCOPE(&p->lock);
    if (memcmp(p->day, time, sizeof p->day) != 0) {
        objstore_s3_signing_key(p->secret_key, time, p->region, p->signing_key);
        memcpy(p->day, time, sizeof p->day);
    }
    memcpy(key, p->signing_key, DIGEST_SHA256_SIZE);
}

static void
sign(struct objstore_s3_peer *p, const struct objstore_s3_target *target,
     const char *method, struct outgoing *o)
{
    struct objstore_s3_header headers[] = {
        {"host", p->host},
        {"x-amz-content-sha256", target->payload_hash},
        {"x-amz-date", o->time},
        {"x-amz-security-token", p->session_token},
    };
    struct objstore_s3_request request = {
        .method = method,
        .path = o->path,
        .query = target->query,
        .headers = headers,
        .header_count = ARRAY_LEN(headers) - (*p->session_token == 0),
        .payload_hash = target->payload_hash,
    };
    uint8_t key[DIGEST_SHA256_SIZE];
    take_signing_key(p, o->time, key);
    const struct objstore_s3_signer signer = {p->access_key, key, p->region, o->time};
    objstore_s3_authorization(&o->authorization, &signer, &request);
    digest_cleanse(key, sizeof key);
}

static void
prepare(struct objstore_s3_peer *p, const struct objstore_s3_target *target,
        const char *method, struct outgoing *o)
{
    put_url(p, target, o);
    objstore_s3_time(clock_wall_ns() + atomic_load(&p->skew_ns), o->time);
    sign(p, target, method, o);
    add_header(o, "authorization", buf_text(&o->authorization));
    add_header(o, "x-amz-content-sha256", target->payload_hash);
    add_header(o, "x-amz-date", o->time);
    if (*p->session_token != 0)
        add_header(o, "x-amz-security-token", p->session_token);
    if (target->range != NULL)
        add_header(o, "range", target->range);
}

static bool
refused(struct objstore_s3_peer *p, const struct net_http_response *response,
        struct err *err)
{
    objstore_s3_refused(response, &p->skew_ns, err);
    struct bytes region = net_http_response_header(response, "x-amz-bucket-region");
    return err->code == ERR_UNSUPPORTED && region.len > 0 &&
           err_set(err, ERR_INVALID, "the bucket is in region %.*s, not in %s",
                   BYTES_FMT(region), p->region);
}

bool
objstore_s3_perform(struct objstore_s3_peer *peer, const struct objstore_call *call,
                    const struct objstore_s3_target *target,
                    struct net_http_request request, struct net_http_response *response,
                    struct err *err)
{
    CLEANUP(outgoing_fini) struct outgoing o = {0};
    prepare(peer, target, request.method, &o);
    request.url = (const char *)o.url.at;
    request.headers = (const char *const *)o.headers;
    return objstore_s3_send(peer->http, call, request, response, err) &&
           (net_http_status_code(response->status) == ERR_NONE ||
            refused(peer, response, err));
}
